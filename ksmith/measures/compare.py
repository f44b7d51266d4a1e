"""Comparing trials: paired differences on the same facts, and pooling over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.bootstrap import REPLICATES, percentiles
from ksmith.measures.metrics import KEYS, TABLES, UNIT, bounds, facts, means
from ksmith.measures.table import MEASURES
from ksmith.records import UserError, derived_seed

Floats = NDArray[np.float64]

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
    # Slices are taken before pairing: "known" is decided before the update, so it is the same.
    both = _last(a, probe, measure, part).join(
        _last(b, probe, measure, part), on=list(UNIT), suffix="_b"
    )
    if both.is_empty():
        return None
    table = both.with_columns(pl.col("value") - pl.col("value_b"))
    _, found = means(table, seed)
    least, most = bounds(probe, measure)
    width = np.inf if most is None or least is None else most - least
    low, high = found.interval(np.array([-width]), np.array([width]))
    return Difference(value=float(found.value[0]), n=int(found.n[0]), low=low[0], high=high[0])


def _last(rows: pl.DataFrame, probe: str, measure: str, part: str) -> pl.DataFrame:
    """Return one row a fact: KEYS (the same for all), UNIT and the value, at the last step."""
    names = part.split(".") if part else []
    hops = [int(name[3:]) for name in names if name.startswith("hop")]
    name = ".".join(name for name in names if not name.startswith("hop"))
    # The requests' own questions say which facts and subjects belong together.
    mine = pl.col("probe").is_in([probe, "known"]) | (pl.col("set") == "target")
    asked = rows if probe in TABLES else rows.filter(mine)
    table = facts(asked).filter(
        (pl.col("probe") == probe)
        & (pl.col("measure") == measure)
        & (pl.col("slice") == name)
        & (pl.col("hop") == (hops[0] if hops else -1))
        & (pl.col("step") == rows["step"].max())
    )
    return table.select(*KEYS, *UNIT, "value").with_columns(step=pl.lit(0))


def pool(
    rows: pl.DataFrame, by: Sequence[str], model_seed: str = "model.seed", seed: int = 0
) -> pl.DataFrame:
    """Return the mean over seeds of each metric, with the interval of model seed > trial.

    A replicate draws model seeds with replacement, trials within each with replacement, and
    each trial's value from its own interval (draw > subject, already measured).

    Args:
        rows: metrics of several trials: value, n, low, high, what `by` names, and where there
            are several, the columns `seed` and the one that `model_seed` names.
        by: what tells results apart, e.g. method, task.scale, probe, measure, slice, hop, step.
        model_seed: the column of the seed that the model was trained with; without it, all
            trials are taken to share one model.
        seed: of the bootstrap.

    Returns:
        `by`, value, n (facts; the same requests asked of several models count once), low, high,
        trials, model_seeds, training_variance_covered (at least 5 model seeds); sorted by `by`.
    """
    model = pl.col(model_seed) if model_seed in rows.columns else pl.lit(0)
    columns = [*by, "value", "n", "low", "high"]
    tidy = rows.select(*columns, _model=model.cast(pl.String).fill_null("")).sort(
        *columns, "_model", nulls_last=True
    )
    pooled = [
        {**dict(zip(by, name, strict=True)), **_pooled(group, seed)}
        for name, group in tidy.group_by(*by, maintain_order=True)
    ]
    schema = {name: rows.schema[name] for name in by} | POOLED
    return pl.DataFrame(pooled, schema=schema)


POOLED = {
    "value": pl.Float64,
    "n": pl.Int64,
    "low": pl.Float64,
    "high": pl.Float64,
    "trials": pl.Int64,
    "model_seeds": pl.Int64,
    "training_variance_covered": pl.Boolean,
}


def _pooled(group: pl.DataFrame, seed: int) -> dict[str, float | int | bool | None]:
    models = group.partition_by("_model", maintain_order=True)
    value = float(np.mean([model["value"].to_numpy().mean() for model in models]))
    low, high = _interval(models, value, seed)
    return {
        "value": value,
        "n": max(int(model["n"].sum()) for model in models),
        "low": low,
        "high": high,
        "trials": len(group),
        "model_seeds": len(models),
        "training_variance_covered": len(models) >= ENOUGH_MODELS,
    }


def _interval(
    models: Sequence[pl.DataFrame], value: float, seed: int
) -> tuple[float | None, float | None]:
    trials = [model.select("value", "low", "high").to_numpy() for model in models]
    if sum(len(trial) for trial in trials) == 1:
        _, low, high = trials[0][0]
        return (None, None) if np.isnan(low) or np.isnan(high) else (float(low), float(high))
    generator = np.random.default_rng(derived_seed(seed, "pool"))
    within = np.stack([resampled_trials(trial, generator) for trial in trials], axis=1)
    picked = generator.integers(len(models), size=within.shape)
    means = np.take_along_axis(within, picked, axis=1).mean(axis=1, keepdims=True)
    low, high = percentiles(means)
    return min(float(low[0]), value), max(float(high[0]), value)


def resampled_trials(trials: Floats, generator: np.random.Generator) -> Floats:
    """Return (replicates,) means over resampled trials of one model seed.

    A trial's value comes from two half normals that fit its interval, so that a rate of 1 never
    goes above 1; without an interval it is the value alone.
    """
    picked = trials[generator.integers(len(trials), size=(REPLICATES, len(trials)))]
    value, low, high = picked[..., 0], picked[..., 1], picked[..., 2]
    normal = generator.standard_normal(value.shape) / 1.96
    reach = np.where(normal < 0, value - low, high - value)
    return (value + normal * np.nan_to_num(reach)).mean(axis=1)
