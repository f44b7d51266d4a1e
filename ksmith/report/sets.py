"""Every measure of forget, retain and holdout sets, and how far each is from gold models.

Two tables a level and scale, folded: what they come to stands in `verdicts`. The first says of
each method how far it is from gold models, how far these are from each other, and whether the one
is within the margin of the other; the second has every other measure, a row a method.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

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
from ksmith.report.html import Child, Html, tag
from ksmith.report.margins import (
    CONTROL,
    GOLD,
    LEARNT,
    NOTE,
    Cells,
    Distance,
    Model,
    Row,
    cell,
    models,
    table,
)
from ksmith.report.panels import order
from ksmith.report.tables import NONE, number

# measure -> what it is called beside its set, and its unit
DISTANCES = {
    "ks": "Forget quality: D of truth ratios",
    "kl": "Answers: KL from gold, nats",
    "privleak": "PrivLeak, by min-k, percent",
}
MARGIN_NOTE = NOTE.format(learnt=LEARNT["unlearn"]) + (
    " Of PrivLeak it is the size that counts. n counts facts; of PrivLeak the smaller class."
)
SETS_NOTE = (
    "Means over facts, their 95 % intervals and n facts; of areas under the curve n of both "
    "classes, the forget set and the holdout set. known.forget: of what the model knew before, "
    "by wordings that are scored nowhere, or a file's questions as they stand; retain: what no "
    "method trains on, near the forget set and far from it; retain.trained: what this "
    "method did train on. Gold models: the mean over them."
)
KNOWN = "known."


def sets(metrics: pl.DataFrame, trials: pl.DataFrame, names: Sequence[str]) -> Iterable[Child]:
    """Yield both tables of every level and scale; nothing where no trial looked at its sets.

    Args:
        metrics: of one task.
        trials: with their series and their settings by dotted names.
        names: the series in order.
    """
    cells = pooled_where(metrics, trials.select("trial", "series"), pl.col("probe") == PROBE)
    if cells.is_empty():
        return
    # A share has no scale where nobody counted its facts; its series says it then.
    shares = "task.share" in trials.columns and bool(trials["task.share"].count())
    margins = bool(_parts(cells))
    control = CONTROL if cells["measure"].str.ends_with("_margin_gold").any() else ""
    yield tag("h3", "Forget, retain and holdout sets, every measure")
    yield tag("p", SETS_NOTE, class_="note")
    yield tag("p", MARGIN_NOTE + control, class_="note") if margins else None
    for level in order(cells["level"]):
        for scale in cells.filter(level=level)["scale"].unique().sort():
            here = cells.filter(level=level, scale=scale)
            mine = [name for name in names if (here["series"] == name).any()]
            place = level if shares and scale == 1 else f"{level}, scale {scale}"
            found, distances = Cells.of(here), _parts(here)
            if distances:
                summary = tag("summary", f"Against gold models ({place})")
                yield tag("details", summary, table(found, mine, distances))
            summary = tag("summary", f"Every measure ({place})")
            yield tag("details", summary, tag("div", every(here, mine), class_="wide"))


def _parts(cells: pl.DataFrame) -> list[Distance]:
    """Return the distances that there are, each of a slice: forget, retain, holdout first."""
    there = set(cells.filter(pl.col("step") > 0).select("measure", "slice").iter_rows())
    found = [(m, p) for m, p in there if m in DISTANCES]
    rank = {name: i for i, name in enumerate(DISTANCES)}
    place = {name: i for i, name in enumerate(SETS)}
    found.sort(key=lambda x: (rank[x[0]], place.get(x[1], len(place)), x[1]))
    return [
        Distance(
            title=f"{DISTANCES[measure]}, {part}",
            probe=PROBE,
            measure=measure,
            among=f"{measure}_gold",
            margin=f"{measure}_margin",
            slice=part,
        )
        for measure, part in found
    ]


# --- every measure ----------------------------------------------------------------------------


def every(cells: pl.DataFrame, names: Sequence[str]) -> Html:
    """Return a group of rows a measure, a row a model, a column a slice of the sets."""
    found, there = Cells.of(cells), _slices(cells)
    parts = sorted({part for mine in there.values() for part in mine}, key=_place)
    groups = [
        tag("tbody", _rows(found, names, measure, parts, there[measure]), class_="group")
        for measure in there
    ]
    heads = [tag("th", part, class_="n", scope="col") for part in parts]
    return tag(
        "table",
        tag("thead", tag("tr", tag("th", "measure, method", scope="col"), heads)),
        groups,
    )


def _slices(cells: pl.DataFrame) -> dict[str, set[str]]:
    """Return each measure with its slices, in the order of the tables; `facts` is no measure."""
    there: dict[str, set[str]] = {}
    for measure, part in cells.select("measure", "slice").iter_rows():
        if part.removeprefix(KNOWN).partition(".")[0] in SETS:
            there.setdefault(measure, set()).add(part)
    return {
        measure: there[measure]
        for measure in (*OF_STATEMENTS, *OF_SETS)
        if measure in there
        and measure != "facts"
        and measure.partition("_")[0] not in DISTANCES
    }


def _rows(
    found: Cells, names: Sequence[str], measure: str, parts: Sequence[str], mine: set[str]
) -> Iterator[Html]:
    title = tag("th", tag("code", measure), colspan=len(parts) + 1, scope="colgroup")
    yield tag("tr", title)
    for model in models(names):
        rows = [found.find(model, PROBE, measure, part) for part in parts]
        if any(rows):
            head = tag("th", model[0], scope="row")
            shown = [
                _value(row, measure, found, model) if part in mine else tag("td")
                for row, part in zip(rows, parts, strict=True)
            ]
            yield tag("tr", head, shown)
    # What gold models say stands beside the model after the update.
    after = (GOLD, names[0], 1)
    gold = [found.find(after, PROBE, measure, f"gold.{part}") for part in parts]
    if any(gold):
        yield tag("tr", tag("th", GOLD, scope="row"), [cell(row) for row in gold])


def _value(row: Row | None, measure: str, found: Cells, model: Model) -> Html:
    """Return a number; that of an area under the curve with n of both classes."""
    if row is None or not measure.startswith("auc_"):
        return cell(row)
    sizes = [found.find(model, PROBE, "facts", name) for name in (FORGET, HOLDOUT)]
    both = [str(int(size["n"])) for size in sizes if size]
    n = " + ".join(both) if len(both) == len(sizes) else str(row["n"])
    ends = f"[{number(row['low'])}, {number(row['high'])}] " if row["low"] is not None else ""
    return tag("td", number(row["value"]) or NONE, tag("small", f"{ends}n {n}"), class_="n")


def _place(part: str) -> tuple[int, bool, str]:
    plain = part.removeprefix(KNOWN)
    return (FORGET, RETAIN, HOLDOUT).index(plain.partition(".")[0]), part != plain, plain
