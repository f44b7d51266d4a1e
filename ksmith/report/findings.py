"""What the study expected to find, and whether it holds: the first thing below the head."""

from typing import Any

from ksmith.report.content import Content
from ksmith.report.html import Html, tag
from ksmith.report.tables import estimate, number

CLASSES = {"holds": "good", "does not hold": "bad"}
NOTE = (
    "Difference: the measure in the first trials minus that in the second, matched on all "
    "other settings; its 95 % interval, n facts. A finding holds where the whole interval is "
    "above the margin, does not where none of it is, and is undecided in between. "
    "What an unlearner was trained on to keep is in no measure, of whose questions an editor's "
    "mean holds more."
)


def findings(content: Content) -> Html | None:
    """Return the table of findings; None for a study that expects none."""
    if not content.findings.height:
        return None
    names = ("finding", "verdict", "measure", "of", "difference")
    head = tag("tr", [tag("th", name, scope="col") for name in names])
    rows = [_row(row) for row in content.findings.iter_rows(named=True)]
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return tag(
        "section",
        tag("h2", "Findings"),
        tag("div", table, class_="wide"),
        tag("p", NOTE, class_="note"),
        id="findings",
    )


def _row(row: dict[str, Any]) -> Html:
    margin = f"margin {number(row['margin'])}" if row["margin"] else None
    return tag(
        "tr",
        tag("td", row["says"], tag("small", row["paper"]) if row["paper"] else None),
        tag("td", tag("b", row["verdict"], class_=CLASSES.get(row["verdict"]))),
        tag("td", tag("code", row["measure"])),
        tag("td", row["more"], tag("small", f"against {row['less']}")),
        tag("td", _difference(row), tag("small", margin) if margin else None, class_="n"),
    )


def _difference(row: dict[str, Any]) -> Any:
    return "-" if row["value"] is None else estimate(row)
