"""Hierarchical bootstrap intervals for many means at once.

The randomness of a trial is draw > subject: an update, and the facts it was asked to change.
A replicate draws updates with replacement, then subjects within each with replacement, and
takes every mean over what came up. The picks are the same for all measures, so they are a
matrix of counts, and all replicates of all means are two matrix products.

Percentiles of such replicates are too narrow where there are few draws: a bootstrap's variance
between m draws is (m - 1)/m of what it should be, and a normal's tails are not those of a
spread that was itself estimated from m numbers. `stretch` makes up for both.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ksmith.records import derived_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REPLICATES = 2_000
LEVEL = 0.95
CELLS = 2_000_000  # picks held in memory at once
Z = 1.959963984540054  # of 95 %


def resampled(draws: Ints, seed: int) -> Floats:
    """Return (replicates, clusters): how often each cluster comes up in each replicate.

    Args:
        draws: (clusters,) the draw, counted from 0, to which each cluster (a subject) belongs;
            sorted.
        seed: same seed, same counts.
    """
    generator = np.random.default_rng(derived_seed(seed, "bootstrap"))
    clusters = len(draws)
    size = np.bincount(draws)
    start = np.cumsum(size) - size
    width = len(size) * int(size.max())
    counts = np.empty((REPLICATES, clusters))
    for first in range(0, REPLICATES, max(1, CELLS // width)):
        rows = min(max(1, CELLS // width), REPLICATES - first)
        picked = generator.integers(len(size), size=(rows, len(size)))  # draws
        uniform = generator.random((rows, len(size), int(size.max())))
        inside = (uniform * size[picked][..., None]).astype(np.int64)  # a subject of the draw
        real = np.arange(size.max()) < size[picked][..., None]
        row = np.arange(rows)[:, None, None] * clusters
        flat = (row + start[picked][..., None] + inside)[real]
        counts[first : first + rows] = np.bincount(flat, minlength=rows * clusters).reshape(
            rows, clusters
        )
    return counts


def resampled_inside(draws: Ints, rows: int, seed: int) -> Floats:
    """Return (rows, clusters): `resampled`'s counts where every draw comes up once."""
    generator = np.random.default_rng(derived_seed(seed, "bootstrap", "inside"))
    counts = [
        generator.multinomial(size, np.full(size, 1 / size), size=rows)
        for size in np.bincount(draws).tolist()
    ]
    return np.hstack(counts).astype(np.float64)


def replicates(counts: Floats, total: Floats, n: Floats) -> Floats:
    """Return (replicates, columns): the mean of each column in each replicate.

    Args:
        counts: (replicates, clusters) from `resampled`.
        total: (clusters, columns) sum of the values of a cluster's facts.
        n: (clusters, columns) how many facts of the cluster have a value; a replicate without
            any is nan.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (counts @ total) / (counts @ n)


def percentiles(means: Floats) -> tuple[Floats, Floats]:
    """Return (columns,) the lower and upper ends of the central 95 %, leaving nan out."""
    means = np.sort(means, axis=0)  # nan last
    last = np.maximum(np.count_nonzero(~np.isnan(means), axis=0) - 1, 0)
    column = np.arange(means.shape[1])

    def quantile(q: float) -> Floats:
        position = q * last
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, last)
        share = position - below
        return means[below, column] * (1 - share) + means[above, column] * share

    return quantile((1 - LEVEL) / 2), quantile((1 + LEVEL) / 2)


def stretch(draws: Ints, total: Floats, n: Floats) -> Floats:
    """Return (columns,) by how much the ends of percentile intervals must move outwards, >= 1.

    With V_b and V_w the variances of a mean that come from between draws and from subjects
    within them, both without bias, the factor is

        t(df) / z * sqrt((V_b + V_w) / (what the bootstrap has for them))
        df = (V_b + V_w)^2 / (V_b^2 / (m - 1) + V_w^2 / (c - m))       Satterthwaite 1946

    for m draws of c subjects. Where every draw is one subject, that is Student's interval; with
    one draw it is Student's over subjects and says nothing about other draws.

    Args:
        draws: (clusters,) as for `resampled`.
        total: (clusters, columns) and
        n: (clusters, columns), as for `replicates`.
    """
    start = np.flatnonzero(np.diff(draws, prepend=-1))
    rest = total - total.sum(0) / n.sum(0) * n  # of each cluster, around the mean
    of_draw = np.add.reduceat(rest, start)  # (draws, columns)
    size = np.add.reduceat((n > 0).astype(np.float64), start)  # subjects with a value
    inside = np.add.reduceat(rest**2, start) - of_draw**2 / np.maximum(size, 1)
    between_0, within_0 = (of_draw**2).sum(0), inside.sum(0)  # as the bootstrap has them
    m = (size > 0).sum(0)
    between = between_0 * m / np.maximum(m - 1, 1) * (m > 1)
    within = (inside * size / np.maximum(size - 1, 1)).sum(0)
    return widening((between, within), between_0 * (m > 1) + within_0, (m - 1, size.sum(0) - m))


def widening(parts: Sequence[Floats], had: Floats, df: Sequence[Floats | Ints | int]) -> Floats:
    """Return `stretch`'s factor: parts of a variance, what a bootstrap had for their sum.

    Args:
        parts: the variances, without bias, that come from each level (between groups, within
            them, and so on).
        had: the bootstrap's variance; where it is 0, nothing can be stretched, and 1 comes back.
        df: the degrees of freedom that each part was estimated with.
    """
    whole = np.sum(parts, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        doubt = sum(part**2 / np.maximum(f, 1) for part, f in zip(parts, df, strict=True))
        factor = stdtrit(whole**2 / doubt, (1 + LEVEL) / 2) / Z * np.sqrt(whole / had)
    return np.where((had > 0) & np.isfinite(factor), np.maximum(factor, 1.0), 1.0)


def unseen_share(n: Floats) -> Floats:
    """Return how large a share of all may be of a kind that none of `n` independent ones showed.

    The exact 97.5 % limit: (1 - share)^n = .025, a Clopper-Pearson interval's end.

    >>> round(float(unseen_share(np.array([20.0]))[0]), 3)
    0.168
    """
    return 1 - ((1 - LEVEL) / 2) ** (1 / n)
