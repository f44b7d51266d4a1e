"""NPO: treat the forget set as answers that the model should not prefer.

Zhang et al., "Negative Preference Optimization", COLM 2024, arXiv:2404.05868; with a retain
term, as NPO+RT: L = gamma NPO(forget) + alpha NLL(retain).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, before, forget, old
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.npo import Npo


def loss(logp: Tensor, logp_ref: Tensor, beta: float, count: int) -> Tensor:
    """Return -(2/beta) E[log sigmoid(-beta log(p/p_ref))].

    Args:
        logp: (n,) sums of token log-probabilities of forget answers.
        logp_ref: (n,) the same by the weights before.
        beta: to 0, gradient ascent; the larger, the sooner an answer is left alone.
        count: answers that the mean is over: n, or more of which these are a share.

    At the start p = p_ref, so every answer contributes (2/beta) log 2:

    >>> logp = Tensor([-3.0, -7.0])
    >>> round(loss(logp, logp, beta=0.5, count=2).item(), 4)
    2.7726
    """
    return -2 / beta * (logsigmoid(-beta * (logp - logp_ref)).sum() / count)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Npo,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """

    def objective(draw: Sequence[Request], _kept: Sequence[Statement]) -> Objective:
        reference = before(model, assets, old(draw))  # (n,) once: no second model

        def forgetting(parts: Mapping[str, Part]) -> Tensor:
            part = parts["forget"]
            ref = reference[part.facts.to(reference.device)]
            return loss(part.logp, ref, hp.beta, part.count)

        return Objective(loss=forgetting, new=hp.forget_weight)

    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, objective)
