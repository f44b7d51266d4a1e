"""From rows of answers to metrics: a mean within each fact, a mean over facts, an interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import drift, memory, sequence, spread
from ksmith.measures.answers import targets, with_known
from ksmith.measures.bootstrap import (
    percentiles,
    replicates,
    resampled,
    stretch,
    unseen_share,
)
from ksmith.measures.drift import DRIFT, OBJECTIVE
from ksmith.measures.memory_table import MEMORY
from ksmith.measures.sequence import SEQUENCE
from ksmith.measures.spread import COMBINED, SPREAD
from ksmith.measures.table import BY_HOP, MEASURES, OF_SEQUENCES, PREPARED, SLICES, TRAINED
from ksmith.records import Metric

Floats = NDArray[np.float64]


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


KEYS = ("step", "probe", "measure", "slice", "hop")  # hop -1: over all hops
UNIT = ("family", "draw", "cluster", "unit")
COLUMNS = ("step", "probe", "measure", *UNIT, "value", "slice", "hop")  # of a table of facts
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
    tables = [facts(rows)]
    prepared = rows
    if moved is not None or written is not None:
        prepared = _prepared(with_known(rows)).filter(~TRAINED)
    if moved is not None:
        tables.append(drift.facts(prepared, moved).select(COLUMNS))
    if written is not None:
        tables.append(sequence.facts(prepared, written).select(COLUMNS))
    if sets is not None:
        knew = with_known(rows).filter("known").select("draw", "fact").unique()
        tables.append(memory.facts(sets, knew).select(COLUMNS))
    table = pl.concat(tables)
    found = [
        metric
        for _, part in sorted(table.group_by("family"), key=_family)
        for metric in _summary(part, seed)
    ]
    return sorted([*found, *_skipped(rows)], key=_place)


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
    rows = _prepared(with_known(rows))
    prepared = _measured(rows)
    means: list[pl.DataFrame] = []
    own = [name for name in measures if name in MEASURES]
    left_out = () if rows["written_at"].count() else OF_SEQUENCES
    for name in [name for name in slices if name in SLICES and name not in left_out and own]:
        inside, probes = SLICES[name]
        held = pl.lit(True) if name == "trained" else ~TRAINED
        part = prepared.filter(pl.col("probe").is_in(probes) & inside & held)
        means.append(_means(part.with_columns(hop=pl.lit(-1)), name, own))
        hops = part.filter(pl.col("probe").is_in(BY_HOP))
        means.append(_means(hops, name, own))
    if several:  # measures of several probes at once
        rows = rows.filter(~TRAINED)
        tables = (spread.facts(rows), drift.task_facts(rows))
        means += [table.select(COLUMNS) for table in tables]
    return pl.concat(means)


def _family(group: tuple[tuple[object, ...], pl.DataFrame]) -> str:
    return str(group[0])


def _prepared(rows: pl.DataFrame) -> pl.DataFrame:
    """Return units, clusters and what `PREPARED` makes, in an order that rows cannot change."""
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


def _measured(rows: pl.DataFrame) -> pl.DataFrame:
    """Return units, clusters, what slices go by, and one column a measure."""
    before = rows.filter(pl.col("step") == 0).select(
        "question", best_before="best", said_before="said", predicted_before="predicted"
    )
    rows = rows.join(before, on="question", how="left", maintain_order="left")
    return rows.select(
        "step", "probe", "question", "hop", "wording", "stored", "known", "context",
        "written_at", "trained",
        *UNIT,
        **{name: measure.column for name, measure in MEASURES.items()},
    )  # fmt: skip


def _means(part: pl.DataFrame, name: str, measures: Sequence[str]) -> pl.DataFrame:
    keys = ["step", "probe", "hop", *UNIT]
    return (
        part.group_by(keys, maintain_order=True)
        .agg(pl.col(measures).mean())
        .unpivot(measures, index=keys, variable_name="measure", value_name="value")
        .filter(pl.col("value").is_not_null())
        .select(
            *("step", "probe", "measure", *UNIT, "value"),
            slice=pl.lit(name),
            hop=pl.col("hop").cast(pl.Int32),
        )
    )


# --- means and intervals ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Columns of means, side by side: (columns,) each, `sampled` (replicates, columns)."""

    value: Floats
    n: Floats  # facts
    clusters: Floats  # subjects
    draws: Floats
    constant: NDArray[np.bool_]  # all facts have the same value
    sampled: Floats
    stretch: Floats  # what few draws or subjects add to the width of a bootstrap's interval

    def interval(
        self, low: Floats, high: Floats
    ) -> tuple[list[float | None], list[float | None]]:
        """Return the ends of the 95 % intervals of values that lie in `low` to `high`.

        They are percentiles of the hierarchical bootstrap, moved outwards by `stretch`.

        Departs: resampling a constant gives an interval without width, however few facts there
        are. There, the ends are what they would be if what may well have been missed (an exact
        binomial limit) all lay at the bound. It is counted in draws, not in facts: facts of one
        update stand or fall together by an unknown degree, which is just what a constant can't
        show. If draws have rates X of mean p, all k facts of m draws succeed with probability
        E[X^k]^m, at most p^m whatever the distribution of X, so the limit of m covers always;
        that of n = m k facts only where draws do not differ. One draw says nothing about
        others: its interval is about other subjects of the same update.
        """
        lower, upper = percentiles(self.sampled)
        lower = self.value - self.stretch * np.maximum(self.value - lower, 0)
        upper = self.value + self.stretch * np.maximum(upper - self.value, 0)
        lower, upper = np.maximum(lower, low), np.minimum(upper, high)
        slack = unseen_share(np.where(self.draws > 1, self.draws, np.maximum(self.clusters, 1)))
        bounded = self.constant & np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            lower = np.where(bounded, self.value - slack * (self.value - low), lower)
            upper = np.where(bounded, self.value + slack * (high - self.value), upper)
        enough = (self.n >= 2) & (self.clusters >= 2)
        return _where(enough, lower), _where(enough, upper)


def _where(enough: NDArray[np.bool_], ends: Floats) -> list[float | None]:
    return [float(e) if ok else None for ok, e in zip(enough, ends, strict=True)]


def means(table: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, Means]:
    """Return the distinct KEYS of a `facts` table, sorted, and their means."""
    clusters = table.select("draw", "cluster").unique().sort("draw", "cluster")
    keys = table.group_by(KEYS).agg(
        constant=pl.col("value").min() == pl.col("value").max(),
        clusters=pl.struct("draw", "cluster").n_unique(),
        draws=pl.col("draw").n_unique(),
    )
    keys = keys.sort(KEYS)
    placed = (
        table.join(clusters.with_row_index("row"), on=["draw", "cluster"])
        .join(keys.select(KEYS).with_row_index("column"), on=KEYS)
        .sort("column", "row", "unit")  # sums in one order give the same bits
    )
    shape = (len(clusters), len(keys))
    flat = placed["row"].to_numpy().astype(np.int64) * shape[1] + placed["column"].to_numpy()
    size = shape[0] * shape[1]
    total = (
        np.bincount(flat, placed["value"].to_numpy(), size).reshape(shape).astype(np.float64)
    )
    n = np.bincount(flat, minlength=size).reshape(shape).astype(np.float64)
    draws = clusters["draw"].rank("dense").to_numpy().astype(np.int64) - 1
    return keys, Means(
        value=total.sum(0) / n.sum(0),
        n=n.sum(0),
        clusters=keys["clusters"].to_numpy().astype(np.float64),
        draws=keys["draws"].to_numpy().astype(np.float64),
        constant=keys["constant"].to_numpy(),
        sampled=replicates(resampled(draws, seed), total, n),
        stretch=stretch(draws, total, n),
    )


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

    The scores of benchmarks, and what `spread.COMBINED` has, wherever all parts are there.
    """
    every = list(names)
    limits: list[tuple[float | None, float | None]] = []
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
            found = _joined(found, columns, combine, high)
            limits += [(0.0, high)] * len(made)
    return every, found, limits


def _places(
    names: Sequence[Name], probe: str, measure: str, parts: Sequence[tuple[str, str]]
) -> tuple[list[Name], NDArray[np.int64]]:
    """Return the names of what can be made, and (parts, made) the columns of their parts."""
    place = {name: i for i, name in enumerate(names)}
    made: list[Name] = []
    columns: list[list[int]] = []
    for step, part, hop in sorted({(name[0], name[3], name[4]) for name in names}):
        own = [place.get((step, *of, part, hop)) for of in parts]
        present = [column for column in own if column is not None]
        if len(present) == len(parts):
            made.append((step, probe, measure, part, hop))
            columns.append(present)
    return made, np.array(columns, dtype=np.int64).reshape(len(made), len(parts)).T


def _joined(
    found: Means,
    parts: NDArray[np.int64],
    combine: Callable[[Floats], Floats],
    high: float | None,
) -> Means:
    value, sampled = combine(found.value[parts]), combine(found.sampled.T[parts]).T
    # A harmonic mean is 0 in every replicate where one part is 0 for all facts.
    constant = found.constant[parts].all(0) | (sampled == value).all(0)
    open_ended = found.constant[parts].any(0) & (high is None)
    return Means(
        value=np.append(found.value, value),
        n=np.append(found.n, found.n[parts].min(0)),
        # Of a constant without a highest value (a ratio) nothing says how far it could be off.
        clusters=np.append(
            found.clusters, np.where(open_ended, 0, found.clusters[parts].min(0))
        ),
        draws=np.append(found.draws, found.draws[parts].min(0)),
        constant=np.append(found.constant, constant),
        sampled=np.hstack([found.sampled, sampled]),
        stretch=np.append(found.stretch, found.stretch[parts].max(0)),
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
    for mode in spread.MODES
    for name, combine in (("ccr_ratio", ratio), ("consistency", closeness))
}


def _skipped(rows: pl.DataFrame) -> list[Metric]:
    """Return how many questions of each probe got no answer, and how many facts it is about."""
    unit = pl.struct("draw", pl.when(pl.col("request") == "").then("fact").otherwise("request"))
    counts = (
        rows.filter((pl.col("probe") != "known") | (pl.col("step") == 0))
        .with_columns(**PREPARED[0])
        .group_by("step", "probe")
        .agg(skipped=(~pl.col("answered")).sum(), n=unit.n_unique())
    )
    return [
        Metric(step=step, probe=probe, measure="skipped", value=float(skipped), n=n)
        for step, probe, skipped, n in counts.iter_rows()
    ]


def _place(metric: Metric) -> tuple[int | str, ...]:
    """Return where a metric stands in a list: as the tables in `table` have it."""
    probes = (*PROBES, *SCORES, *TABLES)
    own = tuple(TABLES.get(metric.probe, (*MEASURES, "score", "skipped")))
    return (
        metric.step,
        _index(probes, metric.probe),
        metric.probe,
        _index(tuple(SLICES), metric.slice),
        metric.slice,
        metric.hop or 0,
        own.index(metric.measure),
    )


def _index(names: Sequence[str], name: str) -> int:
    """Return the place of `name`, behind all others where it is not among them."""
    return names.index(name) if name in names else len(names)
