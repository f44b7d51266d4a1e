"""How far methods are from gold models, each distance with its verdict.

A distance stands beside the same between gold models, and in units of the margin: see
`measures/margin.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ksmith.measures.margin import Verdict, verdict
from ksmith.report.html import Html, tag
from ksmith.report.tables import NONE, estimate, ratio

BEFORE, GOLD = "before", "gold models"
CLASSES = {"within": "good", "outside": "bad"}
ENOUGH_GOLDS = 5  # gold models a draw without which a verdict carries no claim
Row = dict[str, Any]
Model = tuple[str, str, int]  # what it is called, its series, its step

NOTE = (
    "From gold: the mean over gold models, which {learnt}. Gold from gold: the same between two "
    "of them. In margins: the distance in units of that of the gold model that is farthest from "
    "the others. The verdict is of that number's 95 % interval, over updates and subjects: "
    "within where all of it is at most 1, outside where all of it is above 1, undecided in "
    "between, as most are with few facts. With m gold models a draw, one more gold model would "
    "itself be beyond the margin in about one of m + 1 cases."
)
CONTROL = (
    " Gold models' own verdict is the control: each is held to the other ones, in units of their "
    "margin. Undecided there, it means that so few facts can't decide, of a method no more than "
    "of them."
)
LEARNT = {
    "edit": "were trained on the changed graph",
    "unlearn": "were trained without the forget set",
}


@dataclass(frozen=True, slots=True)
class Cells:
    """The rows of one level and scale, to be looked up."""

    rows: dict[tuple[str, int, str, str, str], Row]

    @classmethod
    def of(cls, cells: pl.DataFrame) -> "Cells":
        """Return the rows of a table; a later step stands for all after the update."""
        keys = ("series", "step", "probe", "measure", "slice")
        return cls(
            {
                (row["series"], min(row["step"], 1), *(row[name] for name in keys[2:])): row
                for row in cells.sort(keys).iter_rows(named=True)
            }
        )

    def find(self, model: Model, probe: str, measure: str, part: str = "") -> Row | None:
        """Return one row, if there is one."""
        return self.rows.get((*model[1:], probe, measure, part))


def models(names: Sequence[str]) -> list[Model]:
    """Return the model before the update, as the first series has it, and all after it."""
    return [(BEFORE, names[0], 0), *((name, name, 1) for name in names)]


def gold_of(names: Sequence[str]) -> Model:
    """Return the gold models, which have no step: their rows stand beside the first update."""
    return (GOLD, names[0], 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """One distance from gold models: what it is called, and where its three numbers stand."""

    title: str
    probe: str
    measure: str
    among: str  # the measure of gold models among themselves
    margin: str  # ... and in units of the margin
    slice: str
    places: int = 2  # of the distance itself

    @property
    def control(self) -> str:
        """The measure of gold models, each held to the other ones, in units of their margin."""
        return f"{self.margin}_gold"

    def far(self, found: Cells, model: Model) -> Row | None:
        """Return the distance itself; of gold models, that of one from another."""
        name = self.among if model[0] == GOLD else self.measure
        return found.find(model, self.probe, name, self.slice)

    def in_margins(self, found: Cells, model: Model) -> Row | None:
        """Return the same in units of the margin, which older outcomes lack of gold models."""
        name = self.control if model[0] == GOLD else self.margin
        return found.find(model, self.probe, name, self.slice)

    def said(self, found: Cells, model: Model) -> Verdict | None:
        """Return the verdict on a model; None where there is no margin."""
        row = self.in_margins(found, model)
        return verdict(row["low"], row["high"]) if row else None


def table(found: Cells, names: Sequence[str], distances: Sequence[Distance]) -> Html:
    """Return a group of rows a model, a row a distance that there is of it."""
    heads = ("method", "distance", "from gold", "gold from gold", "in margins", "verdict")
    head = tag("tr", [tag("th", name, scope="col", class_=_class(name)) for name in heads])
    groups: list[Html] = []
    for model in (*models(names), gold_of(names)):
        # Of gold models there is nothing new to say but the control.
        look = Distance.in_margins if model[0] == GOLD else Distance.far
        mine = [one for one in distances if look(one, found, model)]
        rows: list[Html] = []
        for one in mine:
            first = tag("th", model[0], scope="row", rowspan=len(mine)) if not rows else None
            rows.append(tag("tr", first, _cells(found, model, one)))
        groups.append(tag("tbody", rows, class_="rows") if rows else Html(""))
    return tag("div", tag("table", tag("thead", head), groups), class_="wide")


def _class(head: str) -> str | None:
    return "n" if head in ("from gold", "gold from gold", "in margins") else None


def _cells(found: Cells, model: Model, one: Distance) -> Iterable[Html]:
    yield tag("td", one.title)
    yield cell(None if model[0] == GOLD else one.far(found, model), one.places)
    yield cell(one.far(found, (GOLD, model[1], 1)), one.places)
    yield _ratio(one.in_margins(found, model))
    yield tag("td", word(one.said(found, model)))


def _ratio(row: Row | None) -> Html:
    if row is None:
        return cell(None)
    ends = f"[{ratio(row['low'])}, {ratio(row['high'])}]" if row["low"] is not None else None
    return tag("td", ratio(row["value"]), tag("small", ends, f" n {row['n']}"), class_="n")


def cell(row: Row | None, places: int = 2) -> Html:
    """Return a number with its interval and n."""
    inside = estimate(row, places=places) if row else [NONE]
    return tag("td", *inside, class_="n")


def word(said: Verdict | None) -> Html | str:
    """Return a verdict in its colour."""
    return tag("b", said, class_=CLASSES.get(said)) if said else NONE


def together(said: Iterable[Verdict | None]) -> Verdict | None:
    """Return what several verdicts say of one model: outside if one is, within if all are.

    >>> together(["within", "undecided"]), together(["within", None]), together([None])
    ('undecided', 'within', None)
    """
    there = [one for one in said if one]
    if "outside" in there:
        return "outside"
    if not there:
        return None
    return "undecided" if "undecided" in there else "within"


def golds(trials: pl.DataFrame) -> int:
    """Return the fewest gold models that a draw of these trials has; 0: none has any."""
    counts: list[int] = []
    for row in trials.iter_rows(named=True):
        given = row.get("model.gold")  # folders that the user brought
        count = len(given) if given else row.get("task.gold") or 0
        counts += [int(count)] if count else []
    return min(counts, default=0)


def few_golds(trials: pl.DataFrame) -> Html | None:
    """Return what so few gold models leave open; None where there are enough, or none."""
    count = golds(trials)
    if not 0 < count < ENOUGH_GOLDS:
        return None
    text = (
        f"{count} gold model{'s' if count > 1 else ''} a draw: how far gold models lie from each "
        "other is known from these alone, and what others would say is in no verdict's "
        f"interval. A claim takes {ENOUGH_GOLDS}."
    )
    return tag("p", text, class_="note warn")
