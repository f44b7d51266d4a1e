"""Over several trials: accuracy by the number of facts, where half is reached, where it falls.

KnowledgeSmith (arXiv:2510.02392) names a plasticity curve and a collapse past capacity, without
formulas; these are ours. A(k) is the direct accuracy after an update of k facts. The half-point
is the smallest measured k with half of the largest gain over the same questions before the
update. The collapse point is the first k where direct accuracy is more than delta below its best
at fewer facts while reverse accuracy has not fallen since the k before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.bootstrap import LEVEL, REPLICATES
from ksmith.measures.compare import resampled_trials
from ksmith.records import UserError, derived_seed

Floats = NDArray[np.float64]

DELTA = 0.05
SIDES = ("direct", "before", "reverse")
ENDS = {"choice": "", "generated": "_generated"}  # of the measures of probe "spread"
SCHEMA: dict[str, Any] = {
    "scale": pl.List(pl.Int64),
    "value": pl.List(pl.Float64),
    "low": pl.List(pl.Float64),
    "high": pl.List(pl.Float64),
    "n": pl.List(pl.Int64),
    "k_half": pl.Int64,
    "k_half_low": pl.Int64,
    "k_half_high": pl.Int64,
    "k_star": pl.Int64,
    "k_star_low": pl.Int64,
    "k_star_high": pl.Int64,
    "collapsed": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over trials at each scale: `value` (scales,), `sampled` (replicates, scales)."""

    value: Floats
    sampled: Floats


def curves(
    metrics: pl.DataFrame,
    by: Sequence[str] = ("task", "method", "level"),
    *,
    mode: str = "generated",
    part: str = "",
    delta: float = DELTA,
    seed: int = 0,
) -> pl.DataFrame:
    """Return one row a curve.

    Args:
        metrics: rows of `ksmith.metrics`, of trials of several scales.
        by: what tells curves apart, beside the scale; `model_seed` and other seeds are pooled.
        mode: "generated", the written answer, or "choice", the chosen one.
        part: a slice, e.g. "known".
        delta: by how much accuracy has to fall for a collapse.
        seed: of the bootstrap: model seed (the same for all scales) > trial > its interval.

    Returns:
        `by`; lists scale, value (A(k)), low, high, n, to be exploded together; k_half and k_star
        with the ends of their 95 % intervals, null where there is none up to the largest scale
        measured (as an upper end: it may lie beyond); collapsed, the share of replicates with a
        collapse, null where nothing was asked in reverse. k_half_low and k_half_high are
        measured scales, so no finer than the grid.
    """
    if mode not in ENDS:
        raise UserError(f"no mode {mode!r} of answers; there are {', '.join(ENDS)}")
    rows = _sided(metrics, mode, part)
    names = rows.filter(side="direct").select(by).unique().sort(*by, nulls_last=True)
    found = [
        {**dict(zip(by, name, strict=True)), **_curve(group, delta, seed)}
        for name, group in _groups(names, rows, by)
    ]
    return pl.DataFrame(found, {**{name: metrics.schema[name] for name in by}, **SCHEMA})


def _sided(metrics: pl.DataFrame, mode: str, part: str) -> pl.DataFrame:
    """Return the rows that curves are made of, with the column `side`: one of `SIDES`."""
    side = pl.col("measure").replace_strict(_names(mode), default=None, return_dtype=pl.String)
    whole = (
        pl.col("hop").is_null() & pl.col("scale").is_not_null() & pl.col("value").is_finite()
    )
    before = pl.when(pl.col("side") == "direct").then(pl.lit("before"))
    return (
        metrics.filter(whole, probe="spread", slice=part)
        .with_columns(side=side)
        .with_columns(side=pl.when(pl.col("step") > 0).then("side").otherwise(before))
        .filter(pl.col("side").is_not_null())
    )


def _names(mode: str) -> dict[str, str]:
    return {f"{side}{ENDS[mode]}": side for side in ("direct", "reverse")}


def _groups(
    names: pl.DataFrame, rows: pl.DataFrame, by: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    for name in names.iter_rows():
        same = [
            pl.col(column).eq_missing(pl.lit(v)) for column, v in zip(by, name, strict=True)
        ]
        yield name, rows.filter(*same)


def _curve(rows: pl.DataFrame, delta: float, seed: int) -> dict[str, Any]:
    direct = rows.filter(side="direct")
    scales = direct["scale"].unique().sort().to_list()
    sides = {side: _pooled(rows.filter(side=side), scales, seed, side) for side in SIDES}
    after = sides["direct"]
    low, high = _ends(after.sampled)
    n = direct.group_by("scale", _model(direct)).agg(pl.col("n").sum())
    facts = n.group_by("scale").agg(pl.col("n").max()).sort("scale")["n"].to_list()
    gained = [_gained(after, sides["before"], at) for at in ("value", "sampled")]
    return {
        "scale": scales,
        "value": after.value.tolist(),
        "low": np.minimum(low, after.value).tolist(),
        "high": np.maximum(high, after.value).tolist(),
        "n": facts,
        **_point("k_half", scales, half_point(gained[0][None]), half_point(gained[1])),
        **_collapse(scales, after, sides["reverse"], delta),
    }


def _gained(after: Curve, before: Curve, at: str) -> Floats:
    start = getattr(before, at)
    return getattr(after, at) - np.where(np.isnan(start), 0.0, start)


def _collapse(scales: list[int], direct: Curve, reverse: Curve, delta: float) -> dict[str, Any]:
    """Return the collapse point; nothing can be said where reverse was not asked throughout."""
    if np.isnan(reverse.value).any():
        return {"k_star": None, "k_star_low": None, "k_star_high": None, "collapsed": None}
    first = collapse_point(direct.value[None], reverse.value[None], delta)
    sampled = collapse_point(direct.sampled, reverse.sampled, delta)
    share = float((sampled >= 0).mean())
    return {**_point("k_star", scales, first, sampled), "collapsed": share}


def half_point(gain: Floats) -> NDArray[np.int64]:
    """Return the place of the first of each row's gains that is half of the largest; else -1.

    >>> half_point(np.array([[0.1, 0.5, 0.9], [0.0, 0.0, 0.0]])).tolist()
    [1, -1]
    """
    most = gain.max(1, keepdims=True)
    reached = (gain >= most / 2) & (most > 0)
    return np.where(reached.any(1), reached.argmax(1), -1)


def collapse_point(direct: Floats, reverse: Floats, delta: float) -> NDArray[np.int64]:
    """Return the place in each row where direct has collapsed and reverse has not; else -1.

    >>> direct = np.array([[0.9, 0.95, 0.8], [0.9, 0.95, 0.92]])
    >>> collapse_point(direct, np.array([[0.5, 0.5, 0.6], [0.5, 0.5, 0.6]]), 0.05).tolist()
    [2, -1]
    """
    best = np.maximum.accumulate(direct, 1)[:, :-1]
    fell = direct[:, 1:] < best - delta
    held = reverse[:, 1:] >= reverse[:, :-1]
    both = fell & held
    return (
        np.where(both.any(1), both.argmax(1) + 1, -1) if both.size else np.full(len(direct), -1)
    )


def _point(
    name: str, scales: list[int], value: NDArray[np.int64], sampled: NDArray[np.int64]
) -> dict[str, int | None]:
    """Return a point and its interval: order statistics, for which "never" is the largest."""
    order = np.sort(np.where(sampled < 0, len(scales), sampled))
    tail = (1 - LEVEL) / 2 * (len(order) - 1)
    at = {
        name: int(value[0]),
        f"{name}_low": int(order[int(np.floor(tail))]),
        f"{name}_high": int(order[int(np.ceil(len(order) - 1 - tail))]),
    }
    return {key: scales[i] if 0 <= i < len(scales) else None for key, i in at.items()}


# --- means over seeds -------------------------------------------------------------------------


def _model(rows: pl.DataFrame) -> pl.Expr:
    seed = pl.col("model_seed") if "model_seed" in rows.columns else pl.lit(0)
    return seed.cast(pl.String).fill_null("").alias("_model")


def _pooled(rows: pl.DataFrame, scales: Sequence[int], seed: int, side: str) -> Curve:
    """Return the means over model seeds and trials; nan at a scale without a trial.

    A replicate draws the same model seeds at every scale: a model that learnt badly is bad all
    along its curve.
    """
    tidy = rows.with_columns(_model(rows)).sort("scale", "_model", "value", nulls_last=True)
    models = tidy["_model"].unique().sort().to_list()
    value = np.full((len(models) or 1, len(scales)), np.nan)
    sampled = np.full((REPLICATES, len(models) or 1, len(scales)), np.nan)
    generator = np.random.default_rng(derived_seed(seed, "curve", side))
    for (scale, model), group in tidy.group_by("scale", "_model", maintain_order=True):
        if scale not in scales:
            continue
        at = (models.index(model), scales.index(int(str(scale))))
        trials = group.select("value", "low", "high").to_numpy()
        value[at] = trials[:, 0].mean()
        sampled[:, *at] = resampled_trials(trials, generator)
    picks = np.random.default_rng(derived_seed(seed, "models"))
    picked = picks.integers(sampled.shape[1], size=sampled.shape[:2])
    return Curve(_mean(value, 0), _mean(np.take_along_axis(sampled, picked[..., None], 1), 1))


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean without nan; nan where there is nothing else."""
    there = ~np.isnan(values)
    count = there.sum(axis)
    total = np.where(there, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _ends(sampled: Floats) -> tuple[Floats, Floats]:
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.nanquantile(sampled, tails, axis=0)
    return low, high
