"""From pairs of models to metrics: distances in units of gold-to-gold distance, and agreement.

Intervals are those of gold seed > draw > subject; see `gold_numbers`. What a method trained on
to keep is in none of the numbers but those of slice trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import margin
from ksmith.measures.bootstrap import replicates
from ksmith.measures.compare import Difference
from ksmith.measures.gold import (
    ALL,
    KINDS,
    PARTS,
    Compared,
    Floats,
    Group,
    groups,
    mask,
    over,
    pairs,
)
from ksmith.measures.gold_numbers import HIGHEST, Number, in_margins, summary
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.slices import TRAINED
from ksmith.records import Metric

BALANCED = "balanced"
HALVES = ("changed", "kept")  # of what is balanced
MARGIN = "gold_margin"  # of divergences

# kind of pair -> measures: in units of the noise, as it is, among gold models
NAMES: dict[str, tuple[str | None, str | None, str | None]] = {
    "divergence": ("gold_distance", "gold_divergence", "gold_noise"),
    "vocabulary": ("gold_distance_vocabulary", None, None),
    "agrees": (None, "gold_agreement", "gold_unanimity"),
}


def metrics(compared: Compared, drawn: Resampled) -> list[Metric]:
    """Return what a trial says about its gold models; the rows of step 0 are the control."""
    there = [group for group in groups(compared.questions) if group.rows.any()]
    found = [number for group in there for number in _numbers(compared, group, drawn)]
    ratios = [number for group in there for number in _ratios(compared, [group], drawn)]
    halves = [group for group in there if group.probe == ALL and group.slice in HALVES]
    if len(halves) == len(HALVES):
        ratios += _ratios(compared, halves, drawn)
    return [
        *summary([*found, *_balanced(found)], drawn, HIGHEST),
        *in_margins(ratios, drawn, HIGHEST),
    ]


def _ratios(compared: Compared, parts: Sequence[Group], drawn: Resampled) -> Iterator[Number]:
    """Yield divergences in units of the margin, also those of gold models held to the others.

    Of several groups, each has the same weight.
    """
    golds = drawn.golds.shape[1]
    total, n = _sums(compared, parts[0], 0, drawn)
    far = replicates(drawn.counts, total, n)
    for part in parts[1:]:
        total, more = _sums(compared, part, 0, drawn)
        far = far + replicates(drawn.counts, total, more)
        n = n if n.sum() <= more.sum() else more
    name = parts[0].slice if len(parts) == 1 else BALANCED
    group = replace(parts[0], slice=name)
    apart = margin.of_pairs(far, compared.pairs, golds)
    for step, many in enumerate(margin.relative(apart).T):
        yield _number(group, step, MARGIN, many, n, drawn)
    for many in margin.held_out(apart).T:
        yield _number(group, 1, f"{MARGIN}_gold", many, n, drawn)


def _sums(
    compared: Compared, group: Group, kind: int, drawn: Resampled
) -> tuple[Floats, Floats]:
    """Return (clusters, pairs) sums of one of KINDS, and how many facts they are of."""
    rows = np.flatnonzero(group.rows)
    return drawn.sums(compared.far[rows, :, kind], rows)


def _numbers(compared: Compared, group: Group, drawn: Resampled) -> Iterator[Number]:
    """Yield the numbers of one group of questions."""
    rows = np.flatnonzero(group.rows)
    for k, kind in enumerate(KINDS):
        total, n = _sums(compared, group, k, drawn)
        means = replicates(drawn.counts, total, n)
        *models, noise = over(means, compared.pairs, drawn.golds)
        relative, plain, among = NAMES[kind]
        for step, far in enumerate(models):
            if relative:
                yield _number(group, step, relative, in_units(far, noise), n, drawn)
            if plain:
                yield _number(group, step, plain, far, n, drawn)
        if among:
            yield _number(group, 1, among, noise, n, drawn)
    total, n = drawn.sums(compared.right[rows], rows)
    means = replicates(drawn.counts, total, n)
    many = (means * drawn.golds).sum(1) / drawn.golds.sum(1)
    yield _number(group, 1, "gold_accuracy", many, n, drawn)


def _number(
    group: Group, step: int, measure: str, many: Floats, n: Floats, drawn: Resampled
) -> Number:
    """Return one number; `n` is (clusters, columns), the same in each column."""
    there = n[:, 0] > 0
    return Number(
        step=step,
        probe=group.probe,
        measure=measure,
        slice=group.slice,
        hop=group.hop,
        many=many,
        n=int(n[:, 0].sum()),
        clusters=int(there.sum()),
        draws=len(np.unique(drawn.draw[there])),
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
                draws=min(number.draws for number in there),
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
        None where they have no question of that part in common, or no noise to measure by. What
        one of them was trained on to keep is no question of the other either.
    """
    parts = HALVES if part == BALANCED else (part,)
    one, other = (_wide(rows) for rows in (a, b))
    common = one.join(other, on="question", suffix="_b", maintain_order="left").filter(
        pl.any_horizontal(PARTS[name] for name in parts)
    )
    if any(common.filter(PARTS[name]).is_empty() for name in parts):
        return None
    steps = [name for name in one.columns if name.startswith("1.")]
    noise = [name for name in one.columns if name.startswith("null.")]
    far = common.select(*steps, *(f"{name}_b" for name in steps), *noise).to_numpy()
    drawn = Resampled.of(common, len(steps), seed)
    halves = [_apart(far, mask(common, PARTS[name]), name, drawn) for name in parts]
    number = Number(
        step=1,
        probe=ALL,
        measure="difference",
        slice=part,
        many=in_units(*(sum_of(numbers) for numbers in zip(*halves, strict=True))),
        n=min(far.n for far, _ in halves),
        clusters=min(far.clusters for far, _ in halves),
        draws=min(far.draws for far, _ in halves),
    )
    for metric in summary([number], drawn, HIGHEST):
        return Difference(value=metric.value, n=metric.n, low=metric.low, high=metric.high)
    return None


def _apart(
    far: Floats, inside: NDArray[np.bool_], part: str, drawn: Resampled
) -> tuple[Number, Number]:
    """Return a - b in bits over one set of questions, and the unit.

    Args:
        far: (questions, columns) of a and each gold model, of b, of gold models in pairs.
        inside: which questions.
        part: what they are called.
        drawn: of all questions.
    """
    rows = np.flatnonzero(inside)
    golds = drawn.golds.shape[1]
    total, n = drawn.sums(far[rows], rows)
    means = replicates(drawn.counts, total, n)
    # As if b were step 0 and a step 1 of one trial.
    swapped = np.roll(means[:, : 2 * golds], golds, 1)
    both = np.concatenate([swapped, means[:, 2 * golds :]], 1)
    before, after, unit = over(both, pairs(golds), drawn.golds)
    group = Group(ALL, part, None, inside)
    return (
        _number(group, 1, "gold_divergence", after - before, n, drawn),
        _number(group, 1, "gold_noise", unit, n, drawn),
    )


def _wide(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a question that was not trained on: draw, cluster, unit, set, and pairs."""
    keys = ["question", "draw", "cluster", "unit", "set"]
    name = pl.concat_str(
        pl.col("step").cast(pl.String).fill_null("null"),
        pl.col("gold").cast(pl.String).str.zfill(4),
        pl.col("other").cast(pl.String).fill_null("").str.zfill(4),
        separator=".",
    )
    if "trained" in rows.columns:  # an older file has no such column
        rows = rows.filter(~TRAINED)
    wide = rows.with_columns(pair=name).pivot("pair", index=keys, values="divergence")
    return wide.select(*keys, *sorted(set(wide.columns) - set(keys))).sort("question")
