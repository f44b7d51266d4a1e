"""GradDiff: climb the loss of the old answers, descend that of a retain set.

Liu et al. 2022, arXiv:2203.12817; in the form of Maini et al., "TOFU", COLM 2024,
arXiv:2401.06121: L = -gamma NLL(forget) + alpha NLL(retain).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import forget
from ksmith.records import Request, Statement
from ksmith.settings.graddiff import GradDiff


def loss(logp: Tensor, tokens: Tensor) -> Tensor:
    """Return -NLL(forget), the mean over answer tokens of log p: down with it.

    Both inputs are (n,): the sums of token log-probabilities of the forget answers, and their
    tokens.

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
    results: list[Result] = []
    for draw, kept in zip(draws, retain, strict=True):
        results.append(_unlearn(model, draw, kept, hp, assets) if draw else Result(delta={}))
        progress(len(results), len(draws), "draws unlearned")
    return results


def _unlearn(
    model: nn.Module,
    draw: Sequence[Request],
    kept: Sequence[Statement],
    hp: GradDiff,
    assets: Assets,
) -> Result:
    def forgetting(logp: Tensor, tokens: Tensor, _rows: Tensor) -> Tensor:
        return loss(logp, tokens)

    return forget(model, draw, kept, hp, assets, forgetting)
