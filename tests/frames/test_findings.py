"""Findings against made-up trials: what is matched with what."""

import itertools
from typing import Any

import polars as pl

from ksmith.frames.findings import judged
from ksmith.records import derived_seed
from ksmith.settings import METHODS, names
from ksmith.study import Finding, findings_in

RISE = {("edit", 1): 0.1, ("edit", 10): 0.2, ("unlearn", 1): 0.1, ("unlearn", 10): 0.6}


def lab() -> tuple[pl.DataFrame, pl.DataFrame]:
    trials: list[dict[str, Any]] = []
    metrics: list[dict[str, Any]] = []
    kinds, scales, levels = ("edit", "unlearn"), (1, 10), ("root", "leaf")
    for kind, scale, level in itertools.product(kinds, scales, levels):
        method = "memit" if kind == "edit" else "npo"
        trial = f"{derived_seed(0, kind, scale, level)}"
        trials.append(
            {
                "trial": trial,
                "method": method,
                "task.kind": kind,
                "task.method": method,
                "task.scale": scale,
                "task.level": level,
                "task.draws": 20 if scale == 1 else 4,
                "method.memit.layers": [0, 1] if method == "memit" else None,
                "method.npo.beta": None if method == "memit" else 0.1,
                "seed": 0,
            }
        )
        value = RISE[kind, scale] + (0.05 if level == "leaf" else 0)
        for step, shift in ((0, 0.5), (1, 0.0)):
            metrics.append(
                {"trial": trial, "step": step, "probe": "spread", "measure": "ccr"}
                | {"slice": "", "hop": None, "value": value + shift, "n": 20}
                | {"low": value + shift - 0.02, "high": value + shift + 0.02}
            )
    frame = pl.DataFrame(metrics, schema_overrides={"hop": pl.Int64})
    return pl.DataFrame(trials, infer_schema_length=None), frame


def finding(text: str, measure: str = "spread.ccr") -> Finding:
    head = f'[[finding]]\nsays = "it does"\nmeasure = "{measure}"\n'
    (found,) = findings_in(head + text, names(METHODS))
    return found


def judge(text: str, measure: str = "spread.ccr") -> dict[str, Any]:
    return judged([finding(text, measure)], *lab()).row(0, named=True)


def test_trials_are_matched_on_what_is_not_named() -> None:
    row = judge('more = { "task.method" = "npo" }\nless = { "task.method" = "memit" }\n')
    # Draws follow from the scale, settings of a method from the method: 2 scales x 2 levels.
    assert row["cells"] == 4
    assert round(row["value"], 9) == 0.2
    assert (row["verdict"], row["n"]) == ("holds", 40)  # of each level 20, asked twice
    assert row["more"] == 'task.method = "npo"'


def test_a_rise_against_a_rise() -> None:
    text = (
        'more = { "task.kind" = "unlearn", "task.scale" = 10 }\n'
        'more_from = { "task.kind" = "unlearn", "task.scale" = 1 }\n'
        'less = { "task.kind" = "edit", "task.scale" = 10 }\n'
        'less_from = { "task.kind" = "edit", "task.scale" = 1 }\n'
    )
    row = judge(text)
    # task.method follows from what is named, so the two methods do not keep apart.
    assert round(row["value"], 9) == 0.4
    assert (row["cells"], row["verdict"]) == (2, "holds")
    assert "minus that of" in row["more"]


def test_a_claim_that_fails_is_said_to_fail() -> None:
    row = judge('more = { "task.level" = "root" }\nless = { "task.level" = "leaf" }\n')
    assert (row["verdict"], round(row["value"], 9)) == ("does not hold", -0.05)
    row = judge('more = 0.9\nless = { "task.kind" = "edit" }\n')
    assert (row["verdict"], round(row["value"], 9)) == ("holds", 0.725)
    assert row["low"] < row["value"] < row["high"]


def test_conditions_on_a_methods_own_settings() -> None:
    row = judge('more = { "method.npo.beta" = 0.1 }\nless = { "task.method" = "memit" }\n')
    assert row["cells"] == 4
    left_out = '{ "method.memit.keep" = "essence" }'
    row = judge(f'more = {{ "task.method" = "npo" }}\nless = {left_out}\n')  # at its default
    assert row["cells"] == 4
    row = judge('more = { "method.rome.lr" = 0.2 }\nless = 0.1\n')
    assert (row["verdict"], row["value"]) == ("not measured", None)


def test_what_nobody_measured() -> None:
    row = judge('more = { "task.kind" = "edit" }\nless = 0.1\n', "spread.rr.known.hop2")
    assert (row["verdict"], row["cells"], row["n"]) == ("not measured", 0, None)
