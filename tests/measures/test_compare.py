"""Paired differences, and pooling over seeds."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from ksmith.measures import paired, pool, with_trained
from ksmith.records import UserError
from tests.measures.rows import Trial, rate


def rows(*successes: int, first: int = 0) -> pl.DataFrame:
    return rate({f"{first + i}.0": [success] for i, success in enumerate(successes)}).rows(1)


def test_difference_on_the_same_facts() -> None:
    found = paired(rows(1, 1, 0, 1), rows(0, 1, 0, 0), "efficacy", "success")
    assert found is not None
    assert (found.value, found.n) == (0.5, 4)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.5 <= found.high


def test_pairing_removes_what_facts_share() -> None:
    easy = [i % 2 for i in range(40)]  # every other fact is hard for both
    better = [1 if i == 0 else success for i, success in enumerate(easy)]
    found = paired(rows(*better), rows(*easy), "efficacy", "success")
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.1  # each alone: about .3


def test_only_facts_of_both_count() -> None:
    found = paired(rows(1, 1, 1), rows(0, 0, first=1), "efficacy", "success")
    assert found is not None
    assert (found.value, found.n) == (1, 2)
    assert paired(rows(1), rows(1, first=5), "efficacy", "success") is None


def test_what_one_method_was_trained_on_is_asked_of_neither() -> None:
    """The editor is wrong about what the unlearner was trained on, right about all else."""

    def near(wrong: int) -> pl.DataFrame:
        trial, sure = Trial(), {"new": (-1.0, 1), "old": (-2.0, 1)}
        for request in ("0.0", "0.1", "0.2"):
            trial.add("efficacy", sure, request=request)
            for i in range(2):
                right = i >= wrong
                said = sure if right else {"new": (-2.0, 1), "old": (-1.0, 1)}
                name = f"{i} near {request}"
                trial.add("neighborhood", said, request=request, set="neighbour", fact=name)
        return trial.rows(1)

    facts = [(0, f"0 near 0.{i}") for i in range(3)]
    unlearner, editor = with_trained(near(0), facts), near(1)
    for a, b in ((unlearner, editor), (editor, unlearner)):
        found = paired(a, b, "neighborhood", "success")
        assert found is not None and (found.value, found.n) == (0.0, 3)
    both = paired(near(0), editor, "neighborhood", "success")
    assert both is not None and both.value == 0.5


def test_no_difference_in_few_facts_is_not_certain() -> None:
    found = paired(rows(1, 0, 1, 0), rows(1, 0, 1, 0), "efficacy", "success")
    assert found is not None
    assert found.value == 0
    assert found.low is not None
    assert found.low < -0.5


def test_before_and_after_of_a_slice() -> None:
    trial = Trial()
    for hop, stored in ((1, True), (2, False)):
        more: dict[str, Any] = {
            "set": "entailed",
            "hop": hop,
            "stored": stored,
            "fact": str(hop),
        }
        question = trial.ask("multi_hop", ["new", "old"], **more)
        trial.answer(0, question, {"new": (-2, 1), "old": (-1, 1)})
        trial.answer(1, question, {"new": (-2, 1), "old": (-1 if stored else -3, 1)})
    both = trial.rows()
    before = both.filter(pl.col("step") == 0)
    gains = {
        part: paired(both, before, "multi_hop", "success", part)
        for part in ("stored", "derived.hop2", "hop1")
    }
    assert {part: gain and gain.value for part, gain in gains.items()} == {
        "stored": 0,
        "derived.hop2": 1,
        "hop1": 0,
    }


def test_a_measure_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no measure 'sucess'; there are success, "):
        paired(rows(1), rows(1), "efficacy", "sucess")


# --- pooling ----------------------------------------------------------------------------------


def trial(value: float, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    return {"method": "rome", "value": value, "n": 20, "low": low, "high": high} | more


def pooled(*trials: dict[str, Any]) -> dict[str, Any]:
    (row,) = pool(pl.DataFrame(trials, infer_schema_length=None), ["method"]).to_dicts()
    return row


def test_one_trial_keeps_its_interval() -> None:
    row = pooled(trial(0.8, 0.7, 0.9))
    assert (row["value"], row["n"], row["low"], row["high"]) == (0.8, 20, 0.7, 0.9)
    assert (row["trials"], row["model_seeds"]) == (1, 1)


def test_one_trial_without_interval() -> None:
    row = pooled(trial(0.8, None, None))
    assert row["low"] is None
    assert row["high"] is None


@pytest.mark.parametrize(("seeds", "covered"), [(1, False), (4, False), (5, True)])
def test_training_variance_needs_five_models(seeds: int, covered: bool) -> None:
    row = pooled(*(trial(0.8, 0.7, 0.9, **{"model.seed": seed}) for seed in range(seeds)))
    assert row["model_seeds"] == seeds
    assert row["training_variance_covered"] is covered
    assert row["n"] == 20  # the same facts, asked of several models


def test_every_model_counts_alike() -> None:
    row = pooled(
        trial(0.0, 0.0, 0.1, **{"model.seed": 0}),
        trial(0.6, 0.5, 0.7, **{"model.seed": 1}),
        trial(0.6, 0.5, 0.7, **{"model.seed": 1}),
    )
    assert row["value"] == pytest.approx(0.3)
    assert row["n"] == 40


def test_a_seed_that_draws_other_requests_has_facts_of_its_own() -> None:
    zipped = [{"seed": seed, "model.seed": seed} for seed in range(5)]
    assert pooled(*(trial(0.8, 0.7, 0.9, **seeds) for seeds in zipped))["n"] == 100
    crossed = [{"seed": i % 2, "model.seed": i // 2} for i in range(10)]
    assert pooled(*(trial(0.8, 0.7, 0.9, **seeds) for seeds in crossed))["n"] == 40


def test_models_that_differ_widen_the_interval() -> None:
    same = pooled(*(trial(0.5, 0.45, 0.55, **{"model.seed": s}) for s in range(6)))
    apart = pooled(*(trial(s / 5, s / 5, s / 5, **{"model.seed": s}) for s in range(6)))
    assert same["low"] <= 0.5 <= same["high"]
    assert apart["low"] < same["low"]
    assert apart["high"] > same["high"]


def test_five_models_cover_what_training_does() -> None:
    """Models that differ as a normal does: percentiles of five alone hold it .8 of the time."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(200, 5))
    table = pl.DataFrame(
        {"value": values.ravel(), "of": np.repeat(np.arange(200), 5)}
    ).with_columns(
        pl.lit(20).alias("n"),
        low="value",
        high="value",
        **{"model.seed": pl.int_range(1_000) % 5},
    )
    found = pool(table, ["of"])
    inside = found.select(((pl.col("low") <= 0) & (pl.col("high") >= 0)).mean()).item()
    assert inside >= 0.92


def test_pooled_ends_stay_within_the_measure() -> None:
    trials = [trial(v, v, 1.0, **{"model.seed": s}) for s, v in enumerate((0.2, 0.9, 1.0))]
    table = pl.DataFrame(trials).with_columns(measure=pl.lit("success"))
    row = pool(table, ["measure"]).row(0, named=True)
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_a_rate_stays_a_rate() -> None:
    row = pooled(*(trial(1.0, 0.8, 1.0, seed=s) for s in range(3)))
    assert row["high"] == 1
    assert 0.8 < row["low"] < 1


def test_order_of_rows_changes_nothing() -> None:
    trials = [trial(s / 9, s / 9, 1.0, **{"model.seed": s % 3}) for s in range(9)]
    assert pooled(*trials) == pooled(*trials[::-1])


def test_a_rate_near_its_bound_lies_within_its_interval_however_many_seeds() -> None:
    """Nine in 180 facts of thirty seeds: by the binomial alone [.023, .093]."""
    of = {0: (0.0, 0.0, 0.46), 1: (1 / 6, 0.004, 0.64), 2: (1 / 3, 0.04, 0.78)}
    rights = [1] * 5 + [2] * 2 + [0] * 23
    row = pooled(*(trial(*of[k], seed=s) for s, k in enumerate(rights)))
    assert row["value"] == pytest.approx(0.05)
    assert row["low"] < 0.023
    assert 0.093 < row["high"] < 0.15


def test_ratios_to_the_margin_are_pooled_by_factors() -> None:
    head = {"probe": "memory", "slice": "forget", "n": 10}
    trials = [
        head
        | {"measure": measure, "model.seed": seed, "value": value}
        | {"low": low, "high": high}
        for measure in ("ks_margin", "ks_margin_gold", "ks")
        for seed, value, low, high in ((0, 1.0, 0.1, 10.0), (1, 4.0, 0.4, 40.0))
    ]
    found = pool(pl.DataFrame(trials), ["probe", "measure", "slice"])
    ratio = found.filter(measure="ks_margin").row(0, named=True)
    assert ratio["value"] == pytest.approx(2.0)
    assert ratio["low"] * ratio["high"] == pytest.approx(4.0, rel=0.3)  # even in factors
    assert 0 < ratio["low"] < 0.4
    assert found.filter(measure="ks_margin_gold")["value"][0] == pytest.approx(2.0)
    assert found.filter(measure="ks")["value"][0] == 2.5
    one = pool(pl.DataFrame(trials[:1]), ["probe", "measure", "slice"]).row(0, named=True)
    assert (one["value"], one["low"], one["high"]) == (1.0, 0.1, 10.0)
