"""Forget quality against model utility, as TOFU draws it: a panel a level and share or scale."""

from collections.abc import Sequence
from itertools import zip_longest
from math import ceil
from typing import Any

import polars as pl

from ksmith.measures.memory_table import FORGET, PROBE, RETAIN
from ksmith.report.cells import pooled_where
from ksmith.report.columns import LOOKED
from ksmith.report.drawing import bounds, cloud, half_widths, lay_out, name_series, quiet, svg
from ksmith.report.html import Html, tag
from ksmith.report.legend import Legend
from ksmith.report.looks import FAINT, INK, MANY, Look
from ksmith.report.panels import order
from ksmith.report.verdicts import heading

ACROSS = 3  # panels beside each other
SIZE = 40  # of a marker, points squared
CAPTION = (
    "How far the truth ratios of the forget set are from those of gold models, which were trained "
    "without it (up: Kolmogorov and Smirnov's D, lower is nearer), against the utility that is "
    "left (right: of what no method trains on). Lower right is best. The star is the model before "
    "the update; the diamond is gold models, with D between two of them and its interval as a "
    "band. Bars are 95 % intervals. What is within the margin stands in the table at one look. "
    "TOFU draws the p-value of D (ks_log10_p among every measure), which falls with more facts "
    "where D stays the same."
)


def quality(
    metrics: pl.DataFrame, trials: pl.DataFrame, styles: dict[str, Look]
) -> Html | None:
    """Return the figure; None where no trial has gold models that were asked about its sets.

    Args:
        metrics: of unlearning.
        trials: with their series and their settings by dotted names.
        styles: of the series, in order.
    """
    cells = pooled_where(metrics, trials.select("trial", "series"), LOOKED)
    cells = cells.filter(pl.col("probe") == PROBE)
    points = joined(cells, RETAIN, "ks")
    if points.is_empty():
        return None
    golds = joined(cells, f"gold.{RETAIN}", "ks_gold")
    places = [
        (level, scale)
        for level in order(points["level"])
        for scale in points.filter(level=level)["scale"].unique().sort()
    ]
    titles = [heading(trials, *place) for place in places]
    parts = [
        tuple(table.filter(level=level, scale=scale) for table in (points, golds))
        for level, scale in places
    ]
    drawing = _drawn(parts, titles, styles)
    return tag(
        "figure",
        tag("h3", "Forget quality against utility"),
        tag("div", drawing, class_="wide"),
        tag("figcaption", CAPTION),
    )


def joined(cells: pl.DataFrame, part: str, far: str) -> pl.DataFrame:
    """Return level, scale, series, step, with utility on `part` (x) and a distance (`_y`)."""
    keys = ["level", "scale", "series", "step"]
    of = [*keys, "value", "low", "high"]
    utility = cells.filter(measure="model_utility", slice=part).select(of)
    distance = cells.filter(measure=far, slice=FORGET).select(of)
    return utility.join(distance, on=keys, suffix="_y", maintain_order="left")


def _drawn(
    parts: Sequence[tuple[pl.DataFrame, ...]], titles: Sequence[str], styles: dict[str, Look]
) -> Html:
    from matplotlib.figure import Figure

    columns = min(ACROSS, len(parts))
    rows = ceil(len(parts) / columns)
    legend = Legend.of(styles, 0.7 + 3.1 * columns, before=False)
    figure = Figure(figsize=(legend.width, 0.95 + 2.8 * rows + legend.more))
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    bounds(grid[0][0], x=True)  # of all, which share both axes
    for axes, part, title in zip_longest(grid.flat, parts, titles):
        if part is None:
            axes.set_visible(False)
            continue
        _models(axes, part[0], styles)
        _golds(axes, part[1])
        quiet(axes)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.set_xlabel("model utility on retain", fontsize=8, color=FAINT)
    for row in grid:
        row[0].set_ylabel("D of truth ratios from gold", fontsize=8, color=FAINT)
    name_series(figure, styles, legend)
    lay_out(figure, left=0.5, bottom=0.42, gap=(0.12, 0.62), more=legend.more)
    return svg(figure, "forget quality against utility")


def _models(axes: Any, points: pl.DataFrame, styles: dict[str, Look]) -> None:
    """Draw the model before the update, and each series after it."""
    before = points.filter(pl.col("step") == 0)
    if before.height:
        place = [before["value"].mean()], [before["value_y"].mean()]
        axes.plot(*place, marker="*", color=INK, markersize=11, zorder=4)
        _name(axes, "before", (place[0][0], place[1][0]), 6)
    for name, look in styles.items():
        mine = points.filter(pl.col("step") > 0, series=name)
        if mine.height:
            cloud(axes, mine, look, [SIZE] * mine.height, many=len(styles) > MANY)


def _golds(axes: Any, golds: pl.DataFrame) -> None:
    """Draw gold models: every series of a panel is held to the same, so the first says it."""
    row = golds.head(1)
    if row.is_empty():
        return
    low, high = row["low_y"][0], row["high_y"][0]
    if low is not None:
        axes.axhspan(low, high, color=FAINT, alpha=0.13, linewidth=0, zorder=0)
    x, y = row["value"].to_list(), row["value_y"].to_list()
    axes.errorbar(
        x,
        y,
        xerr=half_widths(row),
        color=INK,
        marker="D",
        markersize=7,
        markerfacecolor="none",
        linestyle="none",
        elinewidth=0.8,
        zorder=4,
    )
    _name(axes, "gold", (x[0], y[0]), -6)


def _name(axes: Any, text: str, place: tuple[Any, Any], above: int) -> None:
    """Write a name to the left of a mark; the two there are stay apart where the marks meet."""
    axes.annotate(
        text,
        place,
        (-8, above),
        textcoords="offset points",
        fontsize=8,
        color=INK,
        ha="right",
        va="center",
    )
