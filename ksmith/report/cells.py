"""Trials that differ only in a seed become one cell: its mean, its interval, its count."""

from typing import Any

import polars as pl

from ksmith import measures
from ksmith.report.panels import Panel, order

SEEDS = ("seed", "graph.seed", "model.seed")
CELL = ("task", "series", "level", "scale")
MEASURE = ("step", "probe", "measure", "slice", "hop")

# Settings that name the cell itself, or say the same as it in other words.
PLACE = {
    "task.method",
    "task.kind",
    "task.level",
    "task.scale",
    "method.name",
    "method.version",
}
# What the page shows, and what tells whether a derived number means anything.
WANTED = (
    *("generated", "accuracy", "success", "loss"),
    *("residual", "residual_generated", *measures.GATES),
    *("task", "preservation", "change_relative"),
)
SLICES = ("", "known", "stored", "derived", "known.stored", "known.derived")


def name_series(trials: pl.DataFrame) -> pl.DataFrame:
    """Return `trial, series`: the method, and what varies within it beside level and scale.

    A setting that follows from the method, the level and the scale (draws under `[[when]]`,
    say) distinguishes nothing and is left out of the name.
    """
    names = [
        name
        for name in trials.columns
        if "." in name and name not in PLACE and name not in SEEDS
    ]
    place = ("task.kind", "task.level", "task.scale", *SEEDS)
    place = tuple(name for name in place if name in trials.columns)
    text = trials.with_columns(_as_text(trials, name) for name in names)
    rows: list[dict[str, Any]] = []
    for (method,), group in text.group_by(["method"], maintain_order=True):
        counts = group.group_by(place).agg(pl.col(names).n_unique())
        split = [name for name in names if (counts[name] > 1).any()]
        for row in group.iter_rows(named=True):
            parts = [f"{name.rpartition('.')[2]}={row[name]}" for name in split]
            rows.append({"trial": row["trial"], "series": " ".join([str(method), *parts])})
    return pl.DataFrame(rows, schema={"trial": pl.String, "series": pl.String})


def _as_text(trials: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    if isinstance(trials.schema[name], pl.List):
        column = column.cast(pl.List(pl.String)).list.join(",")
    return column.cast(pl.String).fill_null("-").alias(name)


def pooled(metrics: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return one row a cell and measure: CELL, MEASURE, and what `measures.pool` adds.

    Numbers about derived facts that the model did not hold before the update are left out; see
    `measures.reliable` for the rule.
    """
    shown = pl.col("measure").is_in(WANTED) & pl.col("slice").is_in(SLICES)
    return measures.reliable(pooled_where(metrics, series, shown), CELL)


def pooled_where(metrics: pl.DataFrame, series: pl.DataFrame, shown: pl.Expr) -> pl.DataFrame:
    """Return the same of the metrics that `shown` names, derived facts and all."""
    rows = (
        metrics.filter(shown & pl.col("hop").is_null() & pl.col("value").is_finite())
        .join(series, on="trial")
        .with_columns(pl.col("level").fill_null("any"))
    )
    return measures.pool(rows, [*CELL, *MEASURE], model_seed="model_seed")


def by_hop(metrics: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return the same of multi_hop at each hop: `distance` has the hop, and `hop` is null."""
    shown = pl.col("measure").is_in(WANTED) & pl.col("slice").is_in(("stored", "derived"))
    rows = (
        metrics.filter(shown & pl.col("hop").is_not_null() & pl.col("value").is_finite())
        .filter(probe="multi_hop")
        .join(series, on="trial")
        .with_columns(pl.col("level").fill_null("any"))
    )
    table = measures.pool(rows, [*CELL, *MEASURE], model_seed="model_seed")
    table = measures.reliable(table, CELL)
    return table.with_columns(distance="hop", hop=pl.lit(None, pl.Int64))


def hidden(metrics: pl.DataFrame, table: pl.DataFrame) -> list[str]:
    """Return the levels for which a derived number was measured but is left out of `table`."""
    place = ["level", "scale"]
    derived = (pl.col("slice") == "derived") & (pl.col("step") > 0)
    metrics = metrics.filter(pl.col("measure").is_in(WANTED))
    there = metrics.with_columns(pl.col("level").fill_null("any")).filter(derived)
    shown = table.filter(derived)
    left = there.select(place).unique().join(shown.select(place).unique(), on=place, how="anti")
    return order(left["level"])


def spoken_for(table: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Return probe -> the least and the most of its derived facts that had an old answer.

    The shares are of the facts scored, over levels and scales; see `measures.reliable`.
    """
    rows = table.filter(measure="scored_before", slice="derived", step=0)
    found = rows.group_by("probe", maintain_order=True).agg(
        low=pl.col("value").min(), high=pl.col("value").max()
    )
    return {probe: (low, high) for probe, low, high in found.iter_rows()}


def known(panel: Panel) -> Panel | None:
    """Return the same panel of known facts only, or None where every sentence is alike."""
    if panel.probe == "utility":
        return None
    part = f"known.{panel.slice}" if panel.slice else "known"
    return Panel(panel.title, panel.probe, panel.measure, part, panel.hop)


def seconds(
    trials: pl.DataFrame, series: pl.DataFrame, updates: dict[str, float]
) -> pl.DataFrame:
    """Return `series level scale seconds`: of one trial, its update and its measurement."""
    spent = pl.col("seconds") + pl.col("trial").replace_strict(
        updates, default=0.0, return_dtype=pl.Float64
    )
    return (
        trials.join(series, on="trial")
        .with_columns(
            level=pl.col("task.level").fill_null("any"), scale="task.scale", spent=spent
        )
        .group_by("series", "level", "scale")
        .agg(pl.col("spent").mean().alias("seconds"))
    )
