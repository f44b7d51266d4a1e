"""How far what a model says of its sets is from what gold models say of them.

Forget quality: Kolmogorov and Smirnov's D of the truth ratios of the forget set. Distance in
answers, of each set: KL(gold || model) over the vocabulary in the places of an answer's tokens,
each after the true ones before it. Both beside the same between gold models, and in units of the
margin (see `margin`). Where there is no gold model there is nothing here: no number stands in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import margin, memory, samples
from ksmith.measures.bootstrap import replicates
from ksmith.measures.gold_numbers import Number, in_margins, summary
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.margin import STEPS
from ksmith.measures.memory_table import FORGET, MEMORY, PROBE, SETS
from ksmith.records import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Of memory_gold.parquet: one row a statement, model and gold model.
SCHEMA: dict[str, Any] = {
    "step": pl.Int32,  # of the model that is compared; null: a gold model
    "other": pl.Int32,  # which
    "gold": pl.Int32,  # the gold model that it is compared with
    "draw": pl.Int32,
    "set": pl.String,
    "fact": pl.String,
    "subject": pl.String,
    "wording": pl.String,
    "prompt": pl.String,
    "answer": pl.String,
    "kl": pl.Float64,  # mean over the answer's tokens, nats; null: a model that broke
}
NAMES = ("draw", "set", "fact", "subject", "wording", "prompt", "answer")  # of a statement

HIGHEST = {
    name: np.inf if row.high is None else row.high
    for name, row in MEMORY.items()
    if row.low == 0
}


# --- distance in answers ----------------------------------------------------------------------


def divergence(gold: Floats, model: Floats) -> Floats:
    """Return (m,) KL(gold || model) = sum p (log p - log q), nats, of rows of log-probabilities.

    What a gold model rules out adds nothing. nan where the model broke; inf where it rules out
    what a gold model does not.
    """
    with np.errstate(invalid="ignore"):
        terms = np.exp(gold) * (gold - model)
    return np.maximum(np.where(np.isneginf(gold), 0.0, terms).sum(-1), 0.0)


@dataclass(frozen=True, slots=True)
class Draw:
    """What the models of one draw say of the same statements."""

    statements: Mapping[str, Sequence[Any]]  # the columns NAMES, (n,) each
    counts: Ints  # (n,) tokens of each answer
    models: Sequence[Floats]  # of steps 0 and 1: (tokens, vocab) log-probabilities, nats
    golds: Sequence[Floats]  # ... of each gold model

    def table(self) -> pl.DataFrame:
        """Return one row a statement, model and gold model; see `SCHEMA`."""
        every = [*self.models, *self.golds]
        starts = np.cumsum(self.counts) - self.counts
        parts: list[pl.DataFrame] = []
        for number, model in enumerate(every):
            for gold, standard in enumerate(self.golds):
                other = number - STEPS if number >= STEPS else None
                if other == gold:
                    continue
                kl = np.add.reduceat(divergence(standard, model), starts) / self.counts
                step = number if other is None else None
                size = len(self.counts)
                columns = {**self.statements, "kl": kl, "gold": [gold] * size}
                columns |= {"step": [step] * size, "other": [other] * size}
                parts.append(pl.DataFrame(columns, SCHEMA).with_columns(_finite("kl")))
        return pl.concat(parts)


def _finite(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_finite()).then(name).alias(name)


def wide(far: pl.DataFrame) -> tuple[pl.DataFrame, Floats]:
    """Return the statements of a table of `SCHEMA`, sorted, and (n, models, golds) distances."""
    golds = int(far["gold"].n_unique())
    model = pl.coalesce("step", pl.col("other") + STEPS)
    place = (model * golds + pl.col("gold")).alias("place")
    table = (
        far.with_columns(place)
        .pivot("place", index=list(NAMES), values="kl", aggregate_function="first")
        .sort("draw", "set", "fact", "prompt", "answer")
    )
    names = [str(i) for i in range((STEPS + golds) * golds)]
    empty = pl.lit(None, pl.Float64)
    columns = table.select(
        (pl.col(name) if name in table.columns else empty.alias(name)).fill_null(float("nan"))
        for name in names
    )
    return table.select(NAMES), columns.to_numpy().reshape(table.height, STEPS + golds, golds)


def answers(far: pl.DataFrame, seed: int) -> list[Metric]:
    """Return the metrics of a table of `SCHEMA`: kl, kl_gold and kl_margin of each set."""
    statements, kl = wide(far)
    found: list[Metric] = []
    for name in SETS:
        rows = np.flatnonzero((statements["set"] == name).to_numpy())
        if not len(rows):
            continue
        mine = statements[rows.tolist()].with_columns(cluster="subject", unit="fact")
        golds = kl.shape[-1]
        drawn = Resampled.of(mine, golds, seed)
        total, n = drawn.sums(kl[rows].reshape(len(rows), -1), np.arange(len(rows)))
        many = replicates(drawn.counts, total, n).reshape(-1, STEPS + golds, golds)
        whole = [~np.isnan(kl[rows, step]).any(1) for step in (0, 1)]  # the rest broke
        sizes = [Sizes.of(mine.filter(pl.Series(there))) for there in whole]
        found += told("kl", name, many, drawn, sizes)
    return found


# --- what is said of any distance -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a number rests upon."""

    n: int  # facts
    clusters: int  # subjects
    draws: int

    @classmethod
    def of(cls, table: pl.DataFrame) -> "Sizes":
        """Return the sizes of a table with columns draw, fact and subject."""
        facts, subjects = (
            table.select("draw", name).unique().height for name in ("fact", "subject")
        )
        return cls(facts, subjects, table["draw"].n_unique())


def told(
    measure: str,
    part: str,
    far: Floats,
    drawn: Resampled,
    sizes: Sequence[Sizes],
    off: Floats | None = None,
) -> list[Metric]:
    """Return a measure of steps 0 and 1, `_gold`, `_margin` of both steps, and `_margin_gold`.

    Args:
        measure: its name.
        part: the slice.
        far: (rows of `drawn`, models, golds).
        drawn: what is resampled.
        sizes: what the numbers of each step rest upon.
        off: like `far`, of largest distances: no less than how far each is too high.
    """
    steps, among = margin.means(far, drawn.golds)
    relative = margin.relative(far)
    many = [steps[:, 0], steps[:, 1], among]
    over: Sequence[Floats | None] = (
        (None, None, None) if off is None else _over(far, off, drawn)
    )

    def number(step: int, name: str, many: Floats, over: Floats | None = None) -> Number:
        return Number(
            step=step, probe=PROBE, measure=name, slice=part, many=many, over=over,
            n=sizes[step].n, clusters=sizes[step].clusters, draws=sizes[step].draws,
        )  # fmt: skip

    names = ((0, measure), (1, measure), (1, f"{measure}_gold"))
    plain = [
        number(*name, *of) for name, of in zip(names, zip(many, over, strict=True), strict=True)
    ]
    ratios = [number(step, f"{measure}_margin", relative[:, step]) for step in (0, 1)]
    ratios += [number(1, f"{measure}_margin_gold", one) for one in margin.held_out(far).T]
    return [*summary(plain, drawn, HIGHEST), *in_margins(ratios, drawn, HIGHEST)]


def _over(far: Floats, off: Floats, drawn: Resampled) -> list[Floats]:
    """Return (rows,) each how far means over gold models are too high: of steps, and among them.

    The mean of what each distance is too high by, and what other gold models make of the mean.
    """
    steps, among = margin.means(off, drawn.golds)
    mine, own = margin.means(np.broadcast_to(far[:1], far.shape), drawn.golds)
    facts, seeds = (np.column_stack(both) for both in ((steps, among), (mine, own)))
    return list((facts + np.abs(seeds - seeds[0])).T)


# --- forget quality ---------------------------------------------------------------------------


def quality(rows: pl.DataFrame, standard: Sequence[pl.DataFrame], seed: int) -> list[Metric]:
    """Return D against gold models before and after, the same among these, and p.

    Args:
        rows: of memory.parquet.
        standard: those of each gold model.
        seed: of the bootstrap.
    """
    models = [memory.ratios(rows.filter(step=step)) for step in (0, 1)]
    models += [memory.ratios(one) for one in standard]
    keys = ["draw", "fact", "subject"]
    table = models[0].select(keys)
    for i, model in enumerate(models):
        named = model.select(*keys, pl.col("ratio").alias(str(i)))
        table = table.join(named, on=keys, how="inner", maintain_order="left")
    if table.is_empty():
        return []
    golds = len(standard)
    drawn = Resampled.of(table.with_columns(cluster="subject", unit="fact"), golds, seed)
    weights = drawn.counts[:, drawn.cluster][:, drawn.unit]
    values = table.select(map(str, range(len(models)))).to_numpy()

    def apart(model: int, gold: int) -> Floats:
        gaps = samples.gaps(values[:, model], values[:, STEPS + gold], weights, weights)
        return np.stack([np.abs(gaps).max(1), np.abs(gaps - gaps[0]).max(1)])

    far, off = margin.matrix(golds, apart)
    sizes = Sizes.of(table)
    return [*told("ks", FORGET, far, drawn, [sizes, sizes], off), *_p(far[0], sizes.n)]


def _p(far: Floats, n: int) -> Iterator[Metric]:
    """Yield p-values of distances (models, golds) between samples of n."""
    for step in (0, 1):
        log = float(np.mean([samples.ks_p(d, n)[1] for d in far[step].tolist()]))
        for measure, value in (("ks_log10_p", log), ("ks_p", 10.0**log)):
            yield Metric(
                step=step, probe=PROBE, measure=measure, slice=FORGET, value=value, n=n
            )
