"""The report's own figures: matplotlib draws them, the page's style sheet colours them.

Every colour below is a stand-in that becomes a CSS variable in the SVG, so that one drawing
serves light and dark pages, and text stays text: it can be selected, searched and read aloud.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import polars as pl

from ksmith.report.html import Html, tag
from ksmith.report.legend import Legend, roomy

INK, FAINT, GRID = "#010101", "#020202", "#030303"
METHODS = [f"#0500{number:02x}" for number in range(8)]
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--grid",
    **{colour: f"--method-{number}" for number, colour in enumerate(METHODS)},
}
MANY, FADED = 6, 0.35  # of more series, intervals are drawn so faintly
DIGIT = 0.07  # inches
TOP = 0.62  # inches for the legend and the titles
DASHES = (0, (2, 2))
MARKERS = "osD^vPX"  # 7 and 8 have no common divisor: 56 pairs before one comes back


@dataclass(frozen=True, slots=True)
class Look:
    """The colour and the marker of one series, the same in every figure."""

    colour: str
    marker: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of small multiples: which rows it shows and between which bounds."""

    title: str
    probe: str
    measure: str = ""
    slice: str = ""
    hop: int | None = None
    unit: bool = True  # a rate between 0 and 1


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


def looks(series: Sequence[str], known: Sequence[str]) -> dict[str, Look]:
    """Return a look for each series; a method of `known` has the same in every report."""
    places: dict[str, int] = {}
    for name in series:
        method = name.partition(" ")[0]
        place = known.index(method) if method in known and name == method else len(known)
        # No colour comes back before all others have been taken.
        rounds = len(places) // len(METHODS)
        used = Counter(taken % len(METHODS) for taken in places.values())
        while place in places.values() or used[place % len(METHODS)] > rounds:
            place += 1
        places[name] = place
    return {
        name: Look(METHODS[place % len(METHODS)], MARKERS[place % len(MARKERS)])
        for name, place in places.items()
    }


def select(cells: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """Return the rows of `cells` that `panel` shows."""
    hop = pl.col("hop").is_null() if panel.hop is None else pl.col("hop") == panel.hop
    return cells.filter(
        (pl.col("probe") == panel.probe)
        & (pl.col("measure") == panel.measure)
        & (pl.col("slice") == panel.slice)
        & hop
    )


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
                _bounds(axes, x=False, named=not column)
            _quiet(axes)
            if row == 0:
                axes.set_title(panel.title, fontsize=9, color=INK, loc="left")
        if not panel.unit:
            _share_y([grid[row][column] for row in range(len(levels))])
    for row, level in enumerate(levels):
        grid[row][0].set_ylabel(level, fontsize=9, color=INK)
    for axes in grid[-1]:
        axes.set_xlabel(along.title, fontsize=8, color=FAINT)
    _legend(figure, styles, legend)
    _place(figure, left=0.5, bottom=0.42, gap=(0.22, 0.16), more=legend.more)
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
    _bounds(grid[0][0], x=True)  # of all, which share both axes
    places = [(panel, level) for panel in kept for level in levels]
    for axes, (panel, level) in zip(grid.flat, places, strict=True):
        here = cells.filter(pl.col("level") == level)
        _points(axes, select(here, panel), select(here, gained), styles)
        _quiet(axes)
        axes.set_xlabel(f"{panel.title.lower()}, {panel.measure}", fontsize=8, color=FAINT)
        if panel == kept[0]:
            axes.set_title(level, fontsize=9, color=INK, loc="left")
    for row in grid:
        name = f"{gained.title.lower()}, {gained.measure}"
        row[0].set_ylabel(name, fontsize=8, color=FAINT)
    _legend(figure, styles, legend)
    _place(figure, left=0.5, bottom=0.42, gap=(0.12, 0.42), more=legend.more)
    return svg(figure, title)


def order(levels: pl.Series) -> list[str]:
    """Return the levels there are, from the root down."""
    known = ["root", "intermediate", "leaf", "any"]
    present = set(levels.to_list())
    return [name for name in known if name in present] + sorted(present - set(known))


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
            yerr=_half_widths(points),
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
        x, y = points["value"].to_list(), points["value_y"].to_list()
        axes.errorbar(
            x,
            y,
            xerr=_half_widths(points),
            yerr=_half_widths(points, "_y"),
            color=look.colour,
            linewidth=0.9,
            elinewidth=0.8,
            alpha=0.55 if len(styles) <= MANY else 0.25,
            zorder=2,
        )
        sizes = [22 + 26 * rank for rank in range(len(x))]
        axes.scatter(
            x, y, s=sizes, color=look.colour, marker=look.marker, linewidths=0, zorder=3
        )


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
        _quiet(axes)
    grid[0][0].set_ylabel("distance to the target (nats a token)", fontsize=8, color=FAINT)
    # By the markers: an interval that reaches down to nothing would push them into a corner.
    for along, limit in enumerate((grid[0][0].set_xlim, grid[0][0].set_ylim)):
        places = [mark[along] for mark in marks]
        limit(min(places, default=0.0) - EDGE, max(places, default=0.0) + EDGE)
    grid[0][0].locator_params(nbins=6)
    for along in (grid[0][0].xaxis, grid[0][0].yaxis):
        along.set_major_formatter(_power)
    _legend(figure, styles, legend)
    _place(figure, left=0.65, bottom=0.45, gap=(0.22, 0.16), more=legend.more)
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
        x, y = points["value"].to_list(), points["value_y"].to_list()
        axes.errorbar(
            x,
            y,
            xerr=_half_widths(points),
            yerr=_half_widths(points, "_y"),
            color=look.colour,
            linewidth=0.9,
            elinewidth=0.8,
            alpha=0.55 if len(styles) <= MANY else 0.25,
            zorder=2,
        )
        sizes = [16 + 160 * min(size, 1.0) for size in points["value_size"]]
        axes.scatter(
            x, y, s=sizes, color=look.colour, marker=look.marker, linewidths=0, zorder=3
        )
        marks += zip(x, y, strict=True)
    if isinstance(before, float) and marks:
        marks.append((marks[0][0], _log(before)))
    return marks


EDGE = 0.35  # powers of ten around all markers
LEAST = 1e-4  # nats: nearer to the ideal is drawn there


def _power(value: float, _: int) -> str:
    return f"{10**value:.3g}"


def _log(value: float) -> float:
    return log10(max(value, LEAST))


def _half_widths(points: pl.DataFrame, suffix: str = "") -> list[list[float]]:
    """Return matplotlib's two rows of distances; none is drawn where there is no interval."""
    value, low, high = (points[f"{name}{suffix}"] for name in ("value", "low", "high"))
    return [
        [
            max(v - edge, 0.0) if edge is not None else 0.0
            for v, edge in zip(value, low, strict=True)
        ],
        [
            max(edge - v, 0.0) if edge is not None else 0.0
            for v, edge in zip(value, high, strict=True)
        ],
    ]


def _reach(axes: Any, values: Sequence[int], along: Axis, width: float) -> None:
    """Set the places along x; `width`, in inches, says which of their names have room."""
    low, high = along.at(min(values)) - 0.28, along.at(max(values)) + 0.28
    axes.set_xlim(low, high)
    inches = [(along.at(value) - low) * width / (high - low) for value in values]
    shown = roomy(inches, [DIGIT * (len(str(value)) + 1) for value in values])
    names = [str(value) if i in shown else "" for i, value in enumerate(values)]
    axes.set_xticks([along.at(value) for value in values], names)


def _bounds(axes: Any, *, x: bool, named: bool = True) -> None:
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"] if named else [])
    if x:
        axes.set_xlim(-0.06, 1.06)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])


def _quiet(axes: Any) -> None:
    axes.set_facecolor("none")
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _share_y(column: Sequence[Any]) -> None:
    bounds = [axes.get_ylim() for axes in column]
    for axes in column:
        axes.set_ylim(min(low for low, _ in bounds), max(high for _, high in bounds))
        axes.tick_params(labelsize=7)


def _legend(figure: Any, styles: dict[str, Look], legend: Legend) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=5,
            linewidth=1.4,
            label=name,
        )
        for name, look in styles.items()
    ]
    if legend.before:
        dashes = Line2D([], [], color=FAINT, linestyle=DASHES, label="before the update")
        handles.append(dashes)
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=legend.columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1.8,
        columnspacing=1.6,
    )


def _place(
    figure: Any, *, left: float, bottom: float, gap: tuple[float, float], more: float
) -> None:
    """Leave room, in inches: for names at the left and below, the legend, between panels."""
    top = TOP + more
    width, height = figure.get_size_inches()
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    inner = (width - left - 0.08 - gap[0] * (columns - 1)) / columns
    tall = (height - bottom - top - gap[1] * (rows - 1)) / rows
    figure.subplots_adjust(
        left=left / width,
        right=1 - 0.08 / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap[0] / inner,
        hspace=gap[1] / tall,
    )


def svg(figure: Any, title: str) -> Html:
    """Return the figure as an `<svg>` that scales, with a title, in the page's colours."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"(font(?:-family)?: [^;\"']*)'[^\"]*?(?=[;\"])", r"\1inherit-me", text)
    # One page holds several drawings: matplotlib's ids would be there twice.
    prefix = re.sub(r"\W+", "-", title.lower())
    text = re.sub(r'\bid="(?:figure|axes|patch|text|line2d|matplotlib)[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"(href=\"|url\()#", rf"\1#{prefix}-", text)
    head, _, body = text.partition(">")
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    points = figure.get_figwidth() * 72
    size = f"width:{points * 1.55:.0f}px;min-width:{min(points * 1.1, 700):.0f}px"
    return Html(f'{head} role="img" style="{size}">{tag("title", title)}{body}')
