"""The table of facts: what a measure says of one fact, a row for each slice and hop it is in.

Means, intervals and comparisons all begin with it. Whatever is counted slice by slice is
counted at once: `within` repeats a row for each slice that it is in, and what follows is one
grouping. A filter and a grouping for each slice would give the same numbers some ten times as
slowly, for most of the time of a small table is that of starting to look at it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

UNIT = ("family", "draw", "cluster", "unit")
SCHEMA: dict[str, Any] = {
    "step": pl.Int32,
    "probe": pl.String,
    "measure": pl.String,
    "family": pl.String,  # of measures that are resampled together
    "draw": pl.Int32,
    "cluster": pl.String,  # a requested subject
    "unit": pl.String,  # the fact
    "value": pl.Float64,
    "slice": pl.String,
    "hop": pl.Int32,  # -1: over all hops
}
ALL_HOPS = pl.lit(-1, pl.Int32)
PLACE = ("step", "probe", "slice", "hop", *UNIT)  # all that says which fact it is, and where


def within(rows: pl.DataFrame, slices: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return each row once for each of the `slices` that it is in, named in the column `slice`.

    Rows of one slice keep their order.
    """
    if not slices:
        return rows.clear().with_columns(slice=pl.lit("", pl.String))
    inside = rows.with_columns(
        expr.fill_null(False).alias(name) for name, expr in slices.items()
    )
    row, column = np.nonzero(inside.select(list(slices)).to_numpy())
    names = pl.Series("slice", list(slices), pl.String)
    return rows[row].with_columns(names[column])


def of_columns(rows: pl.DataFrame, measures: Sequence[str]) -> pl.DataFrame:
    """Return the table of the means within each fact.

    Args:
        rows: `PLACE`, and a column for each measure; null where it does not apply.
        measures: their names.
    """
    means = rows.group_by(PLACE, maintain_order=True).agg(pl.col(measures).mean())
    return of_wide(means, measures)


def of_wide(wide: pl.DataFrame, measures: Sequence[str]) -> pl.DataFrame:
    """Return the table of what is already one row a fact and slice, a column a measure."""
    return table(
        wide.unpivot(measures, index=PLACE, variable_name="measure", value_name="value")
    )


def of_values(*rows: pl.DataFrame) -> pl.DataFrame:
    """Return the table of the means within each fact of what `named` made."""
    value = pl.col("value").mean()
    keys = ("measure", *PLACE)
    return table(pl.concat(rows).group_by(keys, maintain_order=True).agg(value))


def named(
    rows: pl.DataFrame, probe: str, measure: str | pl.Expr, part: str | pl.Expr = "slice"
) -> pl.DataFrame:
    """Return the `value` of `rows` over all hops, with what says whose and what it is.

    `measure` and `part` are its measure and slice: the name of a column, or an expression.
    """
    return rows.select(
        pl.col("step").cast(pl.Int32),
        "family",
        pl.col("draw").cast(pl.Int32),
        "cluster",
        "unit",
        pl.col("value").cast(pl.Float64),
        probe=pl.lit(probe),
        measure=measure,
        slice=part,
        hop=ALL_HOPS,
    )


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what has the columns of `SCHEMA` as a table of facts: without nulls."""
    return rows.filter(pl.col("value").is_not_null()).select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()
    )
