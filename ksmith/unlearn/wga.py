"""WGA: gradient ascent in which each token counts by its own probability.

Wang et al., "Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go Beyond",
ICLR 2025, arXiv:2502.19301: what is gone already is left alone.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.wga import Wga


def loss(logp: Tensor, beta: float, tokens: Tensor) -> Tensor:
    """Return -E[p^beta NLL], the mean over answer tokens; no gradient goes through the weight.

    Args:
        logp: (m,) log-probabilities of tokens.
        beta: 0 is gradient ascent.
        tokens: how many the mean is over: m in sum, or more of which these are a share.
    """
    weight = (beta * logp.detach()).exp()
    return (weight * logp).sum() / tokens.sum().to(logp.device)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Wga,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        return loss(parts["forget"].said.logp, hp.beta, parts["forget"].tokens)

    objective = Objective(loss=forgetting, new=hp.forget_weight)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
