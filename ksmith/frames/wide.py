"""Metrics side by side, for people: one row a trial, one column a metric."""

from collections.abc import Sequence

import polars as pl

from ksmith.frames.steps import ended
from ksmith.records import UserError

SEEDS = ("graph.seed", "model.seed")  # and `seed`, which has no dot
OF_METRIC = ("step", "metric", "probe", "measure", "slice", "hop")


def named(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return `metrics` with `metric`: the name as in MLflow, `probe.measure.slice.hop2`."""
    hop = pl.when(pl.col("hop").is_not_null()).then(pl.format("hop{}", "hop"))
    parts = ("probe", "measure", pl.when(pl.col("slice") != "").then("slice"), hop)
    name = pl.concat_str(parts, separator=".", ignore_nulls=True)
    return metrics.with_columns(metric=name)


def side_by_side(
    metrics: pl.DataFrame, trials: pl.DataFrame, shown: Sequence[str], by: Sequence[str]
) -> pl.DataFrame:
    """Return one row for each `by`, one column for each of `shown`: `value [low, high] n`.

    Numbers are those after the update, at the end of a sequence. Trials with the same `by` that
    differ in seeds alone are pooled as in a report; of others the first one stands.

    Args:
        metrics: as `ksmith.metrics` gives them.
        trials: theirs, with every setting by its dotted name.
        shown: metrics by their names in MLflow.
        by: columns of `metrics` that tell trials apart.

    Raises:
        UserError: no such column, or no trial has measured one of `shown`.
    """
    _check(by, metrics)
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
        over_seeds(rows.filter(pl.col("metric").is_in(list(shown))), trials, by)
        .with_columns(told=told)
        .pivot("metric", index=list(by), values="told", aggregate_function="first")
    )
    return wide.select(*by, *(name for name in shown if name in wide.columns)).sort(by)


def over_seeds(rows: pl.DataFrame, trials: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return one row for each `by`, step and metric: of the first trial, and of those like it.

    Trials are alike where their settings differ in seeds alone; what there is to several is
    their mean over seeds, with the interval of model seed > trial (`measures.pool`).

    Args:
        rows: as `ksmith.metrics` gives them, `named`; numbers that are none are left out.
        trials: theirs, with every setting by its dotted name.
        by: columns of `rows` that tell trials apart.

    Raises:
        UserError: no such column.
    """
    from ksmith import measures

    _check(by, rows)
    finite = rows.filter(pl.col("value").is_finite())
    alike = finite.join(_cells(trials), on="trial", maintain_order="left")
    first = pl.col("_cell").first().over(by)
    of = [*by, *(name for name in OF_METRIC if name not in by)]
    return measures.pool(alike.filter(pl.col("_cell") == first), of, "model_seed")


def _check(by: Sequence[str], rows: pl.DataFrame) -> None:
    missing = [name for name in by if name not in rows.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r}; there are {', '.join(rows.columns)}")


def _cells(trials: pl.DataFrame) -> pl.DataFrame:
    """Return `trial, _cell`: one number for trials whose settings differ in seeds alone."""
    names = [name for name in trials.columns if "." in name and name not in SEEDS]
    seen: dict[str, int] = {}
    rows = [
        {"trial": trial, "_cell": seen.setdefault(repr(cell), len(seen))}
        for trial, cell in zip(trials["trial"], trials.select(names).rows(), strict=True)
    ]
    schema = {"trial": pl.String, "_cell": pl.Int64}
    return pl.DataFrame(rows, schema=schema).unique("trial", maintain_order=True)
