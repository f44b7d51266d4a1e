"""Of whole sets: can members be told, what is left of utility.

Membership is an area under the curve, forget against holdout. It is taken within each draw,
whose model it is about, and over the pairs of all draws: a replicate draws updates, with their
subjects, and subjects of the holdout set, and gold models. What is about gold models is there
where they are: nothing stands in for them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import margin, memory, memory_gold, recalled, samples
from ksmith.measures.bootstrap import replicates
from ksmith.measures.gold_numbers import Number, in_margins, summary
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.memory import ATTACKS
from ksmith.measures.memory_gold import HIGHEST
from ksmith.measures.memory_table import FORGET, HOLDOUT, PROBE, RETAIN, SETS, TRAINED
from ksmith.records import Metric, derived_seed

Floats = NDArray[np.float64]

UTILITY = ("probability", "rouge_recall", "truth_ratio")  # parts of model_utility, on retain
NATURAL = ("perplexity", "brunet", "honore")  # parts of linguistic_score


def metrics(rows: pl.DataFrame, seed: int, far: pl.DataFrame | None = None) -> list[Metric]:
    """Return the metrics of whole sets.

    Args:
        rows: of memory.parquet: before (step 0), after, and of gold models where there are any.
        seed: of the bootstrap.
        far: of memory_gold.parquet, where there are gold models.
    """
    before = rows.filter(step=0)
    golds = rows["gold"].drop_nulls().unique().sort().to_list()
    standard = [rows.filter(gold=number) for number in golds]
    found: list[Metric] = []
    for step in rows["step"].drop_nulls().unique().sort():
        mine = rows.filter(step=step)
        found += _counts(mine, step)
        found += _utility(mine, step, seed)
        found += _natural(mine, step, seed)
        found += _membership(mine, standard if step else [], before if step else None, seed)
    if standard:
        every = pl.concat(
            standard
        )  # beside the model after the update, as all of gold models is
        found += _utility(every, 1, seed, "gold.")
        found += _natural(every, 1, seed, "gold.")
        found += memory_gold.quality(rows, standard, seed)
    if far is not None:
        found += memory_gold.answers(far, seed)
    return found


def _counts(rows: pl.DataFrame, step: int) -> Iterator[Metric]:
    """Yield how many facts of each set there are, and how many got no number."""
    broken = ~pl.col("logp").list.eval(pl.element().is_finite()).list.all().fill_null(False)
    for name in SETS:
        mine = rows.filter(set=name)
        # All draws are asked about one holdout set: each of its facts is one.
        unit = ["fact"] if name == HOLDOUT else ["draw", "fact"]
        total = mine.select(unit).n_unique() if mine.height else 0
        without = mine.filter(broken).select(unit).unique().height
        for part, value in ((name, total), (f"{name}.broken", without)):
            if total:
                yield Metric(
                    step=step, probe=PROBE, measure="facts", slice=part, value=value, n=total
                )


def _utility(rows: pl.DataFrame, step: int, seed: int, start: str = "") -> list[Metric]:
    """Return utility of what no method trained on, and of what this one did."""
    return [
        metric
        for name, part in ((RETAIN, RETAIN), (TRAINED, f"{RETAIN}.{TRAINED}"))
        for metric in _OfMeans(
            step, name, "model_utility", UTILITY, samples.harmonic, f"{start}{part}"
        ).metrics(rows, seed)
    ]


def _natural(rows: pl.DataFrame, step: int, seed: int, start: str = "") -> list[Metric]:
    """Return LS of each set, where what was written was looked at."""
    score = recalled.linguistic_score
    if "surprise" not in rows.columns:
        return []
    return [
        metric
        for name in SETS
        for metric in _OfMeans(
            step,
            name,
            "linguistic_score",
            NATURAL,
            lambda means: score(*means.T),
            f"{start}{name}",
        ).metrics(rows, seed)
    ]


@dataclass(frozen=True, slots=True)
class _OfMeans:
    """A number of a set that is a function of means over its facts."""

    step: int
    set: str
    measure: str
    parts: Sequence[str]
    function: Callable[[Floats], Floats]  # (rows, parts) -> (rows,)
    slice: str

    def metrics(self, rows: pl.DataFrame, seed: int) -> list[Metric]:
        """Return it, of gold models the mean over them; nothing where no fact has a part."""
        told = memory.told(rows.filter(set=self.set))
        told = told.with_columns(cluster="subject", unit="fact")
        if told.is_empty():
            return []
        models = told["gold"].unique().sort()
        drawn = Resampled.of(told, len(models), seed)
        values = told.select(pl.col(self.parts).fill_null(float("nan"))).to_numpy()
        many: list[Floats] = []
        for model in models:
            mine = pl.col("gold").eq_missing(pl.lit(model, pl.Int32))
            at = np.flatnonzero(told.select(mine)["gold"].to_numpy())
            many.append(self.function(replicates(drawn.counts, *drawn.sums(values[at], at))))
        _, n = drawn.sums(values, np.arange(told.height))
        there = n.sum(1) > 0
        number = Number(
            step=self.step,
            probe=PROBE,
            measure=self.measure,
            slice=self.slice,
            many=_mean(np.stack(many, 1), drawn),
            n=int(n.max(1).sum()),
            clusters=int(there.sum()),
            draws=len(np.unique(drawn.draw[there])),
        )
        return summary([number], drawn, HIGHEST)


# --- membership -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairs:
    """Facts of the forget set beside those of the holdout set, with how often each counts."""

    drawn: Resampled
    forget: pl.DataFrame  # draw, fact, subject
    holdout: pl.DataFrame  # fact, subject
    of_forget: Floats  # (rows, facts)
    of_holdout: Floats  # (rows, facts)

    @classmethod
    def of(cls, scores: pl.DataFrame, golds: int, seed: int) -> "Pairs":
        """Return the pairs of a table of `memory.scores`."""
        forget = scores.filter(set=FORGET).select("draw", "fact", "subject").sort(pl.all())
        holdout = scores.filter(set=HOLDOUT).select("fact", "subject").unique().sort(pl.all())
        drawn = Resampled.of(forget.with_columns(cluster="subject", unit="fact"), golds, seed)
        subjects = holdout["subject"].rank("dense").to_numpy().astype(np.int64) - 1
        _, inside, _, drawn_rows = drawn.parts
        often = np.ones((len(drawn.counts), int(subjects.max()) + 1))
        generator = np.random.default_rng(derived_seed(seed, "holdout"))
        even = np.full(often.shape[1], 1 / often.shape[1])
        for part in (inside, drawn_rows):
            often[part] = generator.multinomial(often.shape[1], even, size=len(often[part]))
        units = drawn.counts[:, drawn.cluster]
        return cls(drawn, forget, holdout, units[:, drawn.unit], often[:, subjects])

    def area(self, scores: pl.DataFrame, attack: str) -> Floats:
        """Return (rows,) the AUC of one attack on the models whose scores these are."""
        own = self.forget.join(
            scores.filter(set=FORGET).select("draw", "fact", attack),
            on=["draw", "fact"], how="left", maintain_order="left",
        )[attack]  # fmt: skip
        members = own.fill_null(float("nan")).to_numpy()
        won = np.zeros((len(members), self.holdout.height))
        there = np.zeros_like(won)
        draws = self.forget["draw"].to_numpy()
        for draw in np.unique(draws):
            theirs = self.holdout.join(
                scores.filter(set=HOLDOUT, draw=draw).select("fact", attack),
                on="fact", how="left", maintain_order="left",
            )[attack].fill_null(float("nan")).to_numpy()  # fmt: skip
            rows = np.flatnonzero((draws == draw) & ~np.isnan(members))
            columns = np.flatnonzero(~np.isnan(theirs))
            at = np.ix_(rows, columns)
            won[at], there[at] = samples.wins(members[rows], theirs[columns]), 1
        total = ((self.of_forget @ won) * self.of_holdout).sum(1)
        number = ((self.of_forget @ there) * self.of_holdout).sum(1)
        return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)

    def number(self, step: int, measure: str, many: Floats, part: str = FORGET) -> Number:
        """Return a number; it stands on the smaller class."""
        subjects = [table["subject"].n_unique() for table in (self.forget, self.holdout)]
        return Number(
            step=step,
            probe=PROBE,
            measure=measure,
            slice=part,
            many=many,
            n=min(self.forget.height, self.holdout.height),
            clusters=min(subjects),
            draws=self.forget["draw"].n_unique(),
        )


def _membership(
    rows: pl.DataFrame,
    standard: Sequence[pl.DataFrame],
    before: pl.DataFrame | None,
    seed: int,
) -> list[Metric]:
    """Return the AUC of every attack that has scores, and PrivLeak where there are gold models."""
    scores = memory.scores(rows, before)
    if not {FORGET, HOLDOUT} <= set(scores["set"]):
        return []
    step, golds = int(rows["step"][0]), len(standard)
    both = Pairs.of(scores, max(golds, 1), seed)
    areas = {name: both.area(scores, name) for name in ATTACKS if scores[name].count()}
    found = [both.number(step, f"auc_{name}", area) for name, area in areas.items()]
    if not golds:
        return summary(found, both.drawn, HIGHEST)
    seen = [memory.scores(one, before) for one in standard]
    own = {name: np.stack([both.area(one, name) for one in seen], 1) for name in areas}
    found += [
        both.number(step, f"auc_{name}", _mean(area, both.drawn), f"gold.{FORGET}")
        for name, area in own.items()
    ]
    told = summary(found, both.drawn, HIGHEST)
    return [*told, *_leaks(both, areas["min_k"], own["min_k"], step)]


def _mean(many: Floats, drawn: Resampled) -> Floats:
    """Return (rows,) the mean over gold models of (rows, golds)."""
    return (many * drawn.golds).sum(1) / drawn.golds.sum(1)


def _leaks(both: Pairs, mine: Floats, own: Floats, step: int) -> list[Metric]:
    """Return PrivLeak, that among gold models, and both in units of the margin.

    Args:
        both: the pairs.
        mine: (rows,) the AUC of the model.
        own: (rows, golds) those of gold models.
        step: of the model.
    """
    weights = both.drawn.golds
    gold = _mean(own, both.drawn)
    far = _far(mine, own)
    _, among = margin.means(far, weights)
    inside = both.number(step, "privleak_gold", among)
    held = margin.held_out(_far(mine, own)).T
    control = [both.number(step, "privleak_margin_gold", one) for one in held]
    areas = _limits(both, mine, own)
    plain = [
        both.number(step, "privleak", samples.privleak(area, standard))
        for area in areas
        for standard in _limits(both, gold)
    ]
    ratios = [
        both.number(step, "privleak_margin", margin.relative(_far(area, own))[:, step])
        for area in areas
    ]
    return [
        *_hull([summary([number], both.drawn, HIGHEST) for number in plain], samples.LEAST),
        *summary([inside], both.drawn, HIGHEST),
        *_hull([in_margins([number], both.drawn, HIGHEST) for number in ratios]),
        *in_margins(control, both.drawn, HIGHEST),
    ]


def _far(area: Floats, own: Floats) -> Floats:
    """Return (rows, models, golds) |PrivLeak| of a model with this AUC, and of gold models."""
    every = [area, area, *own.T]
    return margin.matrix(
        own.shape[1], lambda model, i: np.abs(samples.privleak(every[model], own[:, i]))
    )


def _limits(both: Pairs, area: Floats, own: Floats | None = None) -> list[Floats]:
    """Return (rows,) AUCs within whose hull one may lie; of one that varies it alone.

    An AUC of 0 or 1 is so in every replicate, and what follows from it has no width either.
    Its interval has the exact limit (see `Means.interval`), and as PrivLeak rises or falls with
    it, PrivLeak's ends are at its ends. Its size has its least where the AUC is that of a gold
    model: `own` (rows, golds), as far as these lie inside.
    """
    if area[0] not in (0, 1):
        return [area]
    (told,) = summary([both.number(1, "auc_min_k", area)], both.drawn, HIGHEST)
    end = told.low if area[0] else told.high
    if end is None:
        return [area]
    low, high = min(end, area[0]), max(end, area[0])
    inside = [] if own is None else [*np.clip(own.T, low, high)]
    return [area, np.full_like(area, end), *inside]


def _hull(several: Sequence[Sequence[Metric]], least: float = 0.0) -> list[Metric]:
    """Return the first metric, if there is one, with ends that hold the intervals of all.

    `least` is the lowest value that there can be.
    """
    found = [metric for part in several for metric in part]
    if not several[0]:
        return []
    low = [max(metric.low, least) for metric in found if metric.low is not None]
    high = [metric.high for metric in found if metric.high is not None]
    return [replace(found[0], low=min(low), high=max(high)) if low and high else found[0]]
