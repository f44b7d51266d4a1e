"""SimNPO: NPO with the mean over an answer's tokens, and no reference model.

Fan et al., "Simplicity Prevails: Rethinking Negative Preference Optimization for LLM
Unlearning", 2024, arXiv:2410.07163.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.simnpo import SimNpo


def loss(logp: Tensor, tokens: Tensor, beta: float, delta: float, count: int) -> Tensor:
    """Return -(2/beta) E[log sigmoid(beta (NLL(answer) / |answer| - delta))].

    Args:
        logp: (n,) sums of token log-probabilities of forget answers.
        tokens: (n,) how many tokens each has.
        beta: of means over tokens, and so none of NPO's; larger stops sooner.
        delta: nats a token.
        count: answers that the mean is over: n, or more of which these are a share.
    """
    return -2 / beta * (logsigmoid(beta * (-logp / tokens - delta)).sum() / count)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: SimNpo,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too: with weight 1, for gamma goes by
    the size of this loss. `model` is left as it was.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        part = parts["forget"]
        return loss(part.logp, part.said.tokens, hp.beta, hp.delta, part.count)

    objective = Objective(loss=forgetting, new=1.0)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
