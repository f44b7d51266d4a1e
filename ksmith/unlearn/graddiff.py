"""GradDiff: climb the loss of the old answers, descend that of a retain set.

Liu et al. 2022, arXiv:2203.12817; in the form of Maini et al., "TOFU", COLM 2024,
arXiv:2401.06121: L = -gamma NLL(forget) + alpha NLL(retain).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.graddiff import GradDiff


def loss(logp: Tensor, tokens: Tensor) -> Tensor:
    """Return -NLL(forget), the mean over answer tokens of log p: down with it.

    Args:
        logp: (n,) the sums of token log-probabilities of forget answers.
        tokens: how many the mean is over: those of these answers, or of all in the step.

    >>> loss(Tensor([-3.0, -7.0]), Tensor([1.0, 4.0])).item()
    -2.0
    """
    return logp.sum() / tokens.sum().to(logp.device)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: GradDiff,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        return loss(parts["forget"].logp, parts["forget"].tokens)

    objective = Objective(loss=forgetting, new=hp.forget_weight)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
