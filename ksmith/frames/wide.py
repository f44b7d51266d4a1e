"""Metrics side by side, for people: one row a trial, one column a metric."""

from collections.abc import Sequence

import polars as pl

from ksmith.frames.steps import ended
from ksmith.records import UserError


def named(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return `metrics` with `metric`: the name as in MLflow, `probe.measure.slice.hop2`."""
    hop = pl.when(pl.col("hop").is_not_null()).then(pl.format("hop{}", "hop"))
    parts = ("probe", "measure", pl.when(pl.col("slice") != "").then("slice"), hop)
    name = pl.concat_str(parts, separator=".", ignore_nulls=True)
    return metrics.with_columns(metric=name)


def side_by_side(
    metrics: pl.DataFrame, shown: Sequence[str], by: Sequence[str]
) -> pl.DataFrame:
    """Return one row for each `by`, one column for each of `shown`: `value [low, high] n`.

    Numbers are those after the update, at the end of a sequence. Where trials have the same
    `by`, the first one stands.

    Raises:
        UserError: no such column, or no trial has measured one of `shown`.
    """
    missing = [name for name in by if name not in metrics.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}; there are {', '.join(metrics.columns)}")
    rows = named(ended(metrics).filter(pl.col("step") > 0))
    strange = [name for name in shown if name not in set(rows["metric"])]
    if strange and rows.height:
        near = sorted({n for n in rows["metric"] if n.startswith(strange[0].split(".")[0])})
        raise UserError(
            f"nobody measured {strange[0]!r}; of that probe there are {', '.join(near)}"
        )
    value, low, high = (pl.col(x).round(2).cast(pl.String) for x in ("value", "low", "high"))
    n = pl.col("n").cast(pl.String)
    told = pl.format("{} [{}, {}] {}", value, low, high, n)
    told = told.fill_null(pl.format("{} {}", value, n))
    wide = (
        rows.filter(pl.col("metric").is_in(list(shown)))
        .with_columns(told=told)
        .pivot("metric", index=list(by), values="told", aggregate_function="first")
    )
    return wide.select(*by, *(name for name in shown if name in wide.columns)).sort(by)
