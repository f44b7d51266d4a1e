"""What happens along a sequence: how well facts are written, and how long they last.

Gupta et al., "Model Editing at Scale leads to Gradual and Catastrophic Forgetting", ACL Findings
2024, arXiv:2401.07453, gives the quantities; it names no thresholds, so those are ours.

A fact is learnt if it holds right after its batch: an edit while every token of the new answer
is the most probable one, an unlearned fact while the old answer is not that. A learnt fact is
forgotten from the first later checkpoint on where it does not hold. Public code never asks for a
forgotten fact again; here it is, and may be regained.

Forgetting is gradual from the checkpoint on where more than 5 % and at least two of a draw's
learnt facts are forgotten. It is catastrophic from the batch on where

    by success   the share of the last 50 facts whose new answer beat the old one right after
                 they were written is more than 30 points below its best so far; or
    by norm      the change made by a batch is more than 10 times the median of those before it,
                 of which there are 5 at least, or is not finite.

Both are told, as shares of the draws in which it has begun: a draw in which it never does is
counted, too. The third sign of the paper, collapse on other tasks, has no tasks here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.facts import named, of_values, within
from ksmith.measures.slices import KNOWN

PROBE = "sequence"
RECENT = 50  # facts
DROP = 0.3  # of success
TIMES = 10.0  # the median change
BATCHES = 5  # before a median means anything
SHARE, FEW = 0.05, 2  # of the learnt facts

SCHEMA: dict[str, Any] = {
    "draw": pl.Int32,
    "request": pl.String,
    "number": pl.Int32,  # of the fact in its sequence, from 1
    "step": pl.Int32,  # facts written once its batch is
    "kind": pl.String,  # edit, unlearn
    "success": pl.Boolean,  # right after: the new answer is more probable; null: not asked for
    "held": pl.Boolean,  # right after: it is as was asked
    "norm": pl.Float64,  # of the change that its batch made; inf: it could not be written
    "failed": pl.String,  # why it could not; "" where it was
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Along:
    """One row of the table; what is of draws counts draws, all else facts."""

    doc: str
    better: str = "-"
    low: float | None = 0.0
    high: float | None = 1.0


SEQUENCE: dict[str, Along] = {
    "proficiency_success": Along(
        doc="Of the last 50 facts written, those whose new answer beat the old one, per token, "
        "right after they were written; edits alone.",
        better="higher",
    ),
    "proficiency_accuracy": Along(
        doc="Of the last 50 facts written, those that were learnt: right after, every token of "
        "the new answer was the most probable one (unlearning: of the old answer was not).",
        better="higher",
    ),
    "learnt": Along(doc="The same of all facts written so far.", better="higher"),
    "forgotten": Along(
        doc="Of the facts learnt so far, those that did not hold at some later checkpoint.",
        better="lower",
    ),
    "forgotten_now": Along(
        doc="Of the facts learnt so far, those that do not hold now.", better="lower"
    ),
    "regained": Along(
        doc="Of the facts that were forgotten at an earlier checkpoint, those that hold now.",
        better="higher",
    ),
    "unwritten": Along(
        doc="Facts whose batch could not be written: the method found no finite change. They "
        "count as not learnt.",
        better="lower",
    ),
    "norm": Along(doc="||change|| made by the last batch, over all parameters.", high=None),
    "gradual": Along(
        doc="Share of the draws in which more than 5 % and at least two of the learnt facts are "
        "forgotten; n counts draws.",
        better="lower",
    ),
    "catastrophic_success": Along(
        doc="Share of the draws in which, at this batch or before, the success of the last 50 "
        "facts was more than 30 points below its best; n counts draws.",
        better="lower",
    ),
    "catastrophic_norm": Along(
        doc="Share of the draws in which a batch so far changed more than 10 times the median of "
        "those before it; n counts draws.",
        better="lower",
    ),
}


def written(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the table of written.parquet: a row a fact, what was seen right after its batch."""
    return pl.DataFrame(list(rows), SCHEMA)


def facts(prepared: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Return the value of each measure for each fact or draw, at each step.

    Args:
        prepared: answers with the columns of `prepared.PREPARED` and of units.
        seen: the table of written.parquet.
    """
    steps = prepared.filter(pl.col("step") > 0).select("step").unique().sort("step")
    every = (
        _placed(prepared, seen)
        .rename({"step": "end"})
        .join(steps, how="cross")
        .filter(pl.col("end") <= pl.col("step"))
        .sort("draw", "number", "step")
    )
    asked = _asked_again(prepared, every)
    slices = {"": pl.lit(True), "known": KNOWN}
    told = (*_right_after(every), *_forgotten(asked))
    return of_values(
        *(named(within(rows, slices), PROBE, pl.lit(name)) for name, rows in told),
        *(
            named(rows, PROBE, pl.lit(name), pl.lit(""))
            for name, rows in _of_draws(every, asked, seen)
        ),
    )


def _placed(prepared: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Return `seen` with the units of its facts, and whether they were known."""
    own = prepared.filter((pl.col("set") == "target") & (pl.col("request") != ""))
    units = own.select("request", "cluster", "known").unique("request", keep="first")
    return seen.join(units, on="request", how="left", maintain_order="left").with_columns(
        family=pl.lit(""), unit="request", cluster=pl.coalesce("cluster", "request")
    )


# --- facts ------------------------------------------------------------------------------------


def _right_after(every: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    recent = every.filter(pl.col("number") > pl.col("step") - RECENT)
    yield "proficiency_success", recent.with_columns(value="success")
    yield "proficiency_accuracy", recent.with_columns(value="held")
    yield "learnt", every.with_columns(value="held")
    yield "unwritten", every.with_columns(value=pl.col("failed") != "")


def _asked_again(prepared: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
    """Return the learnt facts at each step, with `forgotten` so far, before, and `holds` now."""
    said = (
        pl.col("argmax").list.get(pl.col(i), null_on_oob=True)
        for i in ("right", "right_before")
    )
    new, old = said
    now = prepared.filter(pl.col("probe") == "efficacy", pl.col("step") > 0).select(
        "request", "step", new=pl.col("answered") & new, kept=pl.col("answered") & ~old
    )
    holds = pl.when(pl.col("kind") == "edit").then("new").otherwise("kept").fill_null(False)
    return (
        every.filter("held")
        .join(now, on=["request", "step"], how="inner", maintain_order="left")
        # At its own checkpoint a fact was asked for twice: it is the first time that counts.
        .with_columns(holds=holds | (pl.col("end") == pl.col("step")))
        .with_columns(
            forgotten=(~pl.col("holds"))
            .cast(pl.Int8)
            .cum_max()
            .over("request")
            .cast(pl.Boolean)
        )
        .with_columns(before=pl.col("forgotten").shift(1, fill_value=False).over("request"))
    )


def _forgotten(asked: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    yield "forgotten", asked.with_columns(value="forgotten")
    yield "forgotten_now", asked.with_columns(value=~pl.col("holds"))
    yield "regained", asked.filter("before").with_columns(value="holds")


# --- draws ------------------------------------------------------------------------------------


def _of_draws(
    every: pl.DataFrame, asked: pl.DataFrame, seen: pl.DataFrame
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield one value a draw and step."""
    name = pl.col("draw").cast(pl.String)
    draws = every.select("draw", "step").unique().sort("draw", "step")
    draws = draws.with_columns(family=pl.lit("updates"), cluster=name, unit=name)
    last = every.filter(pl.col("end") == pl.col("step"), pl.col("norm").is_finite())
    norms = last.group_by("draw", "step").agg(value=pl.col("norm").first())
    yield "norm", draws.join(norms, on=["draw", "step"], maintain_order="left")
    for measure, begun in onsets(asked, seen).items():
        times = pl.DataFrame(
            {"draw": list(begun), "at": list(begun.values())},
            {"draw": pl.Int32, "at": pl.Int32},
        )
        value = (pl.col("at") <= pl.col("step")).fill_null(False)
        yield (
            measure,
            draws.join(times, on="draw", maintain_order="left").with_columns(value=value),
        )


def onsets(asked: pl.DataFrame, seen: pl.DataFrame) -> dict[str, dict[int, int | None]]:
    """Return sign -> draw -> after how many facts it shows; None where it does not.

    A sign that the sequence is too short for, or that nobody asked for, is left out.
    """
    found: dict[str, dict[int, int | None]] = {}
    if asked.height:
        gone = asked.group_by("draw", "step").agg(
            share=pl.col("forgotten").mean(), count=pl.col("forgotten").sum()
        )
        begun = gone.filter((pl.col("share") > SHARE) & (pl.col("count") >= FEW))
        found["gradual"] = _firsts(seen, begun)
    ordered = seen.sort("draw", "number")
    success = pl.coalesce(pl.col("success"), pl.col("held")).cast(pl.Float64)
    recent = ordered.with_columns(
        recent=success.rolling_mean(RECENT).over("draw"),
    ).filter(pl.col("number") == pl.col("step"))  # where batches end
    if recent["recent"].count():
        # A rolling mean is a running sum: what is equal may differ by a rounding.
        fell = pl.col("recent") < pl.col("recent").cum_max().over("draw") - DROP - 1e-9
        found["catastrophic_success"] = _firsts(seen, recent.filter(fell))
    batches = ordered.unique(["draw", "step"], keep="first", maintain_order=True)
    if (batches.group_by("draw").len()["len"] > BATCHES).any():
        jumps = [
            batch.select("draw", "step").filter(pl.Series(jumped(batch["norm"].to_numpy())))
            for batch in batches.partition_by("draw", maintain_order=True)
        ]
        found["catastrophic_norm"] = _firsts(seen, pl.concat(jumps))
    return found


def jumped(norms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which changes are more than 10 times the median of those before, or not finite.

    What changed nothing (a batch that a guard left out) is no measure for others.

    >>> jumped(np.array([1.0, 1, 2, 1, 0, 1, 11, 1])).tolist().index(True)
    6
    """
    there = np.isfinite(norms) & (norms > 0)
    found = ~np.isfinite(norms)
    for i in range(len(norms)):
        before = norms[:i][there[:i]]
        if len(before) >= BATCHES and norms[i] > TIMES * np.median(before):
            found[i] = True
    return found


def _firsts(seen: pl.DataFrame, begun: pl.DataFrame) -> dict[int, int | None]:
    first = begun.group_by("draw").agg(pl.col("step").min())
    draws = seen.select("draw").unique().sort("draw").join(first, on="draw", how="left")
    return {draw: step for draw, step in draws.sort("draw").iter_rows()}
