"""Numbers about gold models on their way to metrics: what they rest upon, and their intervals.

Intervals are those of gold seed > draw > subject, and their ends are moved outwards where there
are few of them: see `gold_resampled`, which also says what stands in the rows of a number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ksmith.measures.gold import Floats
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.means import Means
from ksmith.records import Metric

# measure -> the highest value that it can have; the lowest is 0. A difference has no bounds.
HIGHEST = {
    **dict.fromkeys(("gold_distance", "gold_distance_vocabulary", "gold_margin"), np.inf),
    "gold_cka": np.inf,
    **dict.fromkeys(("gold_divergence", "gold_noise", "gold_agreement"), 1.0),
    **dict.fromkeys(("gold_unanimity", "gold_accuracy"), 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One metric before its interval."""

    step: int
    probe: str
    measure: str
    slice: str
    hop: int | None = None
    many: Floats  # (rows,) of `Resampled`
    n: int  # facts
    clusters: int  # subjects
    draws: int


def summary(
    found: Sequence[Number], drawn: Resampled, bounds: Mapping[str, float]
) -> list[Metric]:
    """Return numbers with their intervals; without facts, or noise to measure by, there is none.

    `bounds` holds the highest value of each measure that can't be below 0.
    """
    there = [number for number in found if np.isfinite(number.many[0])]
    if not there:
        return []
    value = np.array([number.many[0] for number in there])
    lowest = np.array([0.0 if number.measure in bounds else -np.inf for number in there])
    highest = np.array([bounds.get(number.measure, np.inf) for number in there])
    many = np.stack([number.many for number in there], 1)
    clusters, draws = (
        np.array([getattr(number, name) for number in there], dtype=np.float64)
        for name in ("clusters", "draws")
    )
    means = Means(
        value=value,
        n=np.array([number.n for number in there], dtype=np.float64),
        clusters=clusters,
        draws=draws,
        constant=np.isfinite(highest) & ((value == 0) | (value == 1)),
        sampled=many[drawn.parts[-1]],
        place=np.arange(len(there)),
        stretch=drawn.stretch(many, draws, clusters),
    )
    low, high = means.interval(lowest, highest)
    return [
        Metric(
            step=number.step,
            probe=number.probe,
            measure=number.measure,
            slice=number.slice,
            hop=number.hop,
            value=float(number.many[0]),
            n=number.n,
            low=low[i],
            high=high[i],
        )
        for i, number in enumerate(there)
    ]


# --- in units of the margin --------------------------------------------------------------------


def in_margins(
    found: Sequence[Number], drawn: Resampled, bounds: Mapping[str, float]
) -> list[Metric]:
    """Return distances in units of the margin, with intervals of their logarithms.

    A ratio errs by factors. And resampled distances are larger than those of the sample itself,
    small ones (as the margin is) the most: each part of the rows is moved so that its middle
    lies at the estimate, since how far they scatter is what is asked of them.
    """
    some = [number for number in found if number.many[0] > 0]
    logs = [replace(number, many=_centred(number.many, drawn)) for number in some]
    made = [
        replace(
            metric,
            value=math.exp(metric.value),
            low=None if metric.low is None else math.exp(metric.low),
            high=None if metric.high is None else math.exp(min(metric.high, 700.0)),
        )
        for metric in summary(logs, drawn, {})
    ]
    # No distance at all has no logarithm.
    rest = [number for number in found if number.many[0] == 0]
    return [*made, *summary(rest, drawn, bounds)]


LEAST = 1e-3  # of the estimate: what a row without any distance counts as


def _centred(many: Floats, drawn: Resampled) -> Floats:
    """Return (rows,) logarithms, each part of the rows around the first."""
    logs = np.log(np.maximum(many, LEAST * many[0]))
    for part in drawn.parts:
        there = logs[part][np.isfinite(logs[part])]
        if there.size:
            logs[part] += logs[0] - there.mean()
    return logs
