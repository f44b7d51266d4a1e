"""What all figures are drawn with: matplotlib draws, the page's style sheet colours.

Text stays text: it can be selected, searched and read aloud.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from ksmith.report.html import Html, tag
from ksmith.report.legend import Legend
from ksmith.report.looks import DASHES, FAINT, GRID, INK, VARIABLES, Look

TOP = 0.62  # inches for the legend and the titles


def cloud(
    axes: Any, points: pl.DataFrame, look: Look, sizes: Sequence[float], *, many: bool
) -> list[tuple[float, float]]:
    """Return where the points of one series are, now drawn: joined, with both intervals.

    Args:
        axes: of the panel.
        points: value, low, high along x, and the same with `_y` along y; at least one row.
        look: of the series.
        sizes: of the markers, as areas, in points squared.
        many: whether there are so many series that the lines would hide each other.
    """
    x, y = points["value"].to_list(), points["value_y"].to_list()
    axes.errorbar(
        x,
        y,
        xerr=half_widths(points),
        yerr=half_widths(points, "_y"),
        color=look.colour,
        linewidth=0.9,
        elinewidth=0.8,
        alpha=0.25 if many else 0.55,
        zorder=2,
    )
    axes.scatter(x, y, s=sizes, color=look.colour, marker=look.marker, linewidths=0, zorder=3)
    return list(zip(x, y, strict=True))


def half_widths(points: pl.DataFrame, suffix: str = "") -> list[list[float]]:
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


def bounds(axes: Any, *, x: bool, named: bool = True) -> None:
    """Set the bounds of a rate, along y and where asked along x."""
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"] if named else [])
    if x:
        axes.set_xlim(-0.06, 1.06)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])


def quiet(axes: Any) -> None:
    """Leave of the frame a faint grid."""
    axes.set_facecolor("none")
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def share_y(column: Sequence[Any]) -> None:
    """Give the panels of a column the same bounds along y."""
    bounds = [axes.get_ylim() for axes in column]
    for axes in column:
        axes.set_ylim(min(low for low, _ in bounds), max(high for _, high in bounds))
        axes.tick_params(labelsize=7)


def name_series(figure: Any, styles: dict[str, Look], legend: Legend) -> None:
    """Draw the legend above all panels."""
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


def lay_out(
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
