"""Comparing trials: paired differences on the same questions, and pooling over seeds."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.answers import complete, with_trained
from ksmith.measures.bootstrap import REPLICATES, percentiles, widening
from ksmith.measures.facts import UNIT
from ksmith.measures.gold_numbers import HIGHEST
from ksmith.measures.means import KEYS, means
from ksmith.measures.metrics import TABLES, bounds, facts
from ksmith.measures.table import MEASURES
from ksmith.records import UserError, derived_seed

Floats = NDArray[np.float64]
Wanted = tuple[str, str, str, int | None]

MARGIN = ("_margin", "_margin_gold")  # how names of ratios to the margin end (see `margin`)
LEAST = 1e-9  # of such a ratio
ENOUGH_MODELS = 5  # model seeds without which training variance is not covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean of a - b over the `n` facts that both have, with its 95 % interval."""

    value: float
    n: int
    low: float | None
    high: float | None


def paired(
    a: pl.DataFrame, b: pl.DataFrame, probe: str, measure: str, part: str = "", seed: int = 0
) -> Difference | None:
    """Return the difference of one measure between two trials, fact by fact.

    Args:
        a: answers of one trial; its last step counts, so `rows.filter(step=0)` stands for the
            model before the update, and propagation is `paired(rows, before, ...)`.
        b: answers of the other, with the same requests.
        probe: e.g. "multi_hop", or "spread" for the measures of several probes.
        measure: a name in `MEASURES`, or of those.
        part: a slice, a hop or both, as in a metric's name: "known", "hop2", "known.hop2".
        seed: of the bootstrap; the interval is hierarchical, draw > subject.

    Returns:
        None where the two have no fact in common.
    """
    there = TABLES.get(probe, MEASURES)
    if measure not in there:
        raise UserError(f"no measure {measure!r}; there are {', '.join(there)}")
    names = part.split(".") if part else []
    hops = [int(name[3:]) for name in names if name.startswith("hop")]
    name = ".".join(name for name in names if not name.startswith("hop"))
    wanted = [(probe, measure, name, hops[0] if hops else None)]
    a, b = alike(a, b)
    found = differences(last(a, wanted), last(b, wanted), seed)
    if found.is_empty():
        return None
    return Difference(**found.select("value", "n", "low", "high").row(0, named=True))


def alike(a: pl.DataFrame, b: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both with `trained` where either method was trained on a fact, to keep it.

    Slices then hold the same questions of both: of an unlearner and of an editor, which trains
    on nothing that stays, means would else be over other questions of one request.
    """
    facts = [trained(rows) for rows in (a, b)]
    if facts[0].equals(facts[1]):
        return a, b
    both = pl.concat(facts).unique().sort(pl.all())
    return marked(a, both), marked(b, both)


def trained(rows: pl.DataFrame) -> pl.DataFrame:
    """Return draw and fact of what the method of a trial was trained on, sorted."""
    if "trained" not in rows.columns:  # an older file
        return rows.select("draw", "fact").clear()
    return rows.filter("trained").select("draw", "fact").unique().sort(pl.all())


def marked(rows: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` in which `facts`, draw and fact, are what was trained on."""
    return with_trained(complete(rows), facts.iter_rows())


def last(rows: pl.DataFrame, wanted: Sequence[Wanted]) -> pl.DataFrame:
    """Return one row a fact and wanted measure, at the last step: KEYS, UNIT and the value.

    The step is written 0, so that tables of one trial and of another go together.

    Args:
        rows: answers of one trial.
        wanted: (probe, measure, slice, hop or None) of each measure.
    """
    end = rows["step"].max()
    rows = rows.filter((pl.col("step") == 0) | (pl.col("step") == end))
    keys = pl.DataFrame(
        wanted, {"probe": pl.String, "measure": pl.String, "slice": pl.String, "hop": pl.Int32},
        orient="row",
    ).with_columns(pl.col("hop").fill_null(-1))  # fmt: skip
    # The requests' own questions say which facts and subjects belong together.
    asked = pl.col("probe").is_in([*keys["probe"].unique(), "known"])
    several = any(name in TABLES for name in keys["probe"])  # of all probes' questions
    if not several:
        rows = rows.filter(asked | (pl.col("set") == "target"))
    names = keys["slice"].unique().sort(), keys["measure"].unique().sort().to_list()
    # Slices are taken before pairing: "known" is decided before the update, so it is the same.
    table = facts(rows, *names, several=several)
    table = table.filter(pl.col("step") == end)
    found = table.join(keys, on=keys.columns, how="semi")
    return found.select(*KEYS, *UNIT, "value").with_columns(step=pl.lit(0))


def differences(a: pl.DataFrame, b: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Return the mean of a - b over the facts that both have, a row for each measure.

    Args:
        a: from `last`, of one trial.
        b: from `last`, of another with the same requests.
        seed: of the bootstrap; intervals are hierarchical, draw > subject.

    Returns:
        probe, measure, slice, hop (null: over all), value, n, low, high; sorted.
    """
    both = a.join(b, on=[*KEYS, *UNIT], suffix="_b", maintain_order="left").with_columns(
        pl.col("value") - pl.col("value_b")
    )
    families = both.partition_by("family", maintain_order=False)  # resampled by themselves
    found = [_differences(part, seed) for part in families]
    schema = {name: both.schema[name] for name in KEYS[1:]} | INTERVAL
    return pl.concat([pl.DataFrame(schema=schema), *found]).sort(KEYS[1:], nulls_last=False)


INTERVAL = {"value": pl.Float64, "n": pl.Int64, "low": pl.Float64, "high": pl.Float64}


def _differences(part: pl.DataFrame, seed: int) -> pl.DataFrame:
    keys, found = means(part, seed)
    named = zip(keys["probe"], keys["measure"], strict=True)
    width = np.array([_width(probe, measure) for probe, measure in named])
    low, high = found.interval(-width, width)
    columns = {"value": found.value, "n": found.n.astype(np.int64), "low": low, "high": high}
    hop = pl.when(pl.col("hop") >= 0).then("hop")
    return keys.select(KEYS[1:]).with_columns(
        hop, *(pl.Series(name, columns[name], dtype) for name, dtype in INTERVAL.items())
    )


def _width(probe: str, measure: str) -> float:
    """Return how far apart two values can be."""
    low, high = bounds(probe, measure)
    return np.inf if low is None or high is None else high - low


def pool(
    rows: pl.DataFrame,
    by: Sequence[str],
    model_seed: str = "model.seed",
    seed: int = 0,
    *,
    paired: bool = False,
) -> pl.DataFrame:
    """Return the mean over seeds of each metric, with the interval of model seed > trial.

    A replicate draws model seeds with replacement, trials within each with replacement, and
    each trial's value from its own interval (draw > subject, already measured). The ends are
    moved outwards for few seeds as those of one trial are for few draws. Of ratios to the margin
    it is the geometric mean.

    Args:
        rows: metrics of several trials: value, n, low, high, what `by` names, and where there
            are several, the columns of the seeds: the one that `model_seed` names, and `seed`
            and `graph_seed` (or `graph.seed`), which draw the requests.
        by: what tells results apart, e.g. method, task.scale, probe, measure, slice, hop, step.
        model_seed: the column of the seed that the model was trained with; without it, all
            trials are taken to share one model.
        seed: of the bootstrap.
        paired: the values are differences of the measure, from `differences`.

    Returns:
        `by`, value, n (facts; the same requests asked of several models count once, those of
        another seed again), low, high,
        trials, model_seeds, training_variance_covered (at least 5 model seeds); sorted by `by`.
    """
    model = pl.col(model_seed) if model_seed in rows.columns else pl.lit(0)
    columns = [*by, "value", "n", "low", "high"]
    asked = [pl.col(name) for name in SEEDS if name in rows.columns and name not in by]
    tidy = rows.select(
        *columns,
        _model=model.cast(pl.String).fill_null(""),
        _asked=pl.concat_str([pl.lit(""), *asked], separator=" ", ignore_nulls=True),
    ).sort(*columns, "_model", "_asked", nulls_last=True)
    pooled: list[dict[str, Any]] = []
    for name, group in _groups(tidy, by):
        of = dict(zip(by, name, strict=True))
        if str(of.get("measure")).endswith(MARGIN) and not paired:
            found = _in_margins(group, seed)
        else:
            found = _pooled(group, seed, _bounds(by, name, paired))
        pooled.append(of | found)
    schema = {name: rows.schema[name] for name in by} | POOLED
    return pl.DataFrame(pooled, schema=schema)


@dataclass(frozen=True, slots=True)
class _Group:
    """The t trials of one result, as arrays: there are tens of thousands of groups."""

    numbers: Floats  # (t, 3) value, low, high; NaN where there is none
    n: list[int]  # facts
    model: list[str]  # which model seed
    asked: list[str]  # which seeds drew the requests

    def models(self) -> list[Floats]:
        """Return the numbers of each model seed, (its trials, 3)."""
        of = np.array(self.model)
        return [self.numbers[of == name] for name in dict.fromkeys(self.model)]

    def facts(self) -> int:
        """Return how many were asked about: most of any model, of each seed that drew them."""
        each: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for n, model, asked in zip(self.n, self.model, self.asked, strict=True):
            each[asked][model] += n
        return sum(max(models.values()) for models in each.values())


def _groups(tidy: pl.DataFrame, by: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], _Group]]:
    """Yield the trials of each result; `tidy` is sorted by `by`."""
    names = tidy.group_by(*by, maintain_order=True).len()
    numbers = tidy.select(pl.col("value", "low", "high").cast(pl.Float64)).to_numpy()
    n = tidy["n"].fill_null(0).to_list()
    model, asked = tidy["_model"].to_list(), tidy["_asked"].to_list()
    start = 0
    for *name, size in names.iter_rows():
        mine = slice(start, start + size)
        yield tuple(name), _Group(numbers[mine], n[mine], model[mine], asked[mine])
        start += size


SEEDS = ("seed", "graph_seed", "graph.seed")  # of what is asked
POOLED = {
    "value": pl.Float64,
    "n": pl.Int64,
    "low": pl.Float64,
    "high": pl.Float64,
    "trials": pl.Int64,
    "model_seeds": pl.Int64,
    "training_variance_covered": pl.Boolean,
}


def _bounds(by: Sequence[str], name: Sequence[object], paired: bool) -> tuple[float, float]:
    """Return between which numbers a value lies, as far as the name of its measure says."""
    of = dict(zip(by, name, strict=True))
    probe, measure = str(of.get("probe")), str(of.get("measure"))
    if measure in HIGHEST and not paired:
        return (0.0, HIGHEST[measure])
    if measure not in TABLES.get(probe, MEASURES):
        return (-np.inf, np.inf)
    if paired:
        return (-_width(probe, measure), _width(probe, measure))
    low, high = bounds(probe, measure)
    return (-np.inf if low is None else low, np.inf if high is None else high)


def _in_margins(group: _Group, seed: int) -> dict[str, float | int | bool | None]:
    """Return the geometric mean of ratios to the margin: a ratio errs by factors.

    An interval from .1 to 25 around 1.3 would else weigh a value of 25 like ten of 2.5.
    """
    ends = ("value", "low", "high")
    if len(group.n) == 1 or not (group.numbers[:, 0] > 0).all():
        return _pooled(group, seed, (0.0, np.inf))
    logs = np.log(np.maximum(group.numbers, LEAST))
    found = _pooled(replace(group, numbers=logs), seed, (-np.inf, np.inf))
    there = {name: found[name] for name in ends if found[name] is not None}
    return found | {
        name: math.exp(min(float(end or 0.0), 700.0)) for name, end in there.items()
    }


def _pooled(
    group: _Group, seed: int, bounds: tuple[float, float]
) -> dict[str, float | int | bool | None]:
    models = group.models()
    value = float(np.mean([model[:, 0].mean() for model in models]))
    low, high = _interval(models, value, seed)
    if low is not None and high is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return {
        "value": value,
        "n": group.facts(),
        "low": low,
        "high": high,
        "trials": len(group.n),
        "model_seeds": len(models),
        "training_variance_covered": len(models) >= ENOUGH_MODELS,
    }


def _interval(
    trials: Sequence[Floats], value: float, seed: int
) -> tuple[float | None, float | None]:
    if sum(len(trial) for trial in trials) == 1:
        _, low, high = trials[0][0]
        return (None, None) if np.isnan(low) or np.isnan(high) else (float(low), float(high))
    drawn, picked = _drawn(tuple(map(len, trials)), seed)
    parts = (_resampled(trial, *of) for trial, of in zip(trials, drawn, strict=True))
    within = np.stack(list(parts), axis=1)
    means = np.take_along_axis(within, picked, axis=1).mean(axis=1, keepdims=True)
    low, high = percentiles(means)
    factor = _stretch(trials, float(means.var()))
    lower = value - factor * max(value - float(low[0]), 0.0)
    upper = value + factor * max(float(high[0]) - value, 0.0)
    every = np.concatenate(trials)
    if np.ptp(every[:, 0]) > 0 or np.isnan(every).any():
        return lower, upper
    # All say the same: beyond what each holds possible (a rate above 1) there is nothing.
    return max(lower, float(every[:, 1].min())), min(upper, float(every[:, 2].max()))


def _stretch(trials: Sequence[Floats], had: float) -> float:
    """Return by how much the ends move outwards: for few models, or few trials of one model.

    Args:
        trials: (trials of the model, 3) value, low, high, for each model.
        had: the variance of the replicates; what does not come from between the groups has the
            trials' own intervals in it, which were widened when they were measured.
    """
    groups = [trial[:, 0].mean() for trial in trials] if len(trials) > 1 else trials[0][:, 0]
    m = len(groups)
    between = float(np.var(groups, ddof=1)) / m
    within = max(had - between * (m - 1) / m, 0.0)
    parts = (np.array([between]), np.array([within]))
    found = widening(parts, np.array([had]), (np.array([float(m - 1)]), np.array([np.inf])))
    return float(found[0])


Draw = tuple[NDArray[np.int64], Floats]  # which trials, and standard normals, (replicates, t)


@lru_cache(maxsize=16)
def _drawn(counts: tuple[int, ...], seed: int) -> tuple[list[Draw], NDArray[np.int64]]:
    """Return what a bootstrap draws: of each model its trials, then models (replicates, models).

    It is the same for all results of as many trials, of which a study has tens of thousands.
    """
    generator = np.random.default_rng(derived_seed(seed, "pool"))
    drawn = [_draw(count, generator) for count in counts]
    return drawn, generator.integers(len(counts), size=(REPLICATES, len(counts)))


def _draw(count: int, generator: np.random.Generator) -> Draw:
    which = generator.integers(count, size=(REPLICATES, count))
    return which, generator.standard_normal(which.shape)


def resampled_trials(trials: Floats, generator: np.random.Generator) -> Floats:
    """Return (replicates,) means over resampled trials of one model seed.

    A trial's value comes from two half normals that fit its interval, less what these add to it
    on average: near a bound one is much wider, and the mean of many trials would else lie beside
    all that was measured (thirty rates of 0 of 6 facts at .09). Without an interval it is the
    value alone.
    """
    return _resampled(trials, *_draw(len(trials), generator))


def _resampled(trials: Floats, which: NDArray[np.int64], drawn: Floats) -> Floats:
    value, low, high = trials.T
    below, above = (np.nan_to_num(reach) / 1.96 for reach in (value - low, high - value))
    reach = np.where(drawn < 0, below[which], above[which])
    centre = value - (above - below) / math.sqrt(2 * math.pi)
    return (centre[which] + drawn * reach).mean(axis=1)
