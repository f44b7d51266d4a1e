"""Hierarchical bootstrap intervals for many means at once.

The randomness of a trial is draw > subject: an update, and the facts it was asked to change.
A replicate draws updates with replacement, then subjects within each with replacement, and
takes every mean over what came up. The picks are the same for all measures, so they are a
matrix of counts, and all replicates of all means are two matrix products.
"""

import numpy as np
from numpy.typing import NDArray

from ksmith.records import derived_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REPLICATES = 2_000
LEVEL = 0.95
CELLS = 2_000_000  # picks held in memory at once


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


def unseen_share(n: Floats) -> Floats:
    """Return how large a share of all facts may be of a kind that none of `n` facts showed.

    The exact 97.5 % limit: (1 - share)^n = .025, a Clopper-Pearson interval's end.

    >>> round(float(unseen_share(np.array([20.0]))[0]), 3)
    0.168
    """
    return 1 - ((1 - LEVEL) / 2) ** (1 / n)
