"""Methods against each other: differences on the same facts, from the answers themselves."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ksmith import measures
from ksmith.report.cells import CELL, SEEDS
from ksmith.report.panels import Panel

NAMES = ("probe", "measure", "slice", "hop")
ESTIMATE: dict[str, Any] = {
    "value": pl.Float64,
    "n": pl.Int64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def differences(
    trials: pl.DataFrame,
    answers: Mapping[str, Path],
    reference: str,
    panels: Sequence[Panel],
) -> pl.DataFrame:
    """Return each series less `reference`: CELL, NAMES, and what `measures.pool` adds.

    Trials are paired where level, scale and every seed are the same, so that the requests are,
    too; those without a file of answers are left out.

    Args:
        trials: of one task; with `series` and the settings by their dotted names.
        answers: trial -> its answers.parquet.
        reference: the series to compare with; the first, not the best: which one is best was
            seen in the same numbers, and would seem better than it is.
        panels: what is compared.
    """
    wanted = [(p.probe, p.measure, p.slice, p.hop) for p in panels]
    there = trials.filter(pl.col("trial").is_in(list(answers)))
    seeds = [name for name in SEEDS if name in trials.columns]
    found = [
        row
        for _, group in there.group_by("task.level", "task.scale", *seeds, maintain_order=True)
        for row in _group(group, answers, reference, wanted)
    ]
    names = {"task": pl.String, "series": pl.String, "level": pl.String, "scale": pl.Int64}
    names |= {"model.seed": pl.Int64, "probe": pl.String, "measure": pl.String}
    schema = names | {"slice": pl.String, "hop": pl.Int32} | ESTIMATE
    rows = pl.DataFrame(found, schema=schema, infer_schema_length=None)
    return measures.pool(rows, [*CELL, *NAMES], paired=True)


def _group(
    trials: pl.DataFrame,
    answers: Mapping[str, Path],
    reference: str,
    wanted: Sequence[tuple[str, str, str, int | None]],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of trials that were given the same requests."""
    first = trials.filter(series=reference)
    others = trials.filter(pl.col("series") != reference)
    if first.is_empty() or others.is_empty():
        return
    base = pl.read_parquet(answers[first["trial"][0]])
    seen: dict[
        Any, pl.DataFrame
    ] = {}  # what is left of the base beside most methods is the same
    for trial in others.iter_rows(named=True):
        own, theirs = measures.alike(pl.read_parquet(answers[trial["trial"]]), base)
        mine = measures.last(own, wanted)
        left_out = tuple(measures.trained(theirs).iter_rows())
        if left_out not in seen:
            seen[left_out] = measures.last(theirs, wanted)
        place = {
            "task": trial["task.kind"],
            "series": trial["series"],
            "level": trial["task.level"] or "any",
            "scale": trial["task.scale"],
            "model.seed": trial.get("model.seed", 0),
        }
        seed = trial.get("seed") or 0
        for row in measures.differences(mine, seen[left_out], seed).iter_rows(named=True):
            yield place | row
