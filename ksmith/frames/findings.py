"""Whether what a study expects to find holds: each [[finding]] against its trials' metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ksmith.frames.steps import ended
from ksmith.measures.contrast import SEEDS, Contrast, contrast, mean, minus
from ksmith.settings import METHODS, declared
from ksmith.study import Finding, Side

SETTINGS_OF_SEEDS = {"seed": "seed", "graph_seed": "graph.seed", "model_seed": "model.seed"}
# What follows from the method is no cell of its own: two methods never match on it.
OF_THE_METHOD = ("method.",)
LEVEL, ANY = "task.level", "any"

SCHEMA: dict[str, Any] = {
    "says": pl.String,
    "paper": pl.String,
    "measure": pl.String,
    "more": pl.String,
    "less": pl.String,
    "value": pl.Float64,  # the difference
    "low": pl.Float64,
    "high": pl.Float64,
    "margin": pl.Float64,
    "n": pl.Int64,  # facts
    "cells": pl.Int64,  # how many settings both sides have
    "model_seeds": pl.Int64,
    "verdict": pl.String,  # holds, does not hold, undecided, not measured
}


def judged(
    findings: Sequence[Finding], trials: pl.DataFrame, metrics: pl.DataFrame
) -> pl.DataFrame:
    """Return one row a finding, in order; see `SCHEMA`.

    Args:
        findings: of the study.
        trials: as `frames.trials` gives them.
        metrics: as `frames.metrics` gives them.
    """
    rows = [_row(finding, measured(finding, trials, metrics)) for finding in findings]
    return pl.DataFrame(rows, schema=SCHEMA)


def measured(finding: Finding, trials: pl.DataFrame, metrics: pl.DataFrame) -> Contrast | None:
    """Return the difference that the finding is about; None where one side has no result."""
    cells = _cells(finding, trials)
    by = [*cells, *SEEDS]
    apart = _apart(trials)
    labels = _labels(trials, list(dict.fromkeys([*cells, *([apart] if apart else [])])))
    rows = _rows(finding.measure, metrics).join(labels, on="trial")
    sides = [
        _side(rows, trials, side, base, by, apart)
        for side, base in (
            (finding.more, finding.more_from),
            (finding.less, finding.less_from),
        )
    ]
    more, less = sides
    if isinstance(more, pl.DataFrame):
        return contrast(more, less, cells, apart=apart)
    assert isinstance(less, pl.DataFrame), "a study's findings have a side that is a table"
    turned = contrast(less, more, cells, apart=apart)
    return _negated(turned) if turned else None


def _negated(found: Contrast) -> Contrast:
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Contrast(
        value=-found.value,
        low=low,
        high=high,
        n=found.n,
        cells=found.cells,
        model_seeds=found.model_seeds,
    )


def _side(
    rows: pl.DataFrame,
    trials: pl.DataFrame,
    side: Side | float,
    base: Side,
    by: Sequence[str],
    apart: str | None,
) -> pl.DataFrame | float:
    if not isinstance(side, Mapping):
        return side
    found = mean(_where(rows, trials, side), by, apart)
    if not base:
        return found
    return minus(found, mean(_where(rows, trials, base), by, apart), by)


def _apart(trials: pl.DataFrame) -> str | None:
    """Return the setting whose values have no fact in common: levels, unless one is any of them."""
    there = LEVEL in trials.columns and ANY not in trials[LEVEL].to_list()
    return LEVEL if there else None


def _where(rows: pl.DataFrame, trials: pl.DataFrame, side: Side) -> pl.DataFrame:
    kept = [row["trial"] for row in trials.iter_rows(named=True) if _meets(row, side)]
    return rows.filter(pl.col("trial").is_in(kept))


def _meets(row: Mapping[str, Any], side: Side) -> bool:
    return all(
        any(test.holds(_value(row, name)) for test in tests) for name, tests in side.items()
    )


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return a trial's value of a setting; of another method's, None.

    One that is left out of keys at its default has that.
    """
    found = row.get(name)
    if found is not None or not name.startswith("method."):
        return found
    _, method, setting = name.split(".", 2)
    item = declared(METHODS[method]).get(setting) if row["method"] == method else None
    return item.default if item is not None and item.omit_at_default else None


def _rows(measure: str, metrics: pl.DataFrame) -> pl.DataFrame:
    """Return `trial value low high n` of one metric, after the update."""
    probe, name, *parts = measure.split(".")
    hops = [int(part[3:]) for part in parts if part.startswith("hop") and part[3:].isdigit()]
    part = ".".join(part for part in parts if not part.startswith("hop"))
    hop = pl.col("hop") == hops[0] if hops else pl.col("hop").is_null()
    wanted = (
        (pl.col("probe") == probe) & (pl.col("measure") == name) & (pl.col("slice") == part)
    )
    found = ended(metrics).filter(wanted & hop & (pl.col("step") > 0))
    return found.filter(pl.col("value").is_finite()).select(
        "trial", "value", "low", "high", "n"
    )


def _labels(trials: pl.DataFrame, cells: Sequence[str]) -> pl.DataFrame:
    seeds = [
        (pl.col(column) if column in trials.columns else pl.lit(0)).alias(name)
        for name, column in SETTINGS_OF_SEEDS.items()
    ]
    lists = [name for name in cells if isinstance(trials.schema[name], pl.List)]
    table = trials.with_columns(
        pl.col(name).cast(pl.List(pl.String)).list.join(",") for name in lists
    )
    return table.select("trial", *seeds, *cells)


def _cells(finding: Finding, trials: pl.DataFrame) -> list[str]:
    """Return the settings that vary and that the finding does not speak of.

    What follows from those that it names (draws from the scale, say) can't match either.
    """
    named = {name for side in finding.sides for name in side}
    known = [name for name in named if name in trials.columns]
    varied = [
        name
        for name in trials.columns
        if ("." in name and not name.startswith(OF_THE_METHOD))
        and name not in {*named, *SETTINGS_OF_SEEDS.values()}
        and trials[name].n_unique() > 1
    ]
    if not known or not varied:
        return varied
    counts = trials.group_by(known).agg(pl.col(varied).n_unique())
    return [name for name in varied if (counts[name] > 1).any()]


def _row(finding: Finding, found: Contrast | None) -> dict[str, Any]:
    return {
        "says": finding.says,
        "paper": finding.paper,
        "measure": finding.measure,
        "more": _told(finding.more, finding.more_from),
        "less": _told(finding.less, finding.less_from),
        "value": found.value if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "margin": finding.margin,
        "n": found.n if found else None,
        "cells": found.cells if found else 0,
        "model_seeds": found.model_seeds if found else 0,
        "verdict": found.verdict(finding.margin) if found else "not measured",
    }


def _told(side: Side | float, base: Side) -> str:
    if not isinstance(side, Mapping):
        return f"{side:g}"
    text = _conditions(side)
    return f"{text}, minus that of {_conditions(base)}" if base else text


def _conditions(side: Side) -> str:
    return ", ".join(
        f"{name} {' or '.join(str(test) for test in tests)}" for name, tests in side.items()
    )
