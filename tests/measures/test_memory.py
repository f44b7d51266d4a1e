"""Forget, retain and holdout sets from made-up numbers of tokens to metrics."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from ksmith.measures import SCHEMA, memory, memory_models, metrics
from ksmith.measures.memory_table import JUDGED, MEMORY
from ksmith.records import Metric

Row = tuple[str, float, float]  # set, p of the answer's one token, p of the wrong answers


def rows(
    said: Sequence[Row],
    step: int | None = 1,
    gold: int | None = None,
    *,
    draw: int = 0,
    texts: Sequence[str] = (),
    wording: str = "seen",
) -> pl.DataFrame:
    """Return a row a fact, whose answer is one token."""
    size = len(said)
    columns: dict[str, list[Any]] = {
        "draw": [draw] * size,
        "set": [name for name, _, _ in said],
        "fact": [f"fact {name} {i}" for i, (name, _, _) in enumerate(said)],
        "subject": [f"subject {name} {i}" for i, (name, _, _) in enumerate(said)],
        "wording": [wording] * size,
        "prompt": [f"prompt {i}" for i in range(size)],
        "answer": ["Oslo"] * size,
        "names": [["Oslo", "Christiania"]] * size,
        "logp": [[math.log(p)] for _, p, _ in said],
        "hit": [[p > 0.5] for _, p, _ in said],
        "mean": [[-1.0]] * size,
        "std": [[1.0]] * size,
        "wrong": [["Bergen"]] * size,
        "wrong_logp": [[math.log(p)] for _, _, p in said],
    }
    if texts:
        columns["generated"] = list(texts)
    return memory.frame(columns, step=step, gold=gold)


def named(found: Sequence[Metric]) -> dict[tuple[int, str], Metric]:
    return {(metric.step, metric.name): metric for metric in found}


def of_statements(table: pl.DataFrame) -> dict[tuple[int, str], Metric]:
    """Return the means over facts, as `metrics.metrics` gives them beside all others."""
    return named(metrics(pl.DataFrame(schema=SCHEMA), 0, sets=table))


def test_means_by_hand() -> None:
    said = [("forget", 0.2, 0.4), ("forget", 0.8, 0.2), ("retain", 0.9, 0.3)]
    found = of_statements(rows(said, texts=["to Oslo", "Bergen", "Christiania"]))
    value = {name: metric.value for (_, name), metric in found.items()}
    assert value["memory.probability.forget"] == pytest.approx(0.5)
    assert value["memory.probability.retain"] == pytest.approx(0.9)
    assert value["memory.truth_ratio.forget"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert value["memory.truth_ratio.retain"] == pytest.approx(1 - 1 / 3)
    assert value["memory.truth_ratio_prob_mean.forget"] == pytest.approx((1 / 3 + 4 / 5) / 2)
    assert value["memory.extraction_strength.forget"] == 0.5
    assert value["memory.rouge_recall.forget"] == 0.5
    assert value["memory.rouge_f1.forget"] == pytest.approx(1 / 3)
    assert value["memory.kfr_exact.forget"] == 0.5
    assert value["memory.krr_exact.retain"] == 1  # by an alias
    assert "memory.krr_exact.forget" not in value
    one = found[1, "memory.probability.forget"]
    assert one.n == 2 and one.low is not None and one.high is not None


def test_wordings_are_within_their_fact() -> None:
    table = pl.concat(
        [
            rows([("forget", 0.2, 0.4), ("forget", 0.6, 0.4)]),
            rows([("forget", 0.4, 0.4)], wording="unseen"),
        ]
    )
    found = of_statements(table)
    assert found[1, "memory.probability.forget"].value == pytest.approx((0.3 + 0.6) / 2)
    assert found[1, "memory.probability.forget"].n == 2
    assert found[1, "memory.probability.forget.unseen"].value == pytest.approx(0.4)


def test_what_was_known_before_is_a_slice_of_what_is_to_be_forgotten() -> None:
    table = rows([("forget", 0.2, 0.4), ("forget", 0.6, 0.4), ("retain", 0.9, 0.4)])
    knew = pl.DataFrame({"draw": [0, 0], "fact": ["fact forget 1", "fact retain 2"]})
    knew = knew.cast({"draw": pl.Int32})
    found = memory.facts(table, knew).filter(measure="probability", slice="known.forget")
    assert found["value"].to_list() == pytest.approx([0.6])


def test_the_ratio_of_a_fact_is_of_words_not_trained_on_where_there_are_any() -> None:
    both = [
        rows([("forget", 0.2, 0.4), ("forget", 0.8, 0.4)]),
        rows([("forget", 0.4, 0.1)], wording="unseen"),
    ]
    assert memory.ratios(pl.concat(both))["ratio"].to_list() == pytest.approx([1 / 4, 1 / 2])


def test_what_no_text_was_written_for_is_absent_and_utility_says_of_what_there_is() -> None:
    table = rows([("retain", 0.5, 0.25), ("retain", 0.5, 0.25)])
    assert not [name for _, name in of_statements(table) if "rouge" in name or "rr_" in name]
    found = named(memory_models.metrics(table, 0))
    # Two parts, .5 and .5; with a text that is all wrong the third is 0, and so is the mean.
    assert found[1, "memory.model_utility.retain"].value == pytest.approx(0.5)
    table = rows([("retain", 0.5, 0.25)] * 2, texts=["Bergen"] * 2)
    assert named(memory_models.metrics(table, 0))[1, "memory.model_utility.retain"].value == 0


def test_what_ends_an_answer_counts_where_public_code_counts_it() -> None:
    """In losses and what is made of them; of words that are hit or least probable it is none."""
    said = [("forget", 0.5, 0.4), ("holdout", 0.5, 0.4)]
    table = rows(said).with_columns(
        logp=pl.lit([math.log(0.5), math.log(0.5), math.log(0.02)], pl.List(pl.Float32)),
        hit=pl.lit([False, True, False]),
        mean=pl.lit([-1.0, -1.0, -1.0], pl.List(pl.Float32)),
        std=pl.lit([1.0, 1.0, 1.0], pl.List(pl.Float32)),
    )
    ended = table.with_columns(ended=True)
    value = {name: m.value for (_, name), m in of_statements(ended).items()}
    mean = (0.5 * 0.5 * 0.02) ** (1 / 3)
    assert value["memory.probability.forget"] == pytest.approx(mean)
    assert value["memory.truth_ratio.forget"] == pytest.approx(mean / 0.4)
    assert value["memory.extraction_strength.forget"] == pytest.approx(1 / 2)
    assert value["memory.exact_memorisation.forget"] == pytest.approx(1 / 2)
    assert value["memory.ends.forget"] == 0
    found = memory.scores(ended, ended).row(0, named=True)
    assert found["loss"] == pytest.approx(-math.log(mean))
    assert found["zlib"] == pytest.approx(-math.log(mean) / len(zlib.compress(b"Oslo")))
    assert found["reference"] == pytest.approx(0)
    assert found["min_k"] == pytest.approx(-math.log(0.5))
    assert found["min_k_plus"] == pytest.approx(-(math.log(0.5) + 1))
    # Without the mark the third token is a word like the others.
    value = {name: m.value for (_, name), m in of_statements(table).items()}
    assert value["memory.extraction_strength.forget"] == 0
    assert value["memory.exact_memorisation.forget"] == pytest.approx(1 / 3)
    assert "memory.ends.forget" not in value
    assert memory.scores(table)["min_k"][0] == pytest.approx(-math.log(0.02))


FORGET = [("forget", 0.9, 0.1), ("forget", 0.3, 0.3), ("forget", 0.1, 0.2)]
HOLDOUT = [("holdout", 0.3, 0.2), ("holdout", 0.05, 0.2)]


def test_membership_by_hand() -> None:
    before, after = rows([*FORGET, *HOLDOUT], 0), rows([*FORGET, *HOLDOUT], 1)
    found = named(memory_models.metrics(pl.concat([before, after]), 0))
    # .9 beats both, .3 ties with one and beats the other, .1 beats one: 4.5 of 6.
    for step in (0, 1):
        area = found[step, "memory.auc_loss.forget"]
        assert area.value == pytest.approx(4.5 / 6)
        assert area.n == 2 and area.low is not None and area.low < area.value
    assert found[1, "memory.facts.forget"].value == 3
    assert found[1, "memory.facts.holdout"].value == 2
    assert area.n == min(found[1, f"memory.facts.{name}"].n for name in ("forget", "holdout"))
    # Nothing moved since before the update: no loss fell more than another.
    assert found[1, "memory.auc_reference.forget"].value == 0.5
    assert (0, "memory.auc_reference.forget") not in found
    assert not [name for _, name in found if "gradient" in name or "privleak" in name]


def test_draws_are_compared_within_their_own_model() -> None:
    first = rows([("forget", 0.6, 0.1), ("holdout", 0.5, 0.1)], draw=0)
    # The second draw's model says everything with less: no pair across the two may count.
    second = rows([("forget", 0.01, 0.1), ("holdout", 0.005, 0.1)], draw=1)
    found = named(memory_models.metrics(pl.concat([first, second]), 0))
    assert found[1, "memory.auc_loss.forget"].value == 1


def test_a_model_that_broke_is_dropped_and_counted() -> None:
    table = rows([*FORGET, *HOLDOUT])
    broken = pl.when(pl.col("fact") == "fact forget 0").then([float("nan")]).otherwise("logp")
    table = table.with_columns(logp=broken.cast(pl.List(pl.Float32)))
    found = named(memory_models.metrics(table, 0))
    assert found[1, "memory.auc_loss.forget"].value == pytest.approx(2.5 / 4)
    assert found[1, "memory.facts.forget.broken"].value == 1
    assert found[1, "memory.facts.holdout.broken"].value == 0


def golds(*said: Sequence[Row]) -> list[pl.DataFrame]:
    return [rows(one, None, number) for number, one in enumerate(said)]


def test_a_model_that_is_the_gold_model_is_no_distance_from_it() -> None:
    said = [*FORGET, *HOLDOUT]
    table = pl.concat([rows(said, 0), rows(said, 1), *golds(said, said)])
    found = named(memory_models.metrics(table, 0))
    assert found[1, "memory.ks.forget"].value == 0
    assert found[1, "memory.ks_gold.forget"].value == 0
    assert found[1, "memory.ks_p.forget"].value == 1
    assert found[1, "memory.ks_log10_p.forget"].value == 0
    assert found[1, "memory.privleak.forget"].value == 0
    assert found[1, "memory.privleak_gold.forget"].value == 0


def test_privleak_of_members_that_can_all_be_told_has_the_ends_of_the_area() -> None:
    all_told = [("forget", 0.9, 0.1)] * 4 + [("holdout", 0.1 * i, 0.2) for i in range(1, 5)]
    some = [("forget", 0.25, 0.1)] * 4 + all_told[4:]
    fewer = [("forget", 0.15, 0.1)] * 4 + all_told[4:]
    table = pl.concat([rows(fewer, 0), rows(all_told, 1), *golds(some, fewer)])
    found = named(memory_models.metrics(table, 0))
    area = found[1, "memory.auc_min_k.forget"]
    assert (area.value, area.high) == (1, 1) and area.low is not None and 0 < area.low < 0.6
    leak = found[1, "memory.privleak.forget"]
    gold = (1 / 2 + 1 / 4) / 2
    end = 100 * (gold - area.low) / (1 - gold)
    assert leak.value == leak.low == -100  # whatever the area of gold models is
    assert leak.high is not None and leak.high >= end
    # Inside of the limits the area may be that of a gold model, whose own size is 0.
    size = found[1, "memory.privleak_margin.forget"]
    assert size.low is not None and size.low < 1 < size.value


def test_privleak_has_the_limits_of_gold_models_too() -> None:
    none = [("forget", 0.1, 0.1)] * 3 + [("holdout", 0.3, 0.2)] * 3
    half = [("forget", 0.3, 0.1)] * 3 + none[3:]
    table = pl.concat([rows(none, 0), rows(half, 1), *golds(none, none)])
    leak = named(memory_models.metrics(table, 0))[1, "memory.privleak.forget"]
    assert leak.value == -50 and leak.high is not None and leak.high > 0
    assert leak.low == -50


def test_forget_quality_by_hand() -> None:
    far = [("forget", 0.9, 0.001), ("forget", 0.9, 0.002), *FORGET[2:], *HOLDOUT]
    table = pl.concat(
        [rows(far, 0), rows([*FORGET, *HOLDOUT], 1), *golds([*FORGET, *HOLDOUT], far)]
    )
    found = named(memory_models.metrics(table, 0))
    # Ratios 1/9, 1, 2 beside 1/900, 1/450, 2: two thirds of the one lie below all of the other.
    assert found[1, "memory.ks_gold.forget"].value == pytest.approx(2 / 3)
    assert found[1, "memory.ks.forget"].value == pytest.approx((0 + 2 / 3) / 2)
    assert found[0, "memory.ks.forget"].value == pytest.approx((2 / 3 + 0) / 2)
    assert found[1, "memory.ks_margin.forget"].value == pytest.approx((1 / 3) / (2 / 3))


def test_with_one_gold_model_there_is_a_distance_and_no_margin() -> None:
    said = [*FORGET, *HOLDOUT]
    found = named(
        memory_models.metrics(pl.concat([rows(said, 0), rows(said, 1), *golds(said)]), 0)
    )
    told = {name for _, name in found if "ks" in name or "privleak" in name}
    names = ("ks", "ks_log10_p", "ks_p", "privleak")
    assert told == {f"memory.{name}.forget" for name in names}


def test_gold_models_are_held_to_the_others_where_there_are_three() -> None:
    sets = [[("forget", p, 0.1), *FORGET[1:], *HOLDOUT] for p in (0.9, 0.03, 0.2)]
    models = [rows(sets[0], 0), rows(sets[0], 1)]
    found = named(memory_models.metrics(pl.concat([*models, *golds(*sets)]), 0))
    # Ratios 1/9, 10/3 and 1/2 beside 1 and 2: each is a third from each of the others.
    held = found[1, "memory.ks_margin_gold.forget"]
    assert held.value == pytest.approx(1) and held.n == 3
    assert (0, "memory.ks_margin_gold.forget") not in found
    two = named(memory_models.metrics(pl.concat([*models, *golds(*sets[:2])]), 0))
    assert not [name for _, name in two if "margin_gold" in name]


def test_without_gold_models_nothing_is_said_about_them() -> None:
    found = named(memory_models.metrics(rows([*FORGET, *HOLDOUT]), 0))
    assert not [name for _, name in found if "ks" in name or "privleak" in name]


def test_every_metric_is_in_the_table_and_inside_of_its_bounds() -> None:
    said = [*FORGET, *HOLDOUT, ("retain", 0.5, 0.2), ("retain", 0.7, 0.2)]
    other = [(name, p / (5 if name == "forget" else 1), wrong) for name, p, wrong in said]
    models = [rows(said, 0, texts=["Oslo"] * 7), rows(other, 1, texts=["x"] * 7)]
    third = [(name, p / (2 if name == "forget" else 1), wrong) for name, p, wrong in said]
    table = pl.concat([*models, *golds(said, other, third)])
    found = [*memory_models.metrics(table, 0), *of_statements(table).values()]
    elsewhere = {"auc_gradient"}
    # See test_memory_gold.py.
    elsewhere |= {f"kl{end}" for end in ("", "_gold", "_margin", "_margin_gold")}
    elsewhere |= {"ends"}  # see above
    # And what is said once all is written: see test_judged.py.
    elsewhere |= {"perplexity", "linguistic_score", "contradiction", "no_entity", "judge_cut"}
    elsewhere |= {f"{name}{end}" for name in JUDGED for end in ("", "_words")}
    assert {metric.measure for metric in found} == set(MEMORY) - elsewhere
    for metric in found:
        row = MEMORY[metric.measure]
        assert row.low is None or metric.value >= row.low, metric
        assert row.high is None or metric.value <= row.high, metric


def test_gold_models_have_areas_and_utility_of_their_own() -> None:
    kept = [("retain", 0.5, 0.25), ("trained", 0.8, 0.2)]
    said = [*FORGET, *HOLDOUT, *kept]
    other = [(name, p / 2 if name == "retain" else p, wrong) for name, p, wrong in said]
    none = [(name, 0.01 if name == "forget" else p, wrong) for name, p, wrong in said]
    table = pl.concat([rows(said, 0), rows(said, 1), *golds(other, none)])
    found = {
        (metric.step, metric.measure, metric.slice): metric.value
        for metric in memory_models.metrics(table, 0)
    }
    area = found[1, "auc_min_k", "gold.forget"]
    assert area == pytest.approx((4.5 / 6 + 0) / 2)
    leak = found[1, "privleak", "forget"]  # what is recorded is what it is made of
    assert leak == pytest.approx(100 * (area - 4.5 / 6) / (1 - area))
    assert found[1, "auc_reference", "gold.forget"] != 0.5
    assert (0, "auc_min_k", "gold.forget") not in found
    # Probability and truth ratio: .5 and .5, of one gold model .25 and 0; .8 and .75.
    assert found[1, "model_utility", "retain"] == pytest.approx(0.5)
    assert found[1, "model_utility", "gold.retain"] == pytest.approx((0 + 0.5) / 2)
    for step, part in ((0, ""), (1, ""), (1, "gold.")):
        assert found[step, "model_utility", f"{part}retain.trained"] == pytest.approx(
            1.2 / 1.55
        )
