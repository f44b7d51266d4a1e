"""Differences between trials: by hand, by simulation, and what is said of them."""

import math

import numpy as np
import polars as pl
import pytest

from ksmith.measures.contrast import Contrast, contrast, mean, minus

BASE = {"seed": 0, "graph_seed": 0, "model_seed": 0}


def rows(*values: tuple[str, float, float, float], **seeds: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"level": level, "value": value, "low": low, "high": high, "n": 20, **BASE, **seeds}
            for level, value, low, high in values
        ]
    )


def test_the_interval_of_a_difference_by_hand() -> None:
    # Newcombe's example (b): 9/10 against 3/10 by Wilson's limits gives .1705 to .8090.
    found = minus(rows(("a", 0.9, 0.5958, 0.9821)), rows(("a", 0.3, 0.1078, 0.6032)), ["level"])
    row = found.row(0, named=True)
    assert row["value"] == pytest.approx(0.6)
    assert row["low"] == pytest.approx(0.1705, abs=2e-4)
    assert row["high"] == pytest.approx(0.8090, abs=2e-4)


def test_a_mean_over_different_facts_narrows_as_it_should() -> None:
    found = mean(
        rows(*[(x, 0.5, 0.3, 0.7) for x in "abcd"]).with_columns(all=0), ["all"], "level"
    )
    row = found.row(0, named=True)
    assert (row["value"], row["n"]) == (0.5, 80)
    assert (row["low"], row["high"]) == pytest.approx((0.4, 0.6))


def test_several_answers_about_the_same_facts_are_no_more_certain_than_one() -> None:
    found = mean(
        rows(*[(x, 0.5, 0.3, 0.7) for x in "aaaa"], ("b", 0.9, 0.8, 1.0)), [*BASE], "level"
    )
    row = found.row(0, named=True)
    assert (row["value"], row["n"]) == (pytest.approx(0.58), 40)
    down = math.hypot(0.8 * 0.2, 0.2 * 0.1)
    assert (row["low"], row["high"]) == pytest.approx((0.58 - down, 0.58 + down))


def test_cells_of_the_same_facts_add_no_certainty_to_a_contrast() -> None:
    more, less = (rows(*[(x, v, v - 0.1, v + 0.1) for x in "abcd"]) for v in (0.6, 0.5))
    same = contrast(more, less, ["level"])
    apart = contrast(more, less, ["level"], apart="level")
    assert same is not None and apart is not None
    assert same.low is not None and apart.low is not None
    one = math.hypot(0.1, 0.1)
    assert 0.1 - same.low == pytest.approx(one)
    assert 0.1 - apart.low == pytest.approx(one / 2)
    assert (same.n, apart.n) == (20, 80)


def test_cells_without_a_partner_do_not_count() -> None:
    found = contrast(
        rows(("root", 0.9, 0.8, 1.0), ("leaf", 0.2, 0.1, 0.3)),
        rows(("leaf", 0.1, 0.0, 0.2)),
        ["level"],
    )
    assert found is not None
    assert (found.value, found.cells, found.n) == (pytest.approx(0.1), 1, 20)
    assert contrast(rows(("a", 1, 1, 1)), rows(("b", 1, 1, 1)), ["level"]) is None


def test_a_number_is_compared_without_an_interval_of_its_own() -> None:
    found = contrast(rows(("a", 0.95, 0.92, 0.99)), 0.9, ["level"])
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.02, 0.09))
    assert found.verdict() == "holds"
    assert found.verdict(margin=0.03) == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.2, "holds"),
        (-0.1, 0.2, "undecided"),
        (-0.2, -0.1, "does not hold"),
        (-0.2, 0.0, "does not hold"),
        (None, None, "undecided"),
    ],
)
def test_verdicts(low: float | None, high: float | None, verdict: str) -> None:
    given = Contrast(value=0.0, low=low, high=high, n=9, cells=1, model_seeds=1)
    assert given.verdict() == verdict


def test_a_number_without_an_interval_leaves_the_claim_undecided() -> None:
    lone = pl.DataFrame(
        {"level": ["a"], "value": [1.0], "low": [None], "high": [None], "n": [1]}
        | {name: [0] for name in BASE},
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )
    found = contrast(lone, rows(("a", 0.1, 0.0, 0.2)), ["level"])
    assert found is not None
    assert (found.low, found.verdict()) == (None, "undecided")


def test_several_models_are_resampled() -> None:
    more = pl.concat(
        [rows(("a", v, v, v), model_seed=i) for i, v in enumerate((0.2, 0.4, 0.9))]
    )
    less = pl.concat([rows(("a", 0.1, 0.1, 0.1), model_seed=i) for i in range(3)])
    found = contrast(more, less, ["level"])
    assert found is not None
    assert found.model_seeds == 3
    assert found.low is not None
    assert found.high is not None
    # Exact numbers of three models that disagree are no exact difference.
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.25 < 0.7 < found.high
    assert found.n == 20  # of the same requests


def test_each_seed_that_draws_requests_has_facts_of_its_own() -> None:
    more, less = (
        pl.concat([rows(("a", v, v, v), seed=i, model_seed=i) for i in range(3)])
        for v in (0.5, 0.2)
    )
    found = contrast(more, less, ["level"])
    assert found is not None and (found.n, found.model_seeds) == (60, 3)


def test_the_interval_covers_what_it_says() -> None:
    """Differences of rates of 25 facts, true difference .2: at least 93 % of 400 intervals."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        sides = [_wilson(int(generator.binomial(25, p)), 25) for p in (0.7, 0.5)]
        more, less = (rows(("a", *side)) for side in sides)
        row = minus(more, less, ["level"]).row(0, named=True)
        hits += row["low"] <= 0.2 <= row["high"]
    assert hits / 400 > 0.93


def _wilson(k: int, n: int) -> tuple[float, float, float]:
    p, z = k / n, 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, middle - half, middle + half
