"""Distances of probes from gold models in the report: both n, a verdict, what was trained apart."""

import polars as pl

from ksmith.report.gold import gold
from tests.report.test_sets import Row, measured, one_scale, text

ROWS: list[Row] = [
    (0, "gold_divergence", "changed", 0.7, 0.6, 0.8),
    (0, "gold_margin", "changed", 3.0, 2.5, 3.5),
    (1, "gold_divergence", "changed", 0.1234, 0.1, 0.2),
    (1, "gold_noise", "changed", 0.2, 0.1, 0.3),
    (1, "gold_margin", "changed", 0.6, 0.4, 0.9),
    (1, "gold_divergence", "trained", 0.01, 0.0, 0.02),
    (1, "gold_margin", "trained", 2.0, 1.5, 2.5),
    (1, "gold_cka", "layer0.changed", 1.0, 0.9, 1.1),
]


def said(rows: list[Row], trials: pl.DataFrame | None = None) -> str:
    of = one_scale() if trials is None else trials
    table = measured(of, {"rome": rows})
    each = [table.with_columns(probe=pl.lit(name)) for name in ("all", "same_subject")]
    return " ".join(text(gold(pl.concat(each), of, ["rome"], "edit")).split())


def test_each_distance_has_both_numbers_and_a_verdict() -> None:
    found = said(ROWS)
    whole = found.split("Probe by probe")[0]
    before, rome = whole.split(" before ")[1].split(" rome ")
    assert before.split()[-1] == "outside"
    assert "What had to change .123 [.100, .200] n 12 .200 [.100, .300] n 12 .60" in rome
    assert "[.40, .90] n 12 within" in rome
    assert "trained on to keep .010 [.000, .020] n 12 - 2.00 [1.50, 2.50] n 12 outside" in rome
    assert "trained on the changed graph" in found
    assert "same subject, trained" in found.split("Probe by probe")[1]


def test_a_distance_that_was_measured_before_margins_says_so() -> None:
    old = [row for row in ROWS if row[1] != "gold_margin"]
    found = said(old)
    assert "No verdicts" in found and "No verdicts" not in said(ROWS)
    assert not {"within", "outside"} & set(found.split("n counts facts")[1].split())


def test_without_gold_models_there_is_nothing() -> None:
    of = one_scale()
    assert not list(gold(measured(of, {"rome": ROWS[-1:]}), of, ["rome"], "edit"))


def test_few_gold_models_are_told() -> None:
    assert "3 gold models a draw" in said(
        ROWS, one_scale().with_columns(pl.lit(3).alias("task.gold"))
    )
