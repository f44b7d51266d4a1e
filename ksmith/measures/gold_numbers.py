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
    **dict.fromkeys(("gold_distance", "gold_distance_vocabulary", "gold_cka"), np.inf),
    **dict.fromkeys(("gold_margin", "gold_margin_gold"), np.inf),
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
    # (rows,) no less than how far the number is too high, resampled; None: its own replicates tell
    over: Floats | None = None
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
    if any(number.over is not None for number in there):
        under, above = (_ends(there, drawn, name) for name in ("low", "high"))
        low, _ = replace(means, sampled=under).interval(lowest, highest)
        _, high = replace(means, sampled=above).interval(lowest, highest)
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


def _ends(found: Sequence[Number], drawn: Resampled, end: str) -> Floats:
    """Return (replicates, numbers) whose percentiles are one end of the intervals.

    A largest distance (`Number.over`) is too large, and resampled it is larger still: at 0, where
    it has no derivative, its own replicates have nothing to do with how it errs (Duembgen 1993;
    Fang and Santos 2019, doi 10.1093/restud/rdy049), and no percentile of them, reversed or moved,
    makes an interval. Its error has a bound, whatever the distance is: that of the function that
    it is the largest of, by the triangle inequality, and that function can be resampled (Bickel
    and Freedman 1981). So much lies below. Above, where only what the function is at one place
    can be missed, the scatter of the replicates around their mean does.
    """
    rows = drawn.parts[-1]
    columns: list[Floats] = []
    for number in found:
        many, value = number.many[rows], number.many[0]
        if number.over is None:
            columns.append(many)
        elif end == "low":
            columns.append(value - number.over[rows])
        else:
            columns.append(value + many - np.nanmean(many))
    return np.stack(columns, 1)


# --- in units of the margin --------------------------------------------------------------------


def in_margins(
    found: Sequence[Number], drawn: Resampled, bounds: Mapping[str, float]
) -> list[Metric]:
    """Return distances in units of the margin, with intervals of their logarithms.

    A ratio errs by factors. And resampled distances are larger than those of the sample itself,
    small ones (as the margin is) the most: each part of the rows is moved so that its middle
    lies at the estimate, since how far they scatter is what is asked of them.

    Several of one name are of a gold model each: one metric comes back, the geometric means of
    values and of ends. So it has the interval of one gold model, as the model under study has:
    that of the mean would be narrower, and hide how much so few facts leave open.
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
    named: dict[tuple[object, ...], list[Metric]] = {}
    for metric in [*made, *summary(rest, drawn, bounds)]:
        key = (metric.step, metric.probe, metric.measure, metric.slice, metric.hop)
        named.setdefault(key, []).append(metric)
    return [same[0] if len(same) == 1 else _as_one(same) for same in named.values()]


def _as_one(same: Sequence[Metric]) -> Metric:
    """Return the metric whose value and ends are geometric means of those of several."""

    def mean(ends: Sequence[float | None]) -> float | None:
        there = [end for end in ends if end is not None]
        if len(there) < len(ends):
            return None
        return 0.0 if min(there) == 0 else math.exp(float(np.mean(np.log(there))))

    return replace(
        same[0],
        value=mean([metric.value for metric in same]) or 0.0,
        low=mean([metric.low for metric in same]),
        high=mean([metric.high for metric in same]),
    )


LEAST = 1e-3  # of the estimate: what a row without any distance counts as


def _centred(many: Floats, drawn: Resampled) -> Floats:
    """Return (rows,) logarithms, each part of the rows around the first."""
    logs = np.log(np.maximum(many, LEAST * many[0]))
    for part in drawn.parts:
        there = logs[part][np.isfinite(logs[part])]
        if there.size:
            logs[part] += logs[0] - there.mean()
    return logs
