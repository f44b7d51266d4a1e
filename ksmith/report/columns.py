"""The columns of what unlearning leaves, at one look: rates, and distances from gold models."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import polars as pl

from ksmith.measures.gold import ALL
from ksmith.measures.memory_table import FORGET, PROBE, RETAIN
from ksmith.report.html import Html, tag
from ksmith.report.margins import LEARNT, Cells, Distance, Model, Row

Place = tuple[str, str, str]  # probe, measure, slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One column: a number of each method, from the first of `places` that anybody measured."""

    title: str
    of: str  # what it is about: columns of one thing stand together
    places: tuple[Place, ...]
    known: Place | None = None  # the same of what was known before
    unsaid: tuple[Place, ...] = ()  # 1 less the same of gold models, of whom nobody asks it

    @property
    def gold(self) -> Place | None:
        """Where the same of gold models stands."""
        probe, measure, part = self.places[0]
        return (probe, measure, f"gold.{part}") if probe == PROBE else None

    def of_gold(self, found: Cells, model: Model) -> Row | None:
        """Return the number of gold models."""
        if self.gold:
            return found.find(model, *self.gold)
        rows = (found.find(model, *place) for place in self.unsaid)
        return next((_turned(row) for row in rows if row), None)


def _turned(row: Row) -> Row:
    """Return 1 less a share, with its interval."""
    ends = {"low": row["high"], "high": row["low"], "value": row["value"]}
    return row | {name: None if end is None else 1 - end for name, end in ends.items()}


GOES, STAYS = "The forget set", "What stays"
RATES = (
    Rate(
        title="Old answer written",
        of=GOES,
        places=(("efficacy", "residual_generated", ""),),
        known=("efficacy", "residual_generated", "known"),
        # The wordings of training are those of efficacy; a file's questions have no others.
        unsaid=tuple((PROBE, "kfr_exact", f"gold.{FORGET}{end}") for end in (".seen", "")),
    ),
    Rate(
        title="Its probability",
        of=GOES,
        places=((PROBE, "probability", FORGET),),
        known=(PROBE, "probability", f"known.{FORGET}"),
    ),
    Rate(title="AUC, min-k", of=GOES, places=((PROBE, "auc_min_k", FORGET),)),
    *(
        Rate(
            title=title,
            of=STAYS,
            places=((PROBE, "krr_exact", part), (PROBE, "probability", part)),
        )
        for title, part in (
            ("Retain", RETAIN),
            ("Near", f"{RETAIN}.near"),
            ("Far", f"{RETAIN}.far"),
        )
    ),
    Rate(title="Utility", of=STAYS, places=((PROBE, "model_utility", RETAIN),)),
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
    _of_sets("Truth ratios, forget: D", "ks", FORGET),
    _of_sets("Answers, forget: KL, nats", "kl", FORGET),
    _of_sets("Answers, retain: KL, nats", "kl", RETAIN),
    _of_sets("PrivLeak, percent", "privleak", FORGET),
)
WITHOUT_SETS = (
    _of_probes("What had to change: JSD, bits", "changed"),
    _of_probes("What stays: JSD, bits", "kept"),
)

KNOWN: Place = (PROBE, "known", FORGET)
# Where all of them stand: there are hundreds of other measures of sets.
PLACES = (
    KNOWN,
    *(
        place
        for rate in RATES
        for place in (*rate.places, rate.known, rate.gold, *rate.unsaid)
        if place
    ),
    *(
        (of.probe, name, of.slice)
        for of in (*DISTANCES, *WITHOUT_SETS)
        for name in (of.measure, of.among, of.margin, of.control)
    ),
)
LOOKED = pl.concat_str("probe", "measure", "slice", separator="|").is_in(
    ["|".join(place) for place in PLACES]
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The columns that a study has."""

    rates: list[Rate] = field(default_factory=list[Rate])
    distances: list[Distance] = field(default_factory=list[Distance])
    held: bool = False  # whether gold models were held to each other

    @classmethod
    def of(cls, cells: pl.DataFrame) -> "Shown":
        """Return the columns that have numbers."""
        after = cells.filter(pl.col("step") > 0).select("probe", "measure", "slice")
        there = set(after.iter_rows())
        rates: list[Rate] = []
        for rate in RATES:
            places = tuple(place for place in rate.places if place in there)
            if places:
                rates.append(replace(rate, places=places[:1]))
        for every in (DISTANCES, WITHOUT_SETS):
            distances = [one for one in every if (one.probe, one.margin, one.slice) in there]
            if distances:
                held = any((one.probe, one.control, one.slice) in there for one in distances)
                return cls(rates, distances, held)
        return cls(rates)

    def head(self) -> Html:
        """Return the names of the columns, under what they are about."""
        wide = len(self.distances)
        of = [(name, len([*rates])) for name, rates in groupby(rate.of for rate in self.rates)]
        of += [("Distance from gold models", wide)] if wide else []
        above = [tag("th", name, colspan=count, scope="colgroup") for name, count in of]
        names = [rate.title for rate in self.rates] + [one.title for one in self.distances]
        row = tag(
            "tr",
            tag("th", "method", scope="col"),
            tag("th", "within the margin?", scope="col") if wide else None,
            [tag("th", name, class_="n", scope="col") for name in names],
        )
        return tag("thead", tag("tr", tag("th", colspan=2 if wide else 1), above), row)

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
        if any(rate.unsaid for rate in self.rates):
            said.append(
                "What gold models write is asked by the sets: 1 - kfr_exact, in the same wordings."
            )
        return " ".join(said)

    def of_gold(self) -> Iterator[str]:
        """Yield what the distances say, and what gold models' own are for, where there are any."""
        if not self.distances:
            return
        yield (
            f"Gold models {LEARNT['unlearn']}. A distance has its verdict before it; below stand "
            "its 95 % interval, what it is between two gold models, and what it is in margins "
            "(x 2: twice the margin) with the interval that the verdict is of. The margin is the "
            "distance of the gold model that is farthest from the others: a distance is within "
            "where all of that interval is at most 1, outside where all of it is above 1, else "
            "undecided. The second column is outside if one distance is, and within if all are; "
            "with several distances one is wrong more often than one in twenty."
        )
        if self.held:
            yield (
                "The verdicts of gold models are the control: each is held to the other ones, in "
                "units of their margin. Undecided there, it means that so few facts can't decide, "
                "of a method no more than of gold models."
            )
