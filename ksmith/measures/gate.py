"""When a number about derived facts is shown: the one rule, for a trial and for pooled cells.

A fact that was never verbalised in training says something about an update only if the model
held it before. So derived numbers count where, at step 0, the old answers of the very facts
scored were picked out of the objects of their type more often than guessing would, by the whole
interval. Facts that are new have no old answer; `scored_before` says what share has one.
"""

from collections.abc import Sequence

import polars as pl

GATES = ("recalled", "recalled_scored", "scored_before")
# What is about the old answer is judged by all facts that have one, the rest by those that have
# a right answer after the update, too.
OF_OLD = ("residual", "residual_generated", "old_rank")


def reliable(table: pl.DataFrame, by: Sequence[str] = ("trial",)) -> pl.DataFrame:
    """Return the rows of `table` without derived numbers that mean nothing; in order.

    Args:
        table: metrics: step, probe, measure, slice, hop, low, and what `by` names.
        by: what tells trials, or pooled cells, apart.
    """
    place = [*by, "probe", "hop", "gate"]
    # Of all derived facts, not the known ones: those were chosen for it.
    before = table.filter(
        (pl.col("step") == 0) & (pl.col("slice") == "derived") & pl.col("measure").is_in(GATES)
    ).select(*place[:-1], gate="measure", over_chance="low")
    old = pl.col("measure").is_in(OF_OLD)
    gate = pl.when(old).then(pl.lit("recalled")).otherwise(pl.lit("recalled_scored"))
    derived = pl.col("slice").str.split(".").list.contains("derived")
    held = (pl.col("over_chance") > 0).fill_null(False)
    return (
        table.with_columns(gate=gate)
        .join(before, on=place, how="left", nulls_equal=True, maintain_order="left")
        .filter(~derived | held | pl.col("measure").is_in(GATES))
        .drop("gate", "over_chance")
    )
