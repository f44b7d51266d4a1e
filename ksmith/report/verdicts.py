"""What each method leaves of a forget set, what the rest paid, and its verdicts, at one look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from ksmith.measures.gold import ALL
from ksmith.measures.memory_table import FORGET, PROBE, RETAIN
from ksmith.report.cells import pooled_where
from ksmith.report.html import Child, Html, tag
from ksmith.report.margins import (
    BEFORE,
    GOLD,
    LEARNT,
    Cells,
    Distance,
    Model,
    Row,
    few_golds,
    models,
    together,
    word,
)
from ksmith.report.panels import order
from ksmith.report.tables import NONE, number

LOOK = "look"  # where links lead
Place = tuple[str, str, str]  # probe, measure, slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One column: a number of each method, from the first of `places` that anybody measured."""

    title: str
    places: tuple[Place, ...]
    known: Place | None = None  # the same of what was known before

    @property
    def gold(self) -> Place | None:
        """Where the same of gold models stands."""
        probe, measure, part = self.places[0]
        return (probe, measure, f"gold.{part}") if probe == PROBE else None


RATES = (
    Rate(
        title="Old answer written",
        places=(("efficacy", "residual_generated", ""),),
        known=("efficacy", "residual_generated", "known"),
    ),
    Rate(
        title="Its probability",
        places=((PROBE, "probability", FORGET),),
        known=(PROBE, "probability", f"known.{FORGET}"),
    ),
    *(
        Rate(title=title, places=((PROBE, "krr_exact", part), (PROBE, "probability", part)))
        for title, part in (
            ("Retain", RETAIN),
            ("Near", f"{RETAIN}.near"),
            ("Far", f"{RETAIN}.far"),
        )
    ),
    Rate(title="Utility", places=((PROBE, "model_utility", RETAIN),)),
    Rate(title="AUC, min-k", places=((PROBE, "auc_min_k", FORGET),)),
)


def _of_sets(title: str, measure: str, part: str) -> Distance:
    return Distance(
        title=title,
        probe=PROBE,
        measure=measure,
        among=f"{measure}_gold",
        margin=f"{measure}_margin",
        slice=part,
    )


def _of_probes(title: str, part: str) -> Distance:
    return Distance(
        title=title,
        probe=ALL,
        measure="gold_divergence",
        among="gold_noise",
        margin="gold_margin",
        slice=part,
    )


DISTANCES = (
    _of_sets("Truth ratios, forget", "ks", FORGET),
    _of_sets("Answers, forget", "kl", FORGET),
    _of_sets("Answers, retain", "kl", RETAIN),
    _of_sets("PrivLeak", "privleak", FORGET),
)
WITHOUT_SETS = (_of_probes("What had to change", "changed"), _of_probes("What stays", "kept"))

KNOWN: Place = (PROBE, "known", FORGET)
# Where all of them stand: there are hundreds of other measures of sets.
PLACES = (
    KNOWN,
    *(place for rate in RATES for place in (*rate.places, rate.known, rate.gold) if place),
    *((of.probe, name, of.slice) for of in DISTANCES for name in (of.measure, of.margin)),
)
LOOKED = pl.concat_str("probe", "measure", "slice", separator="|").is_in(
    ["|".join(place) for place in PLACES]
)


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
    cells = pooled_where(metrics, series, LOOKED | (pl.col("measure") == "gold_margin"))
    margins = cells["measure"].str.ends_with("_margin").any()
    if not (margins or (cells["probe"] == PROBE).any()):
        return
    shown = Shown.of(cells)
    yield tag("h3", "At one look", id=LOOK)
    if margins:
        yield few_golds(trials)
    groups = [
        _group(
            shown, cells.filter(level=level, scale=scale), names, _title(trials, level, scale)
        )
        for level in order(cells["level"])
        for scale in cells.filter(level=level)["scale"].unique().sort()
    ]
    yield tag("div", tag("table", shown.head(), groups, class_="look"), class_="wide")
    yield tag("p", shown.note(), class_="note")


@dataclass(frozen=True, slots=True)
class Shown:
    """The columns that a study has."""

    rates: list[Rate] = field(default_factory=list[Rate])
    distances: list[Distance] = field(default_factory=list[Distance])

    @classmethod
    def of(cls, cells: pl.DataFrame) -> "Shown":
        """Return the columns that have numbers."""
        after = cells.filter(pl.col("step") > 0).select("probe", "measure", "slice")
        there = set(after.iter_rows())
        rates: list[Rate] = []
        for rate in RATES:
            places = tuple(place for place in rate.places if place in there)
            if places:
                rates.append(Rate(title=rate.title, places=places[:1], known=rate.known))
        for every in (DISTANCES, WITHOUT_SETS):
            distances = [one for one in every if (one.probe, one.margin, one.slice) in there]
            if distances:
                return cls(rates, distances)
        return cls(rates)

    def head(self) -> Html:
        """Return the names of the columns, those of distances under one of their own."""
        wide, above = len(self.distances), None
        if wide:
            title = tag("th", "Distance from gold, in margins", colspan=wide, class_="n")
            above = tag("tr", tag("th"), tag("th", colspan=len(self.rates)), title, tag("th"))
        names = [rate.title for rate in self.rates] + [one.title for one in self.distances]
        row = tag(
            "tr",
            tag("th", "method", scope="col"),
            [tag("th", name, class_="n", scope="col") for name in names],
            tag("th", "within the margin?", scope="col") if wide else None,
        )
        return tag("thead", above, row)

    def note(self) -> str:
        """Return what the columns say, of those that there are."""
        there = {rate.title: rate.places[0] for rate in self.rates}
        said = [
            "Means over facts with their 95 % intervals; n counts facts, where methods differ "
            "the fewest and the most. Old answers are to go: the lower, the better, down to what "
            "gold models leave."
        ]
        if "Retain" in there:
            how = (
                "the share of facts whose answer the model names in what it writes"
                if there["Retain"][1] == "krr_exact"
                else "the probability of the answer"
            )
            said.append(
                f"Retain, near and far: {how}, of facts that no method trains on; near the "
                "forget set (siblings) and far from it."
            )
        if "Utility" in there:
            said.append(
                "Utility: harmonic mean of probability, ROUGE and truth ratio on retain."
            )
        if "AUC, min-k" in there:
            said.append("AUC: membership, forget against holdout; .5 can't be told.")
        if self.distances:
            said.append(
                f"Gold models {LEARNT['unlearn']}. The margin is the distance of the gold model "
                "that is farthest from the others: a number is within where its whole interval is "
                "at most 1, outside where all of it is above 1, else undecided. The last column "
                "is outside if one distance is, and within if all are; with several distances one "
                "is wrong more often than one in twenty."
            )
        return " ".join(said)


# --- one level and scale ----------------------------------------------------------------------


def _title(trials: pl.DataFrame, level: str, scale: int) -> str:
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
    last = tag("td") if shown.distances else None
    return tag("tr", tag("td", "n facts"), cells, last, class_="known")


def _count(rows: Sequence[Row | None]) -> Html:
    sizes = sorted({int(row["n"]) for row in rows if row})
    text = "-".join(str(size) for size in dict.fromkeys((*sizes[:1], *sizes[-1:])))
    return tag("td", text or NONE, class_="n")


def _method(shown: Shown, found: Cells, model: Model) -> Html:
    rates = [_number(found.find(model, *rate.places[0])) for rate in shown.rates]
    far = [
        _number(
            found.find(model, one.probe, one.margin, one.slice), word(one.said(found, model))
        )
        for one in shown.distances
    ]
    whole = together(one.said(found, model) for one in shown.distances)
    last = tag("td", word(whole)) if shown.distances else None
    return tag("tr", tag("th", model[0], scope="row"), rates, far, last)


def _known(shown: Shown, found: Cells, model: Model) -> Html:
    cells = [
        _number(found.find(model, *rate.known)) if rate.known else tag("td")
        for rate in shown.rates
    ]
    rest = tag("td", colspan=len(shown.distances) + 1) if shown.distances else None
    return tag("tr", tag("td", "... known"), cells, rest, class_="known")


def _gold(shown: Shown, found: Cells, names: Sequence[str]) -> Html | None:
    """Return what gold models leave themselves, where there are any."""
    model = (GOLD, names[0], 1)
    rows = [found.find(model, *rate.gold) if rate.gold else None for rate in shown.rates]
    if not any(rows):
        return None
    rest = tag("td", colspan=len(shown.distances) + 1) if shown.distances else None
    return tag("tr", tag("th", GOLD, scope="row"), [_number(row) for row in rows], rest)


def _number(row: Row | None, said: Html | str | None = None) -> Html:
    if row is None:
        return tag("td", NONE, class_="n")
    ends = f"[{number(row['low'])}, {number(row['high'])}]" if row["low"] is not None else None
    told = [said, " "] if isinstance(said, Html) else None
    return tag("td", told, number(row["value"]), tag("small", ends), class_="n")
