"""What each method leaves of a forget set, what the rest paid, and its verdicts, at one look."""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from ksmith.measures.memory_table import PROBE
from ksmith.report.cells import pooled_where
from ksmith.report.columns import KNOWN, LOOKED, Shown
from ksmith.report.html import Child, Html, tag
from ksmith.report.margins import (
    BEFORE,
    GOLD,
    Cells,
    Distance,
    Model,
    Row,
    few_golds,
    gold_of,
    models,
    together,
    word,
)
from ksmith.report.panels import order
from ksmith.report.tables import NONE, number, ratio, short

LOOK = "look"  # where links lead


def verdicts(
    metrics: pl.DataFrame, trials: pl.DataFrame, names: Sequence[str]
) -> Iterator[Child]:
    """Yield the table of methods by shares or scales; nothing where no set was looked at.

    Args:
        metrics: of unlearning.
        trials: with their series and their settings by dotted names.
        names: the series in order.
    """
    series = trials.select("trial", "series")
    cells = pooled_where(metrics, series, LOOKED)
    margins = cells["measure"].str.ends_with("_margin").any()
    if not (margins or (cells["probe"] == PROBE).any()):
        return
    shown = Shown.of(cells)
    yield tag("h3", "At one look", id=LOOK)
    if margins:
        yield few_golds(trials)
    groups = [
        _group(
            shown, cells.filter(level=level, scale=scale), names, heading(trials, level, scale)
        )
        for level in order(cells["level"])
        for scale in cells.filter(level=level)["scale"].unique().sort()
    ]
    yield tag("div", tag("table", shown.head(), groups, class_="look"), class_="wide")
    yield from (tag("p", said, class_="note") for said in (shown.note(), *shown.of_gold()))


# --- one level and scale ----------------------------------------------------------------------


def heading(trials: pl.DataFrame, level: str, scale: int) -> str:
    """Return what stands above the methods: the level, the number of facts, the share."""
    start = "" if level == "any" else f"{level}, "
    title = f"{start}{scale} fact{'s' if scale > 1 else ''} at once"
    if "task.share" not in trials.columns:
        return title
    here = trials.filter(pl.col("task.scale") == scale)["task.share"].drop_nulls().unique()
    # A share whose facts nobody counted is one fact to look at.
    shares = " or ".join(f"{100 * share:g} %" for share in here.sort())
    if not shares:
        return title
    return f"{start}{shares}" + (f": {title.removeprefix(start)}" if scale > 1 else "")


def _group(shown: Shown, cells: pl.DataFrame, names: Sequence[str], title: str) -> Html:
    found = Cells.of(cells)
    mine = [name for name in names if (cells["series"] == name).any()]
    width = len(shown.rates) + len(shown.distances) + 2
    some = known(found, mine)
    text = tag("th", title, tag("small", some[1]) if some else None, colspan=width)
    rows = [tag("tr", text), _counts(shown, found, mine)]
    for model in models(mine):
        rows.append(_method(shown, found, model))
        if some and some[0] < 1 and model[0] != BEFORE:
            rows.append(_known(shown, found, model))
    gold = _gold(shown, found, mine)
    return tag("tbody", rows, gold, class_="group")


def known(found: Cells, names: Sequence[str]) -> tuple[float, str] | None:
    """Return the share of the forget set that the model knew before, and what is said of it."""
    row = found.find((BEFORE, names[0], 0), *KNOWN)
    if row is None:
        return None
    count = round(row["value"] * row["n"])
    share = number(row["value"])
    ends = f" [{number(row['low'])}, {number(row['high'])}]" if row["low"] is not None else ""
    rest = "" if count == row["n"] else "; of the known alone: the lines below each method"
    return row["value"], (
        f" the model knew {count} of the {row['n']} facts of the forget sets before, by wordings "
        f"that are scored nowhere or questions as a file has them ({share}{ends}){rest}"
    )


def _counts(shown: Shown, found: Cells, names: Sequence[str]) -> Html:
    """Return the row of n: over all methods, since it is of the questions."""
    every = models(names)[1:]
    cells: list[Html] = []
    for rate in shown.rates:
        cells.append(_count([found.find(model, *rate.places[0]) for model in every]))
    for one in shown.distances:
        cells.append(
            _count([found.find(model, one.probe, one.margin, one.slice) for model in every])
        )
    second = tag("td") if shown.distances else None
    return tag("tr", tag("td", "n facts"), second, cells, class_="known")


def _count(rows: Sequence[Row | None]) -> Html:
    sizes = sorted({int(row["n"]) for row in rows if row})
    text = "-".join(str(size) for size in dict.fromkeys((*sizes[:1], *sizes[-1:])))
    return tag("td", text or NONE, class_="n")


def _method(shown: Shown, found: Cells, model: Model) -> Html:
    rates = [_number(found.find(model, *rate.places[0])) for rate in shown.rates]
    return _row(shown, found, model, rates)


def _row(shown: Shown, found: Cells, model: Model, rates: Sequence[Html]) -> Html:
    """Return what is said of a model: the whole verdict first, then rates and distances."""
    whole = together(one.said(found, model) for one in shown.distances)
    second = tag("td", word(whole)) if shown.distances else None
    far = [_far(found, model, one) for one in shown.distances]
    return tag("tr", tag("th", model[0], scope="row"), second, rates, far)


def _known(shown: Shown, found: Cells, model: Model) -> Html:
    cells = [
        _number(found.find(model, *rate.known)) if rate.known else tag("td")
        for rate in shown.rates
    ]
    rest = tag("td", colspan=len(shown.distances)) if shown.distances else None
    second = tag("td") if shown.distances else None
    return tag("tr", tag("td", "... known"), second, cells, rest, class_="known")


def _gold(shown: Shown, found: Cells, names: Sequence[str]) -> Html | None:
    """Return what gold models leave themselves, where there are any, and the control."""
    model = gold_of(names)
    rates = [rate.of_gold(found, model) for rate in shown.rates]
    far = [one.far(found, model) for one in shown.distances]
    if not any((*rates, *far)):
        return None
    return _row(shown, found, model, [_number(row) for row in rates])


def _number(row: Row | None) -> Html:
    if row is None:
        return tag("td", NONE, class_="n")
    ends = f"[{number(row['low'])}, {number(row['high'])}]" if row["low"] is not None else None
    return tag("td", number(row["value"]), tag("small", ends), class_="n")


def _far(found: Cells, model: Model, one: Distance) -> Html:
    """Return a verdict and the distance that it is on, in its own unit and in margins."""
    row, margins = one.far(found, model), one.in_margins(found, model)
    gold = None if model[0] == GOLD else one.far(found, (GOLD, model[1], 1))
    said = one.said(found, model)
    below = [
        _ends(row, short),
        f"gold {short(gold['value'])}" if gold else None,
        f"x {ratio(margins['value'])} {_ends(margins, ratio) or ''}" if margins else None,
    ]
    return tag(
        "td",
        [word(said), " "] if said else None,
        short(row["value"]) if row else NONE,
        [tag("small", text) for text in below if text],
        class_="n",
    )


def _ends(row: Row | None, told: Callable[[float | None], str]) -> str | None:
    if row is None or row["low"] is None:
        return None
    return f"[{told(row['low'])}, {told(row['high'])}]"
