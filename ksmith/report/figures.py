"""The report's small multiples: curves along scales or hops, and efficacy against what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import polars as pl

from ksmith.report.drawing import (
    bounds,
    cloud,
    half_widths,
    lay_out,
    name_series,
    quiet,
    share_y,
    svg,
)
from ksmith.report.html import Html
from ksmith.report.legend import Legend, roomy
from ksmith.report.looks import DASHES, FAINT, INK, MANY, Look
from ksmith.report.panels import Panel, order, select

FADED = 0.35  # of many series, intervals are drawn so faintly
DIGIT = 0.07  # inches


@dataclass(frozen=True, slots=True)
class Axis:
    """What runs along x: a column, its name, whether by powers of ten, inches of a panel."""

    column: str
    title: str
    log: bool = True
    width: float = 1.3

    def at(self, value: int) -> float:
        """Return where a value stands."""
        # Logarithms by hand: matplotlib's own log axis costs ten times as much a panel.
        return log10(value) if self.log else float(value)


SCALE = Axis("scale", "facts at once")
HOP = Axis("distance", "hops from the request", log=False, width=1.8)


def curves(
    cells: pl.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, Look],
    title: str,
    along: Axis = SCALE,
) -> Html:
    """Return small multiples: a column a panel, a row a level, `along` x the scale or the hop."""
    from matplotlib.figure import Figure

    levels = order(cells["level"])
    legend = Legend.of(styles, 0.5 + along.width * len(panels), before=True)
    figure = Figure(figsize=(legend.width, 0.95 + 1.35 * len(levels) + legend.more))
    grid: Any = figure.subplots(len(levels), len(panels), squeeze=False, sharex=True)
    places = cells[along.column].unique().sort().to_list()
    _reach(
        grid[0][0], places, along, (legend.width - 0.5) / len(panels)
    )  # of all panels, which share it
    for column, panel in enumerate(panels):
        rows = select(cells, panel)
        for row, level in enumerate(levels):
            axes = grid[row][column]
            _curve(axes, rows.filter(pl.col("level") == level), styles, along)
            if panel.unit:
                bounds(axes, x=False, named=not column)
            quiet(axes)
            if row == 0:
                axes.set_title(panel.title, fontsize=9, color=INK, loc="left")
        if not panel.unit:
            share_y([grid[row][column] for row in range(len(levels))])
    for row, level in enumerate(levels):
        grid[row][0].set_ylabel(level, fontsize=9, color=INK)
    for axes in grid[-1]:
        axes.set_xlabel(along.title, fontsize=8, color=FAINT)
    name_series(figure, styles, legend)
    lay_out(figure, left=0.5, bottom=0.42, gap=(0.22, 0.16), more=legend.more)
    return svg(figure, title)


def tradeoff(
    cells: pl.DataFrame,
    kept: Sequence[Panel],
    gained: Panel,
    styles: dict[str, Look],
    title: str,
) -> Html:
    """Return efficacy (y) against what was kept (x), by what was kept and by level.

    A line joins the scales of one method; the larger the marker, the more facts at once. The
    star is the model before the update: doing nothing keeps everything and gains nothing.
    """
    from matplotlib.figure import Figure

    levels = order(cells["level"])
    # A row a kept panel, a column a level; where there is one level, all in one row.
    rows, columns = (len(kept), len(levels)) if len(levels) > 1 else (1, len(kept))
    legend = Legend.of(styles, 0.7 + 3.1 * columns, before=False)
    figure = Figure(figsize=(legend.width, 0.95 + 2.5 * rows + legend.more))
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    bounds(grid[0][0], x=True)  # of all, which share both axes
    places = [(panel, level) for panel in kept for level in levels]
    for axes, (panel, level) in zip(grid.flat, places, strict=True):
        here = cells.filter(pl.col("level") == level)
        _points(axes, select(here, panel), select(here, gained), styles)
        quiet(axes)
        axes.set_xlabel(f"{panel.title.lower()}, {panel.measure}", fontsize=8, color=FAINT)
        if panel == kept[0]:
            axes.set_title(level, fontsize=9, color=INK, loc="left")
    for row in grid:
        name = f"{gained.title.lower()}, {gained.measure}"
        row[0].set_ylabel(name, fontsize=8, color=FAINT)
    name_series(figure, styles, legend)
    lay_out(figure, left=0.5, bottom=0.42, gap=(0.12, 0.42), more=legend.more)
    return svg(figure, title)


def _curve(axes: Any, rows: pl.DataFrame, styles: dict[str, Look], along: Axis) -> None:
    """Draw one panel: a line a series with its intervals, and the level before the update."""
    after = rows.filter(pl.col("step") > 0)
    before = rows.filter(pl.col("step") == 0).group_by(along.column).agg(pl.col("value").mean())
    for place, value in before.sort(along.column).iter_rows():
        edge = (along.at(place) - 0.2, along.at(place) + 0.2)
        axes.plot(edge, (value, value), color=FAINT, linestyle=DASHES, linewidth=1.1, zorder=1)
    for place, (name, look) in enumerate(styles.items()):
        points = after.filter(pl.col("series") == name).sort(along.column)
        if not points.height:
            continue
        # Side by side where intervals would overlap.
        shift = min(0.06 * len(styles), 0.3) * (place / max(len(styles) - 1, 1) - 0.5)
        x = [along.at(value) + shift for value in points[along.column]]
        drawn = axes.errorbar(
            x,
            points["value"].to_list(),
            yerr=half_widths(points),
            color=look.colour,
            marker=look.marker,
            markersize=4.2,
            linewidth=1.2,
            elinewidth=1,
            markeredgewidth=0,
            zorder=3,
        )
        for bar in drawn[2]:  # of many series they would hide the curves
            bar.set_alpha(FADED if len(styles) > MANY else 1.0)


def _points(
    axes: Any, kept: pl.DataFrame, gained: pl.DataFrame, styles: dict[str, Look]
) -> None:
    """Draw one panel: the model before the update, and the scales of each series."""
    keys = ["series", "scale", "step"]
    both = kept.join(gained.select(*keys, "value", "low", "high"), on=keys, suffix="_y")
    before = both.filter(pl.col("step") == 0)
    if before.height:
        place = (before["value"].mean(), before["value_y"].mean())
        axes.plot(*([value] for value in place), marker="*", color=INK, markersize=11, zorder=4)
        axes.annotate(
            "before",
            place,
            (-7, 0),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            ha="right",
            va="center",
        )
    for name, look in styles.items():
        points = both.filter((pl.col("series") == name) & (pl.col("step") > 0)).sort("scale")
        if not points.height:
            continue
        sizes = [22 + 26 * rank for rank in range(points.height)]
        cloud(axes, points, look, sizes, many=len(styles) > MANY)


def _reach(axes: Any, values: Sequence[int], along: Axis, width: float) -> None:
    """Set the places along x; `width`, in inches, says which of their names have room."""
    low, high = along.at(min(values)) - 0.28, along.at(max(values)) + 0.28
    axes.set_xlim(low, high)
    inches = [(along.at(value) - low) * width / (high - low) for value in values]
    shown = roomy(inches, [DIGIT * (len(str(value)) + 1) for value in values])
    names = [str(value) if i in shown else "" for i, value in enumerate(values)]
    axes.set_xticks([along.at(value) for value in values], names)
