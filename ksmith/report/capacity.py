"""How many facts a method can unlearn before the rest is lost, or old answers stay."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from ksmith import measures
from ksmith.measures.curves import DELTA
from ksmith.measures.memory_table import PROBE, RETAIN
from ksmith.report import tables
from ksmith.report.cells import pooled_where
from ksmith.report.columns import LOOKED
from ksmith.report.html import Html, tag
from ksmith.report.panels import order

KEPT = 0.95  # of the utility before
LEFT = 0.10  # old answers that may still be written
NOTE = (
    "The largest number of facts at once, of those measured, up to which at every number at "
    f"least {KEPT:.0%} of the utility on retain is kept (of the model before, which is taken as "
    f"it is), and at most {LEFT:.0%} of the old answers are still written. In brackets the same "
    "by the worse and by the better ends of the 95 % intervals of the numbers themselves; none: "
    "not even at the smallest."
)
Row = dict[str, Any]
Bound = Callable[[Row, str], bool]  # a row, and which of value, low and high is taken


def capacity(metrics: pl.DataFrame, series: pl.DataFrame, names: Sequence[str]) -> Html | None:
    """Return a row a method; None where there is one number of facts, or nothing to go by.

    Args:
        metrics: of unlearning, of trials of several numbers of facts.
        series: trial, series.
        names: the series in order.
    """
    cells = pooled_where(metrics, series, LOOKED)
    if cells["scale"].n_unique() < 2:
        return None
    rows: list[list[str]] = []
    for level in order(cells["level"]):
        for name in names:
            mine = cells.filter(series=name, level=level)
            if mine.height:
                utility, left = _utility(mine), _old(mine)
                rows.append([level, name, _utility_told(utility), _told(left, _gone, "high")])
    heads = ["level", "method", f"keeps {KEPT:.0%} of utility", f"leaves {LEFT:.0%} at most"]
    note = tag("p", NOTE, class_="note")
    return tag("section", tag("h3", "Capacity"), tables.plain(heads, rows), note)


def _utility(cells: pl.DataFrame) -> list[Row]:
    """Return utility by number of facts, each with what it was `before`."""
    mine = cells.filter(probe=PROBE, measure="model_utility", slice=RETAIN)
    before = mine.filter(pl.col("step") == 0).select("scale", before="value")
    after = mine.filter(pl.col("step") > 0).join(before, on="scale").sort("scale")
    return after.to_dicts()


def _old(cells: pl.DataFrame) -> list[Row]:
    mine = cells.filter(probe="efficacy", measure="residual_generated", slice="")
    return mine.filter(pl.col("step") > 0).sort("scale").to_dicts()


def _kept(row: Row, end: str) -> bool:
    return row[end] is not None and row[end] >= KEPT * row["before"]


def _gone(row: Row, end: str) -> bool:
    return row[end] is not None and row[end] <= LEFT


def _utility_told(rows: Sequence[Row]) -> str:
    return _told(rows, _kept, "low")


def _told(rows: Sequence[Row], holds: Bound, worse: str) -> str:
    """Return up to which number a bound holds, by the values and by both ends."""
    if not rows:
        return ""
    better = "low" if worse == "high" else "high"
    at, least, most = (_up_to(rows, holds, end) for end in ("value", worse, better))
    return f"{at} [{least}, {most}]"


def _up_to(rows: Sequence[Row], holds: Bound, end: str) -> str:
    """Return the largest number up to which it holds everywhere; that is of all, with a +."""
    found = "none"
    for row in rows:
        if not holds(row, end):
            return found
        found = str(row["scale"])
    return f"{found}+"


def collapse(metrics: pl.DataFrame, series: pl.DataFrame) -> Html | None:
    """Return where each curve of editing reaches half of its gain, and where it collapses.

    Args:
        metrics: of editing, of trials of several numbers of facts.
        series: trial, series.
    """
    rows = metrics.join(series, on="trial")
    found = measures.curves(
        rows.with_columns(pl.col("level").fill_null("any")), ("level", "series")
    )
    if not found.height:
        return None
    table = tables.plain(
        ["level", "method", "half-point", "collapse", "collapses in"],
        [
            [
                str(row["level"]),
                str(row["series"]),
                _scale(row, "k_half"),
                _scale(row, "k_star"),
                "-" if row["collapsed"] is None else f"{100 * row['collapsed']:.0f} %",
            ]
            for row in found.iter_rows(named=True)
        ],
    )
    note = (
        "Half-point: the fewest facts at once with half of the largest gain of written answers "
        "when asked directly. Collapse: the first scale where those fall by more than "
        f"{DELTA:g} below their best while answers in reverse do not. In brackets "
        "95 % intervals over seeds and facts, among the scales measured; the last column says "
        "in how many replicates there is a collapse."
    )
    return tag("section", tag("h3", "Capacity"), table, tag("p", note, class_="note"))


def _scale(row: dict[str, Any], name: str) -> str:
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    if low is None:
        return "none"
    told = "beyond" if row[name] is None else str(row[name])
    return f"{told} [{low}, {'beyond' if high is None else high}]"
