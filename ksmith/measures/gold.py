"""How far a model is from gold models, by what it says.

A gold model was trained by the recipe of the model under study, with another seed, on the graph
after the change: for it the new answers were always true. Two such models differ, too, so their
distance is the unit: 1 is a model that can't be told from one more gold model, and how far the
model before the update is, is the control.

Everything is compared in pairs (`Pair`): each model with each gold model, and these among
themselves. A divergence is Jensen and Shannon's (Lin 1991), in bits: 0 where two distributions
are the same, 1 where they have nothing in common.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.answers import targets
from ksmith.measures.bootstrap import REPLICATES
from ksmith.measures.slices import BY_HOP, SLICES, TRAINED
from ksmith.records import derived_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEFT_OUT = ("known", "utility", "fluency")  # asked before the update only; text
ALL = "all"  # the probe under which numbers over the questions of all probes stand
KINDS = ("divergence", "vocabulary", "agrees")  # what is said of a pair, in this order

# Of gold.parquet: one row a question and pair of models.
SCHEMA: dict[str, Any] = {
    "step": pl.Int32,  # of the model that is compared; null: two gold models
    "gold": pl.Int32,
    "other": pl.Int32,  # the other gold model, where there are two
    "draw": pl.Int32,
    "question": pl.String,
    "probe": pl.String,
    "set": pl.String,
    "fact": pl.String,
    "subject": pl.String,
    "hop": pl.Int32,
    "stored": pl.Boolean,
    "known": pl.Boolean,
    "trained": pl.Boolean,  # the method trained on its fact, to keep it; null: it did not
    "unit": pl.String,  # the requested fact that the question is asked because of
    "cluster": pl.String,  # and its subject
    "divergence": pl.Float64,  # over the objects of the type, bits
    "vocabulary": pl.Float64,  # over the vocabulary, bits; null where nobody looked
    "agrees": pl.Float64,  # 1: the most probable object of the type is the same
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models: gold model `gold` and the model of a step, or gold model `other`."""

    gold: int
    step: int | None = None
    other: int | None = None


def pairs(golds: int) -> list[Pair]:
    """Return all pairs: of step 0, of step 1, then of gold models among themselves."""
    steps = [Pair(gold, step=step) for step in (0, 1) for gold in range(golds)]
    return steps + [Pair(one, other=other) for one, other in combinations(range(golds), 2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one model says to the questions of one draw."""

    rows: pl.DataFrame  # its answers (`answers.SCHEMA`), one row a question
    at: Ints  # the rows of which it is known what the model holds inside
    logp: Floats  # (len(at), vocab) log-probability of the token after the prompt, nats
    hidden: Floats  # (layers, len(at), width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """All questions of a trial, with what is said of each pair of models."""

    questions: pl.DataFrame  # question, draw, cluster, unit, probe, set, hop, wording, ...
    far: Floats  # (questions, pairs, KINDS); nan where a kind was not looked at
    right: Floats  # (questions, golds) gold models that give the right answer; nan: none is
    pairs: Sequence[Pair]

    def table(self) -> pl.DataFrame:
        """Return one row a question and pair, to keep: `step` is null between gold models."""
        parts = [
            self.questions.with_columns(
                step=pl.lit(pair.step, pl.Int32),
                gold=pl.lit(pair.gold, pl.Int32),
                other=pl.lit(pair.other, pl.Int32),
                **{kind: self._column(column, k) for k, kind in enumerate(KINDS)},
            )
            for column, pair in enumerate(self.pairs)
        ]
        return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())

    def _column(self, pair: int, kind: int) -> pl.Series:
        return pl.Series(self.far[:, pair, kind]).fill_nan(None)


def compare(rows: pl.DataFrame, draws: Sequence[tuple[View, View, Sequence[View]]]) -> Compared:
    """Return what is said of each pair.

    Args:
        rows: all answers of the trial, from which come its units and what was known.
        draws: of each draw the model before the update, after it, and the gold models; all
            views of a draw have the same questions in the same order.
    """
    found = pairs(len(draws[0][2]))
    far = [_far(before, after, golds, found) for before, after, golds in draws]
    right = [np.stack([_right(gold.rows) for gold in golds], 1) for _, _, golds in draws]
    asked = pl.concat([after.rows.select("question") for _, after, _ in draws])
    return Compared(
        questions=asked.join(_questions(rows), on="question", maintain_order="left"),
        far=np.concatenate(far),
        right=np.concatenate(right),
        pairs=found,
    )


def _questions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each question with its unit (a requested fact) and cluster (its subject)."""
    alone = pl.col("request") == ""
    return (
        rows.filter(pl.col("step") == 1)
        .join(targets(rows), on="request", how="left", maintain_order="left")
        .with_columns(
            unit=pl.when(alone).then("fact").otherwise("request"),
            cluster=pl.when(alone).then("fact").otherwise(pl.coalesce("of", "request")),
        )
    )


# --- one draw ---------------------------------------------------------------------------------


def _far(before: View, after: View, golds: Sequence[View], found: Sequence[Pair]) -> Floats:
    """Return (questions, pairs, KINDS)."""
    said = {id(view): _choices(view.rows) for view in (before, after, *golds)}
    far = np.full((after.rows.height, len(found), len(KINDS)), np.nan)
    for column, pair in enumerate(found):
        one = golds[pair.gold]
        two = golds[pair.other] if pair.other is not None else (before, after)[pair.step or 0]
        a, b = said[id(one)], said[id(two)]
        far[:, column, 0] = divergence(a, b)
        far[one.at, column, 1] = divergence(one.logp, two.logp)
        far[:, column, 2] = _top(a) == _top(b)
    return far


def divergence(a: Floats, b: Floats) -> Floats:
    """Return (n,) the Jensen-Shannon divergence of each row's two distributions, bits.

    Rows are log-probabilities, nats; -inf is impossible. What is no number (a model that broke)
    is as far as can be.
    """
    with np.errstate(invalid="ignore"):
        middle = np.logaddexp(a, b) - np.log(2)
    found = 0.5 * (_relative(a, middle) + _relative(b, middle)) / np.log(2)
    return np.where(np.isnan(found), 1.0, np.clip(found, 0.0, 1.0))


def _relative(a: Floats, middle: Floats) -> Floats:
    """Return sum p log(p / m), nats; what has no probability adds nothing."""
    with np.errstate(invalid="ignore"):
        terms = np.exp(a) * (a - middle)
    return np.where(np.isneginf(a), 0.0, terms).sum(-1)


def _choices(rows: pl.DataFrame) -> Floats:
    """Return (questions, most candidates) log-probabilities that add up to 1 in each row.

    Of the objects of the type, where the question ranks among them; else of all candidates.
    """
    typed = pl.col("of_type").list.len() > 0
    picked = (
        pl.when(typed).then(pl.col("logp").list.gather(pl.col("of_type"))).otherwise("logp")
    )
    lists = rows.select(picked.alias("logp")).to_series().to_list()
    width = max((len(found) for found in lists if found), default=1)
    logp = np.full((len(lists), width), -np.inf)
    for row, found in enumerate(lists):
        if found is None:
            logp[row] = np.nan
        else:
            logp[row, : len(found)] = found
    with np.errstate(invalid="ignore"):
        return logp - np.logaddexp.reduce(logp, axis=1, keepdims=True)


def _top(logp: Floats) -> Ints:
    """Return each row's most probable choice; -1 where the model broke."""
    broken = np.isnan(logp).any(1)
    return np.where(broken, -1, np.where(np.isnan(logp), -np.inf, logp).argmax(1))


def _right(rows: pl.DataFrame) -> Floats:
    hit = pl.col("argmax").list.get(pl.col("right"), null_on_oob=True).fill_null(False)
    value = pl.when(pl.col("right").is_not_null()).then(hit.cast(pl.Float64))
    return rows.select(value.fill_null(float("nan"))).to_series().to_numpy()


# --- which questions a number is about --------------------------------------------------------

CHANGED = pl.col("set").is_in(["target", "entailed"])
KEPT = pl.col("set").is_in(["neighbour", "unrelated"])
# Sets of questions, over all probes. Half of "balanced" is one, half the other.
PARTS: dict[str, pl.Expr] = {"": pl.lit(True), "changed": CHANGED, "kept": KEPT}
OF_A_PROBE = ("", "known", "trained", "stored", "derived")
LEARNT = "trained"  # the slice of what a method trained on to keep; no other holds any of it


@dataclass(frozen=True, slots=True)
class Group:
    """The questions that one row of metrics is about."""

    probe: str
    slice: str
    hop: int | None
    rows: NDArray[np.bool_]


def groups(questions: pl.DataFrame) -> Iterator[Group]:
    """Yield all groups that have questions."""
    for name, inside in PARTS.items():
        yield Group(ALL, name, None, mask(questions, inside & ~TRAINED))
    yield Group(ALL, LEARNT, None, mask(questions, TRAINED))
    for probe in questions["probe"].unique(maintain_order=True):
        for name in OF_A_PROBE:
            inside, probes = SLICES[name]
            if name and probe not in probes:
                continue
            held = pl.lit(True) if name == LEARNT else ~TRAINED
            rows = mask(questions, (pl.col("probe") == probe) & inside & held)
            yield Group(probe, name, None, rows)
            if probe in BY_HOP:
                for hop in sorted(set(questions.filter(pl.Series(rows))["hop"])):
                    yield Group(probe, name, hop, rows & (questions["hop"] == hop).to_numpy())


def mask(questions: pl.DataFrame, inside: pl.Expr) -> NDArray[np.bool_]:
    """Return which questions are inside; what can't be said of one is no."""
    found = questions.select(pl.repeat(True, pl.len()) & inside.fill_null(False))
    return found.to_series().to_numpy()


# --- over gold models -------------------------------------------------------------------------


def picked(golds: int, seed: int) -> Floats:
    """Return (replicates, golds): how often each gold model comes up, drawn with replacement."""
    generator = np.random.default_rng(derived_seed(seed, "gold"))
    even = np.full(golds, 1 / golds)
    return generator.multinomial(golds, even, size=REPLICATES).astype(np.float64)


def over(far: Floats, found: Sequence[Pair], counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the means over gold models: of step 0, of step 1, and among gold models.

    Args:
        far: (..., pairs).
        found: the pairs.
        counts: (..., golds) how often each gold model counts. One that comes up twice is not
            compared with itself; where no two differ, the last mean is nan.
    """
    means: list[Floats] = []
    for step in (0, 1, None):
        columns = [i for i, pair in enumerate(found) if pair.step == step]
        if not columns:  # one gold model
            shape = np.broadcast_shapes(far.shape[:-1], counts.shape[:-1])
            means.append(np.full(shape, np.nan))
            continue
        weight = np.stack([_weight(found[i], counts) for i in columns], -1)
        with np.errstate(invalid="ignore"):
            means.append((far[..., columns] * weight).sum(-1) / weight.sum(-1))
    return means[0], means[1], means[2]


def _weight(pair: Pair, counts: Floats) -> Floats:
    weight = counts[..., pair.gold]
    return weight if pair.other is None else weight * counts[..., pair.other]
