"""What is left of forget and retain sets along a sequence: curves, and a row a checkpoint."""

from collections.abc import Iterator, Sequence

import polars as pl

from ksmith.measures.memory_table import PROBE
from ksmith.report import figures
from ksmith.report.cells import pooled_where
from ksmith.report.columns import LOOKED, Rate, Shown
from ksmith.report.figures import Axis
from ksmith.report.html import Child, Html, tag
from ksmith.report.looks import Look
from ksmith.report.margins import BEFORE, Cells, cell
from ksmith.report.panels import Panel, order

NOTE = (
    "Over the facts of the forget set so far, of which each batch adds its own, and over what no "
    "batch is about. Distances from gold models are of updates at once: a gold model is trained "
    "without one forget set, and along a sequence there are as many as batches (task.gold is "
    "refused with task.sequence)."
)


def left(
    metrics: pl.DataFrame, series: pl.DataFrame, styles: dict[str, Look], along: Axis
) -> Iterator[Child]:
    """Yield a figure and a table a length and level; nothing where nobody looked at sets.

    Args:
        metrics: of one task's sequences, at every step.
        series: trial, series.
        styles: of the series, in order.
        along: the axis of facts written.
    """
    cells = pooled_where(metrics, series, LOOKED)
    if not (cells["probe"] == PROBE).any():
        return
    shown = Shown.of(cells)
    yield tag("h3", "What is left of the sets, batch after batch")
    yield tag("p", NOTE, class_="note")
    for scale in cells["scale"].unique().sort():
        title = f"sets along a sequence of {scale} facts"
        here = with_facts(cells.filter(scale=scale))
        drawing = figures.curves(here, _panels(shown.rates), styles, title, along)
        yield tag("figure", tag("div", drawing, class_="wide"))
        for level in order(here["level"]):
            mine = cells.filter(scale=scale, level=level)
            start = "" if level == "any" else f"{level}: "
            yield tag("p", f"{start}sequences of {scale} facts", class_="note")
            yield tag("div", _table(mine, shown.rates, list(styles)), class_="wide")
    yield tag("p", shown.note(), class_="note")


def with_facts(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with `facts`, what is along x; those of before stand at every place."""
    after = table.filter(pl.col("step") > 0).with_columns(facts="step")
    places = after.select(pl.col("facts").unique())
    before = table.filter(pl.col("step") == 0).join(places, how="cross")
    return pl.concat([before, after.select(before.columns)])


def _panels(rates: Sequence[Rate]) -> list[Panel]:
    return [
        Panel(rate.title, probe, measure, part)
        for rate in rates
        for probe, measure, part in rate.places
    ]


def _table(cells: pl.DataFrame, rates: Sequence[Rate], names: Sequence[str]) -> Html:
    heads = [tag("th", rate.title, class_="n", scope="col") for rate in rates]
    head = tag("tr", tag("th", "method, facts so far", scope="col"), heads)
    groups: list[Html] = []
    for name in names:
        mine = cells.filter(series=name)
        if mine.is_empty():
            continue
        title = tag("th", name, colspan=len(rates) + 1, scope="colgroup")
        rows = [_row(mine, name, int(step), rates) for step in mine["step"].unique().sort()]
        groups.append(tag("tbody", tag("tr", title), rows, class_="group"))
    return tag("table", tag("thead", head), groups)


def _row(cells: pl.DataFrame, name: str, step: int, rates: Sequence[Rate]) -> Html:
    found = Cells.of(cells.filter(step=step))
    model = (name, name, min(step, 1))
    values = [cell(found.find(model, *rate.places[0])) for rate in rates]
    return tag("tr", tag("th", str(step) if step else BEFORE, scope="row"), values)
