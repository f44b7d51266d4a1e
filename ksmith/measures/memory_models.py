"""Of whole sets: can members be told, how far from gold models, what is left of utility.

Membership is an area under the curve, forget against holdout. It is taken within each draw,
whose model it is about, and over the pairs of all draws: a replicate draws updates, with their
subjects, and subjects of the holdout set, and gold models. What is about gold models is there
where they are: nothing stands in for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures import memory, samples
from ksmith.measures.bootstrap import replicates
from ksmith.measures.gold import over, pairs
from ksmith.measures.gold_metrics import Number, summary
from ksmith.measures.gold_resampled import Resampled
from ksmith.measures.memory import ATTACKS
from ksmith.measures.memory_table import FORGET, HOLDOUT, MEMORY, PROBE, RETAIN, SETS
from ksmith.records import Metric, derived_seed

Floats = NDArray[np.float64]

UTILITY = ("probability", "rouge_recall", "truth_ratio")  # parts of model_utility, on retain

HIGHEST = {
    name: np.inf if row.high is None else row.high
    for name, row in MEMORY.items()
    if row.low is not None
}


def metrics(rows: pl.DataFrame, seed: int) -> list[Metric]:
    """Return the metrics of whole sets.

    Args:
        rows: of memory.parquet: before (step 0), after, and of gold models where there are any.
        seed: of the bootstrap.
    """
    before = rows.filter(step=0)
    golds = rows["gold"].drop_nulls().unique().sort().to_list()
    standard = [rows.filter(gold=number) for number in golds]
    found: list[Metric] = []
    for step in rows["step"].drop_nulls().unique().sort():
        mine = rows.filter(step=step)
        found += _counts(mine, step)
        found += _utility(mine, step, seed)
        found += _membership(mine, standard if step else [], before if step else None, seed)
    if len(standard) > 1:
        found += _quality(rows, standard, seed)
    return found


def _counts(rows: pl.DataFrame, step: int) -> Iterator[Metric]:
    """Yield how many facts of each set there are, and how many got no number."""
    broken = ~pl.col("logp").list.eval(pl.element().is_finite()).list.all().fill_null(False)
    for name in SETS:
        mine = rows.filter(set=name)
        total = mine.select("draw", "fact").n_unique() if mine.height else 0
        without = mine.filter(broken).select("draw", "fact").unique().height
        for part, value in ((name, total), (f"{name}.broken", without)):
            if total:
                yield Metric(
                    step=step, probe=PROBE, measure="facts", slice=part, value=value, n=total
                )


def _utility(rows: pl.DataFrame, step: int, seed: int) -> list[Metric]:
    told = memory.told(rows.filter(set=RETAIN)).with_columns(cluster="subject", unit="fact")
    if told.is_empty():
        return []
    drawn = Resampled.of(told, 1, seed)
    values = told.select(pl.col(UTILITY).fill_null(float("nan"))).to_numpy()
    total, n = drawn.sums(values, np.arange(told.height))
    there = n.sum(1) > 0
    number = Number(
        step=step,
        probe=PROBE,
        measure="model_utility",
        slice=RETAIN,
        many=samples.harmonic(replicates(drawn.counts, total, n)),
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

    def number(self, step: int, measure: str, many: Floats) -> Number:
        """Return a number; it stands on the smaller class."""
        subjects = [table["subject"].n_unique() for table in (self.forget, self.holdout)]
        return Number(
            step=step,
            probe=PROBE,
            measure=measure,
            slice=FORGET,
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
    if golds:
        own = np.stack([both.area(memory.scores(one), "min_k") for one in standard], 1)
        weights = both.drawn.golds
        gold = (own * weights).sum(1) / weights.sum(1)
        found.append(both.number(step, "privleak", samples.privleak(areas["min_k"], gold)))
        apart = [
            np.abs(samples.privleak(own[:, i], own[:, j]))
            for i in range(golds)
            for j in range(golds)
            if i != j
        ]  # there are two gold models or none: settings/task.py
        found.append(both.number(step, "privleak_gold", np.mean(apart, 0)))
    return summary(found, both.drawn, HIGHEST)


# --- forget quality ---------------------------------------------------------------------------


def _quality(rows: pl.DataFrame, standard: Sequence[pl.DataFrame], seed: int) -> list[Metric]:
    """Return D against gold models before and after, the margin among these, and p."""
    models = [memory.ratios(rows.filter(step=step)) for step in (0, 1)]
    models += [memory.ratios(one) for one in standard]
    keys = ["draw", "fact", "subject"]
    table = models[0].select(keys)
    for i, model in enumerate(models):
        named = model.select(*keys, pl.col("ratio").alias(str(i)))
        table = table.join(named, on=keys, how="inner", maintain_order="left")
    if table.is_empty():
        return []
    golds = len(standard)
    drawn = Resampled.of(table.with_columns(cluster="subject", unit="fact"), golds, seed)
    weights = drawn.counts[:, drawn.cluster][:, drawn.unit]
    values = table.select(map(str, range(len(models)))).to_numpy()
    every = pairs(golds)
    far = np.stack(
        [
            samples.weighted_ks(
                values[:, pair.other + 2 if pair.other is not None else pair.step or 0],
                values[:, pair.gold + 2],
                weights,
                weights,
            )
            for pair in every
        ],
        1,
    )
    before, after, margin = over(far, every, drawn.golds)
    facts, subjects = table.height, table["subject"].n_unique()

    def number(step: int, measure: str, many: Floats) -> Number:
        return Number(
            step=step, probe=PROBE, measure=measure, slice=FORGET, many=many,
            n=facts, clusters=subjects, draws=table["draw"].n_unique(),
        )  # fmt: skip

    found = [number(0, "ks", before), number(1, "ks", after), number(1, "ks_gold", margin)]
    told = summary(found, drawn, HIGHEST)
    for step in (0, 1):
        mine = [i for i, pair in enumerate(every) if pair.step == step]
        log = float(np.mean([samples.ks_p(far[0, i], facts, facts)[1] for i in mine]))
        for measure, value in (("ks_log10_p", log), ("ks_p", 10.0**log)):
            told.append(
                Metric(
                    step=step, probe=PROBE, measure=measure, slice=FORGET, value=value, n=facts
                )
            )
    return told
