"""What is left of forget, retain and holdout sets, and whether it is what gold models have left.

Two tables a level and scale. The first says of each method how far it is from gold models, how
far these are from each other, and whether the one is within the margin of the other; the second
has every other measure of the sets, a row each, beside the model before and the gold models.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ksmith.measures.margin import verdict
from ksmith.measures.memory_table import (
    FORGET,
    HOLDOUT,
    OF_SETS,
    OF_STATEMENTS,
    PROBE,
    RETAIN,
    SETS,
)
from ksmith.report.cells import pooled_where
from ksmith.report.figures import order
from ksmith.report.html import Child, Html, tag
from ksmith.report.tables import NONE, estimate, number

BEFORE, GOLD = "before", "gold models"
CLASSES = {"within": "good", "outside": "bad"}
# measure -> what it is called beside its set, and its unit
DISTANCES = {
    "ks": "Forget quality: D of truth ratios",
    "kl": "Answers: KL from gold, nats",
    "privleak": "PrivLeak, by min-k, percent",
}
MARGIN_NOTE = (
    "From gold: the mean over gold models, which were trained without the forget set. Gold from "
    "gold: the same between two of them. In margins: the distance (of PrivLeak its size) in "
    "units of that of the gold model that is farthest from the others. The verdict is of that "
    "number's 95 % interval, over updates and subjects: within where all of it is at most 1, "
    "outside where all of it is above 1, undecided in between, as most are with few facts. With "
    "m gold models a draw, one more gold model would itself be beyond the margin in about one "
    "of m + 1 cases. n counts facts; of PrivLeak the smaller class."
)
SETS_NOTE = (
    "Means over facts, their 95 % intervals and n facts; of areas under the curve n of both "
    "classes, the forget set and the holdout set. Gold models: the mean over them."
)


def sets(metrics: pl.DataFrame, trials: pl.DataFrame, names: Sequence[str]) -> Iterable[Child]:
    """Yield both tables of every level and scale; nothing where no trial looked at its sets.

    Args:
        metrics: of one task.
        trials: with their series and their settings by dotted names.
        names: the series in order.
    """
    cells = pooled_where(metrics, trials.select("trial", "series"), pl.col("probe") == PROBE)
    # A share has no scale where nobody counted its facts; its series says it then.
    shares = "task.share" in trials.columns and bool(trials["task.share"].count())
    for level in order(cells["level"]) if cells.height else ():
        for scale in cells.filter(level=level)["scale"].unique().sort():
            here = cells.filter(level=level, scale=scale)
            mine = [name for name in names if (here["series"] == name).any()]
            place = level if shares and scale == 1 else f"{level}, scale {scale}"
            yield from _margins(here, mine, place)
            yield tag("h3", f"Forget, retain and holdout sets ({place})")
            yield tag("p", SETS_NOTE, class_="note")
            yield tag("div", _measures(here, mine), class_="wide")


@dataclass(frozen=True, slots=True)
class Cells:
    """The rows of one level and scale, to be looked up."""

    rows: dict[tuple[str, int, str, str], dict[str, Any]]

    @classmethod
    def of(cls, cells: pl.DataFrame) -> "Cells":
        """Return the rows of a table; a later step stands for all after the update."""
        keys = ("series", "step", "measure", "slice")
        return cls(
            {
                (row["series"], min(row["step"], 1), row["measure"], row["slice"]): row
                for row in cells.sort(keys).iter_rows(named=True)
            }
        )

    def find(self, series: str, step: int, measure: str, part: str) -> dict[str, Any] | None:
        """Return one row, if there is one."""
        return self.rows.get((series, step, measure, part))


# --- against gold models ----------------------------------------------------------------------


def _margins(cells: pl.DataFrame, names: Sequence[str], place: str) -> Iterator[Child]:
    found = Cells.of(cells)
    parts = _parts(cells)
    if not parts:
        return
    heads = ("method", "distance", "from gold", "gold from gold", "in margins", "verdict")
    groups: list[Html] = []
    for name, series, step in [(BEFORE, names[0], 0), *((name, name, 1) for name in names)]:
        mine = [(m, p) for m, p in parts if found.find(series, step, m, p)]
        rows: list[Html] = []
        for one in mine:
            first = tag("th", name, scope="row", rowspan=len(mine)) if not rows else None
            rows.append(tag("tr", first, _distance(found, series, step, *one)))
        groups.append(tag("tbody", rows, class_="group"))
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in heads]))
    yield tag("h3", f"Against gold models ({place})")
    yield tag("p", MARGIN_NOTE, class_="note")
    yield tag("div", tag("table", head, groups), class_="wide")


def _parts(cells: pl.DataFrame) -> list[tuple[str, str]]:
    """Return the distances that there are, each of a slice: forget, retain, holdout first."""
    there = set(cells.filter(pl.col("step") > 0).select("measure", "slice").iter_rows())
    found = [(m, p) for m, p in there if m in DISTANCES]
    rank = {name: i for i, name in enumerate(DISTANCES)}
    place = {name: i for i, name in enumerate(SETS)}
    return sorted(found, key=lambda x: (rank[x[0]], place.get(x[1], len(place)), x[1]))


def _distance(found: Cells, series: str, step: int, measure: str, part: str) -> list[Child]:
    """Return the cells of one distance, after the method's name."""
    row = found.find(series, step, measure, part)
    among = found.find(series, 1, f"{measure}_gold", part)
    relative = found.find(series, step, f"{measure}_margin", part)
    said = verdict(relative["low"], relative["high"]) if relative else None
    return [
        tag("td", f"{DISTANCES[measure]}, {part}"),
        _value(row),
        _value(among),
        _value(relative),
        tag("td", tag("b", said, class_=CLASSES.get(said)) if said else NONE),
    ]


def _value(row: dict[str, Any] | None, n: str | None = None) -> Html:
    if row is None:
        return tag("td", NONE, class_="n")
    if n is None:
        return tag("td", *estimate(row), class_="n")
    ends = f"[{number(row['low'])}, {number(row['high'])}] " if row["low"] is not None else ""
    return tag("td", number(row["value"]), tag("small", f"{ends}n {n}"), class_="n")


# --- every other measure ----------------------------------------------------------------------


def _measures(cells: pl.DataFrame, names: Sequence[str]) -> Html:
    found = Cells.of(cells)
    columns = [(BEFORE, names[0], 0), *((name, name, 1) for name in names)]
    gold = cells["slice"].str.starts_with("gold.").any()
    rows: list[Html] = []
    for measure, part in _rows(cells):
        values = [
            _value(found.find(series, step, measure, part), _both(found, series, step, measure))
            for _, series, step in columns
        ]
        if gold:
            values.append(_value(found.find(names[0], 1, measure, f"gold.{part}")))
        title = tag("th", tag("code", measure), scope="row")
        rows.append(tag("tr", title, tag("td", part), values))
    heads = [name for name, _, _ in columns] + [GOLD] * bool(gold)
    head = tag(
        "tr",
        tag("th", "measure", scope="col"),
        tag("th", "of", scope="col"),
        [tag("th", name, class_="n", scope="col") for name in heads],
    )
    return tag("table", tag("thead", head), tag("tbody", rows))


def _rows(cells: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each measure with each of its slices, in the order of the tables."""
    there: dict[str, set[str]] = {}
    for measure, part in cells.select("measure", "slice").iter_rows():
        there.setdefault(measure, set()).add(part)
    for measure in (*OF_STATEMENTS, *OF_SETS):
        if measure == "facts" or measure.partition("_")[0] in DISTANCES:
            continue
        parts = [p for p in there.get(measure, ()) if p.partition(".")[0] in SETS]
        yield from ((measure, p) for p in sorted(parts, key=_place))


def _place(part: str) -> tuple[int, str]:
    return (FORGET, RETAIN, HOLDOUT).index(part.partition(".")[0]), part


def _both(found: Cells, series: str, step: int, measure: str) -> str | None:
    """Return how many facts of both classes an area under the curve is about."""
    if not measure.startswith("auc_"):
        return None
    rows = [found.find(series, step, "facts", name) for name in (FORGET, HOLDOUT)]
    sizes = [str(int(row["n"])) for row in rows if row]
    return " + ".join(sizes) if len(sizes) == len(rows) else None
