"""Two samples against each other: AUC and PrivLeak, the statistic of Kolmogorov and Smirnov.

Resampling is by weights: (R, n) how often each item counts in each of R rows, so that the
estimate (all ones) and its replicates are one product.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]

LEAST = (
    -100.0
)  # PrivLeak of a model all of whose members can be told, whatever gold models leak


def auc(members: Floats, others: Floats) -> float:
    """Return how often a member's score is the *lower* one of a pair, ties half.

    The rank formula (Mann and Whitney): 1/2 says nothing, 1 tells all members. Scores that are
    no numbers are left out; nan where a class has none.
    """
    won = wins(members, others)
    return float(won.mean()) if won.size else math.nan


def wins(members: Floats, others: Floats) -> Floats:
    """Return (members, others): 1 where the member's score is lower, 1/2 where they are equal.

    Of numbers alone; what is nan has no row or column.
    """
    a, b = (scores[~np.isnan(scores)] for scores in (members, others))
    return (a[:, None] < b) + 0.5 * (a[:, None] == b)


def privleak(auc: Floats, gold: Floats) -> Floats:
    """Return 100 ((1 - AUC) - (1 - AUC_gold)) / (1 - AUC_gold), in percent.

    Shi et al. 2024, arXiv:2407.06460: 0 for a model that leaks what the gold model does, less
    where members can still be told, more where they stand out as strangers. The gold model's
    AUC is never assumed; nan where it is 1.
    """
    rest = 1 - gold
    return np.divide(
        100 * (gold - auc), rest, out=np.full(np.shape(rest), np.nan), where=rest > 0
    )


def ks(a: Floats, b: Floats) -> float:
    """Return D, the largest distance of two samples' distributions; nan where one is empty."""
    if not len(a) or not len(b):
        return math.nan
    return float(np.abs(gaps(a, b, np.ones((1, len(a))), np.ones((1, len(b))))).max())


def gaps(a: Floats, b: Floats, of_a: Floats, of_b: Floats) -> Floats:
    """Return (R, places) F_a - F_b at each distinct value; D is the largest of their sizes.

    Args:
        a: one sample.
        b: the other.
        of_a: (R, len(a)) weights.
        of_b: (R, len(b)) weights.
    """
    values = np.concatenate([a, b])
    order = np.argsort(values, kind="stable")
    # Counts are added up before they are divided: equal samples are 0 apart, not almost.
    own = np.concatenate([of_a, np.zeros_like(of_b)], 1)[:, order].cumsum(1)
    other = np.concatenate([np.zeros_like(of_a), of_b], 1)[:, order].cumsum(1)
    ranked = values[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # within a tie nothing is between them
    with np.errstate(invalid="ignore"):
        return own[:, ends] / own[:, -1:] - other[:, ends] / other[:, -1:]


def ks_p(d: float, n: int) -> tuple[float, float]:
    """Return the exact p-value of D for two samples of n each, and its logarithm to base 10.

    P(D >= k/n) = 2 sum over j of (-1)^(j+1) C(2n, n - jk) / C(2n, n), j = 1 to n/k (Gnedenko and
    Korolyuk 1951): of samples without ties; with ties the p-value is too large, if anything. The
    logarithm goes on where p is below the least number that there is.
    """
    k = round(d * n)
    if k == 0:
        return 1.0, 0.0
    at = n - k * np.arange(1, n // k + 1)
    logs = 2 * gammaln(n + 1) - gammaln(at + 1) - gammaln(2 * n - at + 1)
    signs = 1 - 2 * (np.arange(len(at)) % 2)
    rest = float((signs * np.exp(logs - logs[0])).sum())
    log = min(0.0, (math.log(2 * rest) + float(logs[0])) / math.log(10))
    return 10.0**log, log


def harmonic(parts: Floats) -> Floats:
    """Return the harmonic mean over the last axis of the parts that there are.

    nan is a part that is missing: it is left out. 0 where a part is 0; nan where none is there.
    """
    there = ~np.isnan(parts)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.where(there, 1 / parts, 0.0).sum(-1)
        return np.where(there.any(-1), there.sum(-1) / total, np.nan)
