"""From rows of answers to metrics: a mean within each fact, a mean over facts, an interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import drift, memory, sequence, spread
from ksmith.measures.answers import targets, with_known
from ksmith.measures.drift import DRIFT, OBJECTIVE
from ksmith.measures.facts import ALL_HOPS, SCHEMA, UNIT, of_columns, within
from ksmith.measures.means import KEYS, Floats, Means, joined, means
from ksmith.measures.memory_table import MEMORY
from ksmith.measures.prepared import PREPARED
from ksmith.measures.sequence import SEQUENCE
from ksmith.measures.slices import BY_HOP, OF_SEQUENCES, SLICES, TRAINED
from ksmith.measures.spread_table import COMBINED, MODES, SPREAD
from ksmith.measures.table import MEASURES
from ksmith.records import Metric


class Bounded(Protocol):
    """What every table says of a measure."""

    @property
    def doc(self) -> str: ...
    @property
    def better(self) -> str: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


PARTS = ("efficacy", "paraphrase", "neighborhood")  # of the scores of benchmarks ...
SCORES = {"counterfact": "success", "zsre": "token_accuracy"}  # ... all by this measure
PROBES = tuple(dict.fromkeys(name for m in MEASURES.values() for name in m.probes))
# What stands in a metric's probe for the measures of several: its table.
TABLES: dict[str, Mapping[str, Bounded]] = {
    "spread": {**SPREAD, **COMBINED},
    "drift": DRIFT,
    "objective": OBJECTIVE,
    "sequence": SEQUENCE,
    "memory": MEMORY,
}


def metrics(
    rows: pl.DataFrame,
    seed: int,
    moved: pl.DataFrame | None = None,
    written: pl.DataFrame | None = None,
    sets: pl.DataFrame | None = None,
) -> list[Metric]:
    """Return every measure of every probe, slice and hop in `rows`, at each step.

    Args:
        rows: answers of one trial (see `answers.SCHEMA`), step 0 included where there is one.
        seed: of the bootstrap.
        moved: what was measured on weights and activations (see `drift.SCHEMA`), if anything.
        written: of a sequence, what was seen while it was written (see `sequence.SCHEMA`).
        sets: what was seen of forget, retain and holdout sets (see `memory.SCHEMA`), if anything.
    """
    prepared = _prepared(rows)
    tables = [_facts(prepared, tuple(SLICES), tuple(MEASURES), several=True)]
    held = prepared.filter(~TRAINED)
    if moved is not None:
        tables.append(drift.facts(held, moved))
    if written is not None:
        tables.append(sequence.facts(held, written))
    if sets is not None:
        knew = prepared.filter("known").select("draw", "fact").unique()
        tables.append(memory.facts(sets, knew).select(list(SCHEMA)))
    families = pl.concat(tables).partition_by("family", maintain_order=True)
    found = [metric for part in families for metric in _summary(part, seed)]
    return sorted([*found, *_skipped(prepared)], key=_place)


def facts(
    rows: pl.DataFrame,
    slices: Iterable[str] = tuple(SLICES),
    measures: Sequence[str] = tuple(MEASURES),
    *,
    several: bool = True,
) -> pl.DataFrame:
    """Return the mean of each measure within each fact, a row for each slice and hop it is in.

    Columns: step, probe, measure, slice, hop (-1: all), family, draw, cluster, unit, value.
    A unit is a requested fact with all that is asked about it (for probe "known" any fact, for
    "utility" a sentence); what is asked because of one requested subject is a cluster. For the
    measures of several probes see `spread.facts`.
    """
    return _facts(_prepared(rows), slices, measures, several=several)


def _facts(
    prepared: pl.DataFrame, slices: Iterable[str], measures: Sequence[str], *, several: bool
) -> pl.DataFrame:
    left_out = () if prepared["written_at"].count() else OF_SEQUENCES
    wanted = [name for name in slices if name in SLICES and name not in left_out]
    own = [name for name in measures if name in MEASURES]
    inside = {
        name: pl.col("probe").is_in(SLICES[name][1])
        & SLICES[name][0]
        & (pl.lit(True) if name == "trained" else ~TRAINED)
        for name in wanted
    }
    asked = within(_measured(prepared, own), inside)
    by_hop = asked.filter(pl.col("probe").is_in(BY_HOP))
    tables = [of_columns(pl.concat([asked.with_columns(hop=ALL_HOPS), by_hop]), own)]
    if several:  # measures of several probes at once
        held = prepared.filter(~TRAINED)
        tables += [spread.facts(held), drift.task_facts(held)]
    return pl.concat(tables)


def _prepared(rows: pl.DataFrame) -> pl.DataFrame:
    """Return units, clusters and what `PREPARED` makes, in an order that rows cannot change."""
    rows = with_known(rows)
    rows = rows.join(targets(rows), on="request", how="left").sort("step", "question")
    # After the update nobody asks what was known before it.
    rows = rows.filter((pl.col("probe") != "known") | (pl.col("step") == 0))
    alone = pl.col("request") == ""
    rows = rows.with_columns(
        # What belongs to the whole draw is resampled by itself.
        family=pl.when(alone).then("probe").otherwise(pl.lit("")),
        unit=pl.when(alone | (pl.col("probe") == "known")).then("fact").otherwise("request"),
        cluster=pl.when(alone).then("fact").otherwise(pl.coalesce("of", "request")),
    )
    for layer in PREPARED:
        rows = rows.with_columns(**layer)
    return rows


def _measured(rows: pl.DataFrame, measures: Sequence[str]) -> pl.DataFrame:
    """Return units, clusters, what slices go by, and one column a measure."""
    before = rows.filter(pl.col("step") == 0).select(
        "question", best_before="best", said_before="said", predicted_before="predicted"
    )
    rows = rows.join(before, on="question", how="left", maintain_order="left")
    return rows.select(
        "step", "probe", "question", "hop", "wording", "stored", "known", "context",
        "written_at", "trained",
        *UNIT,
        **{name: MEASURES[name].column for name in measures},
    )  # fmt: skip


def harmonic(parts: Floats) -> Floats:
    """Return the harmonic mean over the first axis; 0 where a part is 0."""
    with np.errstate(divide="ignore"):
        return len(parts) / (1 / parts).sum(0)


Name = tuple[int, str, str, str, int]  # KEYS


def _summary(table: pl.DataFrame, seed: int) -> list[Metric]:
    keys, found = means(table, seed)
    names = [tuple(row) for row in keys.select(KEYS).iter_rows()]
    limits = [bounds(name[1], name[2]) for name in names]
    names, found, more = _with_combined(names, found)
    limits += more
    low = np.array([-np.inf if pair[0] is None else pair[0] for pair in limits])
    high = np.array([np.inf if pair[1] is None else pair[1] for pair in limits])
    lower, upper = found.interval(low, high)
    known = np.isfinite(found.value)  # a ratio to nothing is no number
    return [
        Metric(
            step=step,
            probe=probe,
            measure=measure,
            slice=part,
            hop=None if hop < 0 else hop,
            value=float(found.value[i]),
            n=int(found.n[i]),
            low=lower[i],
            high=upper[i],
        )
        for i, (step, probe, measure, part, hop) in enumerate(names)
        if known[i]
    ]


def bounds(probe: str, measure: str) -> tuple[float | None, float | None]:
    """Return the least and the greatest value of a measure, None where nothing bounds it."""
    known = TABLES.get(probe, MEASURES)[measure]
    return known.low, known.high


def _with_combined(
    names: Sequence[Name], found: Means
) -> tuple[list[Name], Means, list[tuple[float | None, float | None]]]:
    """Return the columns and those made of them, with the bounds of the latter.

    The scores of benchmarks, and what `spread_table.COMBINED` has, wherever all parts are there.
    """
    every = list(names)
    limits: list[tuple[float | None, float | None]] = []
    combined = [found]
    wanted = [
        (probe, "score", [(part, measure) for part in PARTS], harmonic)
        for probe, measure in SCORES.items()
    ]
    wanted += [
        (spread.PROBE, name, [(spread.PROBE, part) for part in made.parts], COMBINE[name])
        for name, made in COMBINED.items()
    ]
    for probe, measure, parts, combine in wanted:
        made, columns = _places(names, probe, measure, parts)
        if made:
            every += made
            high = COMBINED[measure].high if measure in COMBINED else 1.0
            combined.append(_combined(found, columns, combine, high))
            limits += [(0.0, high)] * len(made)
    return every, joined(combined), limits


def _places(
    names: Sequence[Name], probe: str, measure: str, parts: Sequence[tuple[str, str]]
) -> tuple[list[Name], NDArray[np.int64]]:
    """Return the names of what can be made, and (parts, made) the columns of their parts."""
    wanted = set(parts)
    place = {name: i for i, name in enumerate(names) if name[1:3] in wanted}
    made: list[Name] = []
    columns: list[list[int]] = []
    for step, *_, part, hop in [name for name in place if name[1:3] == parts[0]]:
        own = [place.get((step, *of, part, hop)) for of in parts]
        present = [column for column in own if column is not None]
        if len(present) == len(parts):
            made.append((step, probe, measure, part, hop))
            columns.append(present)
    return made, np.array(columns, dtype=np.int64).reshape(len(made), len(parts)).T


def _combined(
    found: Means,
    parts: NDArray[np.int64],
    combine: Callable[[Floats], Floats],
    high: float | None,
) -> Means:
    """Return what is made of (parts, made) columns of `found`."""
    value = combine(found.value[parts])
    pairs, first, place = np.unique(
        found.place[parts], return_index=True, return_inverse=True, axis=1
    )
    sampled = combine(found.sampled.T[pairs]).T
    # A harmonic mean is 0 in every replicate where one part is 0 for all facts.
    same = (sampled == value[first]).all(0)[place]
    open_ended = found.constant[parts].any(0) & (high is None)
    return Means(
        value=value,
        n=found.n[parts].min(0),
        # Of a constant without a highest value (a ratio) nothing says how far it could be off.
        clusters=np.where(open_ended, 0, found.clusters[parts].min(0)),
        draws=found.draws[parts].min(0),
        constant=found.constant[parts].all(0) | same,
        sampled=sampled,
        place=place,
        stretch=found.stretch[parts].max(0),
    )


def ratio(parts: Floats) -> Floats:
    """Return the first over the second; nan where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(parts[1] > 0, parts[0] / parts[1], np.nan)


def closeness(parts: Floats) -> Floats:
    """Return 1 - |first - second|."""
    return 1 - np.abs(parts[0] - parts[1])


COMBINE = {
    f"{name}{mode.end}": combine
    for mode in MODES
    for name, combine in (("ccr_ratio", ratio), ("consistency", closeness))
}


def _skipped(prepared: pl.DataFrame) -> list[Metric]:
    """Return how many questions of each probe got no answer, and how many facts it is about."""
    unit = pl.struct("draw", pl.when(pl.col("request") == "").then("fact").otherwise("request"))
    counts = prepared.group_by("step", "probe").agg(
        skipped=(~pl.col("answered")).sum(), n=unit.n_unique()
    )
    return [
        Metric(step=step, probe=probe, measure="skipped", value=float(skipped), n=n)
        for step, probe, skipped, n in counts.iter_rows()
    ]


def _place(metric: Metric) -> tuple[int | str, ...]:
    """Return where a metric stands in a list: as the tables in `table` have it."""
    # What is not among the names stands behind them.
    return (
        metric.step,
        ORDER.get(metric.probe, len(ORDER)),
        metric.probe,
        ORDER_OF_SLICES.get(metric.slice, len(SLICES)),
        metric.slice,
        metric.hop or 0,
        ORDER_OF_MEASURES[metric.probe if metric.probe in TABLES else ""][metric.measure],
    )


def _order(names: Iterable[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


ORDER = _order((*PROBES, *SCORES, *TABLES))
ORDER_OF_SLICES = _order(SLICES)
ORDER_OF_MEASURES = {
    "": _order((*MEASURES, "score", "skipped")),
    **{probe: _order(table) for probe, table in TABLES.items()},
}
