"""The plane of the unified objective: what is kept against the task, all methods in one."""

from math import log10
from typing import Any

import polars as pl

from ksmith.report.drawing import cloud, lay_out, name_series, quiet, svg
from ksmith.report.html import Html
from ksmith.report.legend import Legend
from ksmith.report.looks import DASHES, FAINT, INK, MANY, Look
from ksmith.report.panels import order

EDGE = 0.35  # powers of ten around all markers
LEAST = 1e-4  # nats: nearer to the ideal is drawn there


def plane(cells: pl.DataFrame, styles: dict[str, Look], title: str) -> Html:
    """Return the one plane of all methods: what is kept (x) against the task (y), by level.

    Both are divergences, 0 at best, drawn on logarithms, so that what is near the ideal can be
    told apart; the marker's area goes by the size of the change. A line joins the scales of one
    method, the dashes are the task before the update.
    """
    from matplotlib.figure import Figure

    levels = order(cells["level"])
    legend = Legend.of(styles, 0.75 + 3.1 * len(levels), before=True)
    figure = Figure(figsize=(legend.width, 3.7 + legend.more))
    grid: Any = figure.subplots(1, len(levels), squeeze=False, sharex=True, sharey=True)
    marks: list[tuple[float, float]] = []
    for axes, level in zip(grid[0], levels, strict=True):
        here = cells.filter(pl.col("level") == level, pl.col("probe") == "objective")
        marks += _terms(axes, here.filter(pl.col("slice") == ""), styles)
        axes.set_title(level, fontsize=9, color=INK, loc="left")
        axes.set_xlabel("drift on what should stay (nats)", fontsize=8, color=FAINT)
        quiet(axes)
    grid[0][0].set_ylabel("distance to the target (nats a token)", fontsize=8, color=FAINT)
    # By the markers: an interval that reaches down to nothing would push them into a corner.
    for along, limit in enumerate((grid[0][0].set_xlim, grid[0][0].set_ylim)):
        places = [mark[along] for mark in marks]
        limit(min(places, default=0.0) - EDGE, max(places, default=0.0) + EDGE)
    grid[0][0].locator_params(nbins=6)
    for along in (grid[0][0].xaxis, grid[0][0].yaxis):
        along.set_major_formatter(_power)
    name_series(figure, styles, legend)
    lay_out(figure, left=0.65, bottom=0.45, gap=(0.22, 0.16), more=legend.more)
    return svg(figure, title)


def _terms(axes: Any, rows: pl.DataFrame, styles: dict[str, Look]) -> list[tuple[float, float]]:
    """Draw the three terms of the objective of one level's cells; return where markers are."""
    before = rows.filter(measure="task", step=0)["value"].mean()
    marks: list[tuple[float, float]] = []
    if isinstance(before, float):
        axes.axhline(_log(before), color=FAINT, linestyle=DASHES, linewidth=1.1, zorder=1)
    keys = ["series", "scale"]
    after = {
        name: rows.filter(pl.col("step") > 0, measure=name).select(
            *keys, "value", "low", "high"
        )
        for name in ("preservation", "task", "change_relative")
    }
    both = after["preservation"].join(after["task"], on=keys, suffix="_y")
    both = both.join(after["change_relative"], on=keys, suffix="_size").sort("scale")
    logs = both.with_columns(
        pl.col(f"{name}{end}").map_elements(_log, return_dtype=pl.Float64)
        for name in ("value", "low", "high")
        for end in ("", "_y")
    )
    for name, look in styles.items():
        points = logs.filter(series=name)
        if not points.height:
            continue
        sizes = [16 + 160 * min(size, 1.0) for size in points["value_size"]]
        marks += cloud(axes, points, look, sizes, many=len(styles) > MANY)
    if isinstance(before, float) and marks:
        marks.append((marks[0][0], _log(before)))
    return marks


def _power(value: float, _: int) -> str:
    return f"{10**value:.3g}"


def _log(value: float) -> float:
    return log10(max(value, LEAST))
