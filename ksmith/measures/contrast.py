"""One side of a study against another: a difference of means with its interval, and a verdict.

Every number that enters has an interval of its own. Those of sums and differences are made from
them by MOVER, the method of variance estimates recovery (Newcombe 1998, "Interval estimation
for the difference between independent proportions"; Zou and Donner 2008): of a - b it is

    low  = a - b - sqrt((a - a_low)^2 + (b_high - b)^2)
    high = a - b + sqrt((a_high - a)^2 + (b - b_low)^2)

It takes the two as independent. Trials on the same facts are not, and differ less by chance, so
the interval of a difference is on the safe side. The mean of several is another matter: what many
methods say of the same facts is no more certain than what one says. There each number is taken
to err as the others do, and facts count once; only of levels, which have no fact in common, are
means those of independent numbers. Over seeds, `pool` resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from ksmith.measures.compare import pool

Verdict = Literal["holds", "does not hold", "undecided"]
NUMBER = ("value", "low", "high", "n")
SEEDS = ("seed", "graph_seed", "model_seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """The mean difference over `cells` that both sides have; `n` facts a side, at least."""

    value: float
    low: float | None
    high: float | None
    n: int
    cells: int
    model_seeds: int

    def verdict(self, margin: float = 0.0) -> Verdict:
        """Return whether the difference is more than `margin`, by the whole interval."""
        if self.low is None or self.high is None:
            return "undecided"
        if self.low > margin:
            return "holds"
        return "does not hold" if self.high <= margin else "undecided"


def minus(a: pl.DataFrame, b: pl.DataFrame | float, by: Sequence[str]) -> pl.DataFrame:
    """Return `a - b` where both have the same `by`: by, value, low, high, n (the smaller).

    Args:
        a: rows with `by` (each combination once), value, low, high and n.
        b: the same, or a constant without an interval.
        by: columns to match on; nulls match.
    """
    if not isinstance(b, pl.DataFrame):
        return a.select(*by, *(pl.col(name) - b for name in NUMBER[:3]), "n")
    both = a.join(b, on=list(by), how="inner", nulls_equal=True, suffix="_b")
    value = pl.col("value") - pl.col("value_b")
    down = _length(pl.col("value") - pl.col("low"), pl.col("high_b") - pl.col("value_b"))
    up = _length(pl.col("high") - pl.col("value"), pl.col("value_b") - pl.col("low_b"))
    return both.select(
        *by,
        value=value,
        low=value - down,
        high=value + up,
        n=pl.min_horizontal("n", "n_b"),
    )


def mean(rows: pl.DataFrame, by: Sequence[str], apart: str | None = None) -> pl.DataFrame:
    """Return the mean within each `by`: by, value, low, high, n.

    Args:
        rows: with `by`, value, low, high and n.
        by: columns.
        apart: a column; rows that differ in it are about different facts. All others may be
            about the same: their mean is as uncertain as they are, on average (the bound of
            Cauchy and Schwarz), and `n` is the largest of theirs.
    """
    alike = [*by, *([apart] if apart and apart not in by else [])]
    whole = pl.col("low").is_not_null().all() & pl.col("high").is_not_null().all()
    same = rows.group_by(alike, maintain_order=True).agg(
        pl.col("value").mean(),
        down=pl.when(whole).then((pl.col("value") - pl.col("low")).mean()),
        up=pl.when(whole).then((pl.col("high") - pl.col("value")).mean()),
        n=pl.col("n").max(),
        size=pl.len(),
    )
    share = pl.col("size") / pl.col("size").sum()
    value = (share * pl.col("value")).sum()
    down, up = ((share * pl.col(name)).pow(2).sum().sqrt() for name in ("down", "up"))
    known = pl.col("down").is_not_null().all()
    return same.group_by(by, maintain_order=True).agg(
        value=value,
        low=pl.when(known).then(value - down),
        high=pl.when(known).then(value + up),
        n=pl.col("n").sum(),
    )


def contrast(
    more: pl.DataFrame,
    less: pl.DataFrame | float,
    cells: Sequence[str],
    seed: int = 0,
    *,
    apart: str | None = None,
) -> Contrast | None:
    """Return `more - less`: the mean over cells, then over seeds.

    Cells are what the study fixed (levels, scales): their mean is taken as it is. Seeds are
    what it drew, and are resampled, model seed > others.

    Args:
        more: rows with `cells`, `SEEDS`, value, low, high, n; each combination once.
        less: the same, or a number to be above.
        cells: what the two sides are matched on, beside the seeds.
        seed: of the bootstrap.
        apart: one of the cells; those that differ in it are about different facts.

    Returns:
        None where no cell of the one has a partner in the other.
    """
    matched = minus(more, less, [*cells, *SEEDS])
    if matched.is_empty():
        return None
    by_seed = mean(matched, SEEDS, apart if apart in cells else None)
    pooled = pool(
        by_seed.with_columns(all=pl.lit(0)), ["all"], model_seed="model_seed", seed=seed
    )
    row = pooled.row(0, named=True)
    return Contrast(
        value=row["value"],
        low=row["low"],
        high=row["high"],
        n=row["n"],
        cells=matched.select(pl.struct(cells).n_unique()).item() if cells else 1,
        model_seeds=row["model_seeds"],
    )


def _length(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a**2 + b**2).sqrt()
