"""From pairs of models to metrics: distances in units of gold-to-gold distance, and agreement.

Intervals are those of gold seed > draw > subject. Gold seeds and draws cross (each draw has a
gold model of each seed), so a replicate draws gold models, and updates with their subjects, each
with replacement, and takes every mean over what came up: of a distance and of its unit alike.
Arrays have the estimate itself in row 0 and the replicates behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ksmith.measures.bootstrap import replicates, resampled
from ksmith.measures.compare import Difference
from ksmith.measures.gold import (
    ALL,
    KINDS,
    PARTS,
    Compared,
    Floats,
    Group,
    Ints,
    groups,
    over,
    pairs,
    picked,
)
from ksmith.measures.metrics import Means
from ksmith.records import Metric

BALANCED = "balanced"
HALVES = ("changed", "kept")  # of what is balanced

# kind of pair -> measures: in units of the noise, as it is, among gold models
NAMES: dict[str, tuple[str | None, str | None, str | None]] = {
    "divergence": ("gold_distance", "gold_divergence", "gold_noise"),
    "vocabulary": ("gold_distance_vocabulary", None, None),
    "agrees": (None, "gold_agreement", "gold_unanimity"),
}
BOUNDED = ("gold_divergence", "gold_noise", "gold_agreement", "gold_unanimity", "gold_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One metric before its interval."""

    step: int
    probe: str
    measure: str
    slice: str
    hop: int | None = None
    many: Floats  # (1 + replicates,)
    n: int  # facts
    clusters: int  # subjects


@dataclass(frozen=True, slots=True)
class Resampled:
    """Which facts belong together, and how often each comes up in each replicate."""

    unit: Ints  # (questions,) the fact that each is about
    cluster: Ints  # (units,) the subject that each fact is about
    draw: Ints  # (clusters,)
    counts: Floats  # (1 + replicates, clusters)
    golds: Floats  # (1 + replicates, golds)

    @classmethod
    def of(cls, questions: pl.DataFrame, golds: int, seed: int) -> "Resampled":
        """Return what the bootstrap of `seed` draws."""
        clusters = questions.select("draw", "cluster").unique().sort("draw", "cluster")
        units = questions.select("draw", "cluster", "unit").unique().sort(pl.all())
        row = {key: i for i, key in enumerate(clusters.iter_rows())}
        place = {key: i for i, key in enumerate(units.iter_rows())}
        mine = questions.select("draw", "cluster", "unit").iter_rows()
        draw = clusters["draw"].rank("dense").to_numpy().astype(np.int64) - 1
        counts = resampled(draw, seed)
        return cls(
            unit=np.array([place[key] for key in mine]),
            cluster=np.array([row[key[:2]] for key in units.iter_rows()]),
            draw=draw,
            counts=np.vstack([np.ones(len(draw)), counts]),
            golds=np.vstack([np.ones(golds), picked(golds, seed)]),
        )

    def sums(self, values: Floats, rows: Ints) -> tuple[Floats, Floats]:
        """Return (clusters, columns): sums of the facts' means, and how many facts have one.

        Args:
            values: (len(rows), columns); nan is left out.
            rows: the questions that they belong to.
        """
        there = ~np.isnan(values)
        units = np.zeros((2, len(self.cluster), values.shape[1]))
        np.add.at(units[0], self.unit[rows], np.where(there, values, 0.0))
        np.add.at(units[1], self.unit[rows], there)
        asked = units[1] > 0
        found = np.zeros((2, len(self.draw), values.shape[1]))
        means = np.divide(units[0], units[1], out=np.zeros_like(units[0]), where=asked)
        np.add.at(found[0], self.cluster, means)
        np.add.at(found[1], self.cluster, asked)
        return found[0], found[1]


def metrics(compared: Compared, drawn: Resampled) -> list[Metric]:
    """Return what a trial says about its gold models; the rows of step 0 are the control."""
    found: list[Number] = []
    for group in groups(compared.questions):
        if group.rows.any():
            found += _numbers(compared, group, drawn)
    return summary([*found, *_balanced(found)])


def _numbers(compared: Compared, group: Group, drawn: Resampled) -> Iterator[Number]:
    """Yield the numbers of one group of questions."""
    rows = np.flatnonzero(group.rows)
    for k, kind in enumerate(KINDS):
        total, n = drawn.sums(compared.far[rows, :, k], rows)
        means = replicates(drawn.counts, total, n)
        *models, noise = over(means, compared.pairs, drawn.golds)
        relative, plain, among = NAMES[kind]
        for step, far in enumerate(models):
            if relative:
                yield _number(group, step, relative, in_units(far, noise), n)
            if plain:
                yield _number(group, step, plain, far, n)
        if among:
            yield _number(group, 1, among, noise, n)
    total, n = drawn.sums(compared.right[rows], rows)
    means = replicates(drawn.counts, total, n)
    many = (means * drawn.golds).sum(1) / drawn.golds.sum(1)
    yield _number(group, 1, "gold_accuracy", many, n)


def _number(group: Group, step: int, measure: str, many: Floats, n: Floats) -> Number:
    """Return one number; `n` is (clusters, columns), the same in each column."""
    return Number(
        step=step,
        probe=group.probe,
        measure=measure,
        slice=group.slice,
        hop=group.hop,
        many=many,
        n=int(n[:, 0].sum()),
        clusters=int(np.count_nonzero(n[:, 0])),
    )


def in_units(far: Floats, noise: Floats) -> Floats:
    """Return far / noise; nan where there is no noise to measure by."""
    return np.divide(far, noise, out=np.full_like(far, np.nan), where=noise > 0)


def _balanced(found: Sequence[Number]) -> Iterator[Number]:
    """Yield the distance with half the weight on what changed, half on what is kept.

    However many questions ask for either. Both are in bits here, with one unit: in units of
    their own, what gold models hardly disagree about would be nearly all of the mean.
    """
    parts = {(x.step, x.measure, x.slice): x for x in found if x.probe == ALL}
    noise = [parts.get((1, "gold_noise", name)) for name in HALVES]
    for step in (0, 1):
        far = [parts.get((step, "gold_divergence", name)) for name in HALVES]
        there = [number for number in (*far, *noise) if number is not None]
        if len(there) == 2 * len(HALVES):
            half = len(HALVES)
            yield Number(
                step=step,
                probe=ALL,
                measure="gold_distance",
                slice=BALANCED,
                many=in_units(*(sum_of(part) for part in (there[:half], there[half:]))),
                n=min(number.n for number in there),
                clusters=min(number.clusters for number in there),
            )


def sum_of(numbers: Sequence[Number]) -> Floats:
    """Return the sum of the estimates, and that of each replicate."""
    return np.sum([number.many for number in numbers], 0)


def paired(
    a: pl.DataFrame, b: pl.DataFrame, part: str = BALANCED, seed: int = 0
) -> Difference | None:
    """Return how much farther `a` is from the gold models than `b`, in units of their noise.

    Args:
        a: the rows of gold.parquet of one trial.
        b: those of another with the same gold models.
        part: which questions: "", changed, kept, or balanced, half of the weight on each of both.
        seed: of the bootstrap; gold models, draws and subjects are drawn for both alike.

    Returns:
        None where they have no question of that part in common, or no noise to measure by.
    """
    halves = [_apart(a, b, name, seed) for name in (HALVES if part == BALANCED else (part,))]
    if not all(halves):
        return None
    number = Number(
        step=1,
        probe=ALL,
        measure="gold_distance",
        slice=part,
        many=in_units(*(sum_of(numbers) for numbers in zip(*halves, strict=True))),
        n=min(far.n for far, _ in halves),
        clusters=min(far.clusters for far, _ in halves),
    )
    for metric in summary([number]):
        return Difference(value=metric.value, n=metric.n, low=metric.low, high=metric.high)
    return None


def _apart(a: pl.DataFrame, b: pl.DataFrame, part: str, seed: int) -> list[Number]:
    """Return a - b in bits over one set of questions, and the unit; nothing without questions."""
    one, other = (_wide(rows.filter(PARTS[part])) for rows in (a, b))
    common = one.join(other, on="question", suffix="_b", maintain_order="left")
    if common.is_empty():
        return []
    names = [name for name in one.columns if name.startswith("1.")]
    golds = len(names)
    noise = [name for name in one.columns if name.startswith("null.")]
    columns = [*names, *(f"{name}_b" for name in names), *noise]
    drawn = Resampled.of(common, golds, seed)
    total, n = drawn.sums(common.select(columns).to_numpy(), np.arange(common.height))
    means = replicates(drawn.counts, total, n)
    # As if b were step 0 and a step 1 of one trial.
    swapped = np.roll(means[:, : 2 * golds], golds, 1)
    both = np.concatenate([swapped, means[:, 2 * golds :]], 1)
    before, after, unit = over(both, pairs(golds), drawn.golds)
    group = Group(ALL, part, None, np.ones(common.height, dtype=np.bool_))
    return [
        _number(group, 1, "gold_divergence", after - before, n),
        _number(group, 1, "gold_noise", unit, n),
    ]


def _wide(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a question: draw, cluster, unit, and a column for each pair of models."""
    keys = ["question", "draw", "cluster", "unit"]
    name = pl.concat_str(
        pl.col("step").cast(pl.String).fill_null("null"),
        pl.col("gold").cast(pl.String).str.zfill(4),
        pl.col("other").cast(pl.String).fill_null("").str.zfill(4),
        separator=".",
    )
    wide = rows.with_columns(pair=name).pivot("pair", index=keys, values="divergence")
    return wide.select(*keys, *sorted(set(wide.columns) - set(keys))).sort("question")


def summary(found: Sequence[Number]) -> list[Metric]:
    """Return numbers with their intervals; without facts, or noise to measure by, there is none."""
    there = [number for number in found if np.isfinite(number.many[0])]
    if not there:
        return []
    value = np.array([number.many[0] for number in there])
    bounded = np.array([number.measure in BOUNDED for number in there])
    means = Means(
        value=value,
        n=np.array([number.n for number in there], dtype=np.float64),
        clusters=np.array([number.clusters for number in there], dtype=np.float64),
        constant=bounded & ((value == 0) | (value == 1)),
        sampled=np.stack([number.many[1:] for number in there], 1),
        # Counted in subjects and not widened: what few draws and gold seeds hide is not in it.
        draws=np.ones(len(there)),
        stretch=np.ones(len(there)),
    )
    low, high = means.interval(np.where(bounded, 0.0, -np.inf), np.where(bounded, 1.0, np.inf))
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
