"""Distances from gold models in what is said of sets, against sums by hand."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ksmith.measures import memory, memory_gold
from ksmith.measures.memory_gold import SCHEMA, Draw, divergence
from ksmith.records import Metric

Floats = NDArray[np.float64]

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


# --- forget quality: whether its interval holds what it says -----------------------------------


def said(ratios: Floats, step: int | None, gold: int | None = None) -> pl.DataFrame:
    """Return one row a fact of a forget set with the logarithms of truth ratios."""
    size = len(ratios)
    columns: dict[str, list[Any]] = statements(("forget",) * size)
    columns |= {"logp": [[0.0]] * size, "wrong_logp": [[x] for x in ratios.tolist()]}
    return memory.frame(columns, step=step, gold=gold)


def quality(shift: float, facts: int, golds: int, seed: int) -> dict[tuple[int, str], Metric]:
    """Return what is said of a model whose ratios are like those of gold models, but shifted."""
    generator = np.random.default_rng(seed)
    models = generator.normal(size=facts) + generator.normal(size=(1 + golds, facts))
    models[0] += shift
    table = pl.concat([said(models[0], step) for step in (0, 1)])
    standard = [said(model, None, gold) for gold, model in enumerate(models[1:])]
    return named(memory_gold.quality(table, standard, seed))


@pytest.mark.parametrize(
    ("facts", "shift", "apart"),
    # Of normal ratios, 1 wide beside what models share: D = 2 Phi(shift / (2 sqrt 2)) - 1.
    [(7, 0.0, 0.0), (28, 0.0, 0.0), (28, 2.38, 0.6)],
)
def test_the_interval_of_forget_quality_holds_the_distance_of_all_facts(
    facts: int, shift: float, apart: float
) -> None:
    tries, held, width = 8, {"ks": 0, "ks_gold": 0}, 0.0
    for seed in range(tries):
        found = quality(shift, facts, 3, seed)
        for name, true in (("ks", apart), ("ks_gold", 0.0)):
            metric = found[1, f"memory.{name}.forget"]
            assert metric.low is not None and metric.high is not None
            assert metric.low <= metric.value <= metric.high
            held[name] += metric.low <= true <= metric.high
            width += (metric.high - metric.low) / (2 * tries)
    assert min(held.values()) >= tries - 1
    assert width < 0.9  # and it says something


def test_a_gold_model_that_is_held_to_the_others_is_as_undecided_as_the_model() -> None:
    found = [quality(0.0, 7, 5, seed) for seed in range(4)]
    model, held = (
        [one[1, f"memory.{name}.forget"] for one in found]
        for name in ("ks_margin", "ks_margin_gold")
    )
    ends = [(metric.low, metric.high) for metric in held]
    assert all(low is not None and high is not None and low < 1 < high for low, high in ends)
    wide = [
        np.mean([math.log((x.high or 1) / (x.low or 1)) for x in those])
        for those in (model, held)
    ]
    assert wide[1] == pytest.approx(wide[0], rel=0.35)


def test_samples_that_are_the_same_or_have_nothing_in_common_keep_their_limits() -> None:
    same = np.arange(4.0)
    table = pl.concat([said(same + 9, 0), said(same, 1)])
    standard = [said(same, None, gold) for gold in range(3)]
    found = named(memory_gold.quality(table, standard, 0))
    far, near = (found[step, "memory.ks.forget"] for step in (0, 1))
    limit = 1 - 0.025 ** (1 / 4)  # four subjects, none of which shows otherwise
    assert (far.value, far.high, near.value, near.low) == (1, 1, 0, 0)
    assert far.low == pytest.approx(1 - limit) and near.high == pytest.approx(limit)
