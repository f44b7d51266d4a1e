"""Distances from gold models in what is said of sets, against sums by hand."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from ksmith.measures import memory_gold
from ksmith.measures.memory_gold import SCHEMA, Draw, divergence
from ksmith.records import Metric

HALF, MOST = [math.log(0.5), math.log(0.5)], [math.log(0.8), math.log(0.2)]
KL = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)  # of HALF from MOST
BACK = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)


def test_divergence_by_hand() -> None:
    one, other = np.array([HALF, HALF, MOST]), np.array([MOST, HALF, HALF])
    assert divergence(one, other).tolist() == pytest.approx([KL, 0, BACK])


def test_what_gold_rules_out_adds_nothing_and_what_the_model_does_is_without_end() -> None:
    sure, half = np.array([[0.0, -math.inf]]), np.array([HALF])
    assert divergence(sure, half)[0] == pytest.approx(math.log(2))
    assert divergence(half, sure)[0] == math.inf
    assert np.isnan(divergence(half, np.full((1, 2), np.nan))[0])


def statements(sets: tuple[str, ...]) -> dict[str, list[Any]]:
    size = range(len(sets))
    names = ("fact", "subject", "prompt", "answer")
    columns: dict[str, list[Any]] = {name: [f"{name} {i}" for i in size] for name in names}
    return columns | {
        "draw": [0 for _ in size],
        "set": list(sets),
        "wording": ["seen" for _ in size],
    }


def table(sets: tuple[str, ...], golds: int = 2) -> pl.DataFrame:
    """Return a table where one answer of each statement has two tokens, the rest one."""
    counts = np.array([2] + [1] * (len(sets) - 1))
    half, most = (np.array([x] * int(counts.sum())) for x in (HALF, MOST))
    mixed = half.copy()
    mixed[0] = MOST
    models = [half, mixed]
    return Draw(statements(sets), counts, models, [half, most, half][:golds]).table()


def named(found: list[Metric]) -> dict[tuple[int, str], Metric]:
    return {(metric.step, metric.name): metric for metric in found}


def test_the_mean_is_over_tokens_then_over_facts_and_kept_by_pair() -> None:
    far = table(("forget", "forget", "retain"))
    assert dict(far.schema) == SCHEMA
    assert far.height == 3 * (2 * 2 + 2)
    found = named(memory_gold.answers(far, 0))
    # Before: nothing from the first gold model, KL(most || half) from the second.
    assert found[0, "memory.kl.forget"].value == pytest.approx(BACK / 2)
    # After: of one of three places the second gold model is told apart no more, the first is.
    first, second = (KL / 2 + 0) / 2, (BACK / 2 + BACK) / 2
    after = found[1, "memory.kl.forget"]
    assert after.value == pytest.approx((first + second) / 2) and after.n == 2
    assert found[1, "memory.kl_gold.forget"].value == pytest.approx((KL + BACK) / 2)
    # The margin is that of the gold model that is farther from the other: KL > BACK.
    margin = found[1, "memory.kl_margin.forget"]
    assert margin.value == pytest.approx(after.value / max(KL, BACK))
    assert found[1, "memory.kl.retain"].n == 1
    assert found[1, "memory.kl.retain"].low is None  # of one fact there is no interval
    assert "memory.kl.holdout" not in {name for _, name in found}


def test_with_one_gold_model_there_is_a_distance_and_no_margin() -> None:
    found = named(memory_gold.answers(table(("forget", "forget"), golds=1), 0))
    assert set(found) == {(0, "memory.kl.forget"), (1, "memory.kl.forget")}
    assert found[0, "memory.kl.forget"].value == 0


def test_a_model_that_broke_has_no_distance() -> None:
    far = table(("forget", "forget", "forget"))
    broken = far.with_columns(
        kl=pl.when((pl.col("step") == 1) & (pl.col("fact") == "fact 0"))
        .then(None)
        .otherwise("kl")
    )
    found = named(memory_gold.answers(broken, 0))
    # The first statement alone was said otherwise; it counts no more.
    after, before = (found[step, "memory.kl.forget"] for step in (1, 0))
    assert after.value == pytest.approx(before.value)
    assert (after.n, before.n) == (2, 3)


def test_an_interval_holds_what_facts_differ_by() -> None:
    generator = np.random.default_rng(0)
    sets = ("forget",) * 40
    models = [generator.normal(size=(40, 5)) * spread for spread in (3, 1, 1, 1, 1)]
    logp = [x - np.log(np.exp(x).sum(1, keepdims=True)) for x in models]
    far = Draw(statements(sets), np.ones(40, dtype=int), logp[:2], logp[2:]).table()
    found = named(memory_gold.answers(far, 0))
    before, after = (found[step, "memory.kl_margin.forget"] for step in (0, 1))
    assert before.low is not None and before.low > 1  # three times as wide: outside
    assert after.low is not None and after.high is not None and after.low < 1 < after.high
    assert before.low < before.value and after.n == 40
