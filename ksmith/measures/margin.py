"""Whether a model is as near to gold models as these are to each other.

Gold models differ among themselves, so no distance from them is told without theirs. Of m gold
models each is a candidate, too: its distance is the mean of those from the other ones. The
margin is that of the farthest of them, and a model's distance is told in units of it: at 1 it is
as far out as the gold model that is farthest out. By symmetry alone one more gold model would be
within the margin with a probability of about m / (m + 1), whatever distance is taken.

The interval of that number draws updates and their subjects, and holds the gold models as they
are: what another set of gold models would say is in that probability, and in the intervals of
the distances themselves. The verdict follows from it: `within` where all of it is at most 1,
`outside` where all of it is above, else `undecided`.

Is a verdict hardly ever `within`, that may be the doubt of few facts, not the model. The control
is each gold model held to the others, as if it were the model (`held_out`).

Arrays end in (models, golds): of each model from each gold model, first those of steps 0 and 1,
then the gold models themselves, in their order; nan in the place of a gold model's own.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from ksmith.measures.gold import Floats, Pair

STEPS = 2  # models that are no gold models: before the update and after it
Verdict = Literal["within", "outside", "undecided"]


def matrix(golds: int, far: Callable[[int, int], Floats]) -> Floats:
    """Return the array of all distances from `far` (model, gold model), which gives (...)."""
    rows = [
        [far(model, gold) if model != STEPS + gold else None for gold in range(golds)]
        for model in range(STEPS + golds)
    ]
    some = next(x for row in rows for x in row if x is not None)
    nothing = np.full_like(some, np.nan, dtype=np.float64)
    return np.stack(
        [np.stack([nothing if x is None else x for x in row], -1) for row in rows], -2
    )


def of_pairs(far: Floats, found: Sequence[Pair], golds: int) -> Floats:
    """Return the array from distances (..., pairs) that are the same in both directions."""
    column = {(pair.step, pair.gold, pair.other): i for i, pair in enumerate(found)}

    def place(model: int, gold: int) -> Floats:
        if model < STEPS:
            return far[..., column[model, gold, None]]
        one, other = sorted((gold, model - STEPS))
        return far[..., column[None, one, other]]

    return matrix(golds, place)


def means(far: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return (..., STEPS) mean distances from gold models, and (...) those among gold models.

    Args:
        far: (..., models, golds).
        counts: (..., golds) how often each gold model counts. One that comes up twice is not
            compared with itself; where no two differ the mean among them is nan.
    """
    there = ~np.isnan(far)
    of_models = np.concatenate([np.ones((*counts.shape[:-1], STEPS)), counts], -1)
    weight = there * of_models[..., None] * counts[..., None, :]
    total = np.where(there, far, 0.0) * weight
    steps = (..., slice(None, STEPS), slice(None))
    among = (..., slice(STEPS, None), slice(None))
    with np.errstate(invalid="ignore", divide="ignore"):
        of_steps = total[steps].sum(-1) / weight[steps].sum(-1)
        return of_steps, total[among].sum((-2, -1)) / weight[among].sum((-2, -1))


def relative(far: Floats) -> Floats:
    """Return (rows, STEPS) distances in units of the margin.

    Which gold model is farthest out is decided by the first row, the estimate: in each row anew
    it would be whichever was thrown farthest out by chance. nan with one gold model, or where
    gold models do not differ.

    Args:
        far: (rows, models, golds).
    """
    golds = far.shape[-1]
    if golds < 2:
        return np.full((len(far), STEPS), np.nan)
    own = [np.delete(far[:, STEPS + i], i, -1).mean(-1) for i in range(golds)]
    first = np.array([distance[0] for distance in own])
    if np.isnan(first).all():
        return np.full((len(far), STEPS), np.nan)
    margin = own[int(np.nanargmax(first))][:, None]
    mine = far[:, :STEPS].mean(-1)
    return np.divide(mine, margin, out=np.full_like(mine, np.nan), where=margin > 0)


def held_out(far: Floats) -> Floats:
    """Return (rows, golds) distances of gold models in units of the margin among the others.

    Each gold model in turn is the model, the rest are its gold models. nan where the rest do not
    differ; no columns with fewer than three. Of three, the unit is the one distance of two: the
    geometric mean of the ratios is then 1 or more (the means of two are at least their geometric
    means), as long as distances are the same in both directions.

    Args:
        far: (rows, models, golds).
    """
    golds = far.shape[-1]
    ratios: list[Floats] = []
    for i in range(golds if golds > 2 else 0):
        rest = np.delete(far[:, STEPS:], i, 2)
        as_steps = np.repeat(rest[:, i : i + 1], STEPS, 1)
        ratios.append(relative(np.concatenate([as_steps, np.delete(rest, i, 1)], 1))[:, 0])
    return np.stack(ratios, 1) if ratios else np.empty((len(far), 0))


def verdict(low: float | None, high: float | None) -> Verdict:
    """Return what the interval of a distance in units of the margin says.

    >>> verdict(0.4, 0.9), verdict(1.2, 3.0), verdict(0.8, 1.1), verdict(None, None)
    ('within', 'outside', 'undecided', 'undecided')
    """
    if low is None or high is None:
        return "undecided"
    if high <= 1:
        return "within"
    return "outside" if low > 1 else "undecided"
