"""The published scores of CounterFact and zsRE, from cases worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from ksmith.measures import DERIVED, MEASURES, PUBLISHED, metrics
from ksmith.measures.fluency import entropy
from ksmith.measures.metrics import harmonic
from tests.measures.rows import Said, Trial

NEAR: dict[str, Any] = {"right": "true", "before": "true", "rival": "new", "set": "neighbour"}


def counterfact() -> Trial:
    """Return a record with one paraphrase beside one with two; a target has two tokens."""
    trial = Trial()
    # p(new) is exp(-1), p(old) exp(-0.8) a token: more per token, less as a whole.
    trial.add("efficacy", {"new": (-1, 1), "old": (-1.6, 2)}, request="0.0", best="new")
    trial.add("efficacy", {"new": (-2, 4), "old": (-3, 1)}, request="0.1", best="new")
    trial.add("paraphrase", {"new": (-1, 1), "old": (-2, 1)}, request="0.0", best="new")
    for old in (-1.5, -3):  # the first is a tie: 3 tokens of -1.5 each
        said = {"new": (-4.5, 3), "old": (old, 1)}
        trial.add("paraphrase", said, request="0.1")
    for request, true in (("0.0", -1), ("0.0", -3), ("0.1", -4), ("0.1", -1), ("0.1", -2)):
        said = {"true": (2 * true, 2), "new": (-3, 1)}
        best = "true" if true == -1 else ""
        trial.add("neighborhood", said, request=request, best=best, **NEAR)
    return trial


def e(*exponents: float) -> float:
    """Return exp(first) - exp(second)."""
    return math.exp(exponents[0]) - math.exp(exponents[1])


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("efficacy.success", 1 / 2),
        ("efficacy.success_joint", 2 / 2),
        ("paraphrase.success", (1 + 1 / 2) / 2),  # not 2 of 3
        ("neighborhood.success", (1 / 2 + 2 / 3) / 2),  # not 3 of 5: -3 against -3 is a tie
        ("efficacy.magnitude", (e(-1, -0.8) + e(-0.5, -3)) / 2),
        ("paraphrase.magnitude", (e(-1, -2) + (e(-1.5, -1.5) + e(-1.5, -3)) / 2) / 2),
        (
            "neighborhood.magnitude",
            ((e(-1, -3) + e(-3, -3)) / 2 + (e(-4, -3) + e(-1, -3) + e(-2, -3)) / 3) / 2,
        ),
        ("efficacy.accuracy", 2 / 2),  # every token the argmax, although success is 1/2
        ("paraphrase.accuracy", (1 + 0) / 2),
        ("neighborhood.accuracy", (1 / 2 + 1 / 3) / 2),
        ("counterfact.score", 3 / (1 / 0.5 + 1 / 0.75 + 1 / (7 / 12))),
    ],
)
def test_counterfact_by_hand(metric: str, value: float) -> None:
    found = counterfact().metrics(1)[1, metric]
    assert found.value == pytest.approx(value, abs=1e-7)
    assert found.n == 2


# S of ES, PS and NS in per cent, as published; those of the specification that are confirmed.
@pytest.mark.parametrize(
    ("score", "parts"),
    [
        (30.5, (22.2, 24.7, 78.1)),  # GPT-2 XL
        (89.2, (100, 96.4, 75.4)),  # ROME on it
        (23.6, (16.3, 18.6, 83.0)),  # GPT-J
        (91.5, (99.9, 99.1, 78.9)),  # ROME on it
        (85.8, (98.9, 88.6, 73.7)),  # MEMIT on it, 10,000 at once
        (50.7, (96.7, 89.7, 26.6)),  # ... on zsRE
        (26.4, (26.4, 25.8, 27.0)),  # GPT-J on zsRE
    ],
)
def test_published_scores_are_harmonic_means(score: float, parts: Sequence[float]) -> None:
    found = harmonic(np.array(parts)[:, None])[0]
    slopes = [found**2 / (3 * part**2) for part in parts]  # all of them were rounded to .1
    assert found == pytest.approx(score, abs=0.05 * (1 + sum(slopes)))


def test_the_score_has_an_interval_over_records() -> None:
    trial = Trial()
    for i in range(40):
        old = -1 if i < 20 else -3
        for probe in ("efficacy", "paraphrase"):
            trial.add(probe, {"new": (-2, 1), "old": (old, 1)}, request=f"{i}.0")
        trial.add("neighborhood", {"true": (-1, 1), "new": (-3, 1)}, request=f"{i}.0", **NEAR)
    found = trial.metrics(1)[1, "counterfact.score"]
    assert found.value == pytest.approx(3 / (2 + 2 + 1))
    assert found.low is not None and found.high is not None
    # Of 40 records 34 to 66 % succeed, as may be: 3 / (2 / rate + 1).
    assert found.low == pytest.approx(3 / (2 / 0.34 + 1), abs=0.03)
    assert found.high == pytest.approx(3 / (2 / 0.66 + 1), abs=0.03)


def test_a_score_of_zero_is_not_certain_although_a_part_varies() -> None:
    trial = Trial()
    for i in range(20):
        for probe in ("efficacy", "paraphrase"):
            trial.add(probe, {"new": (-2, 1), "old": (-1, 1)}, request=f"{i}.0")
        true = -1 if i < 15 else -9
        trial.add("neighborhood", {"true": (true, 1), "new": (-3, 1)}, request=f"{i}.0", **NEAR)
    found = trial.metrics(1)[1, "counterfact.score"]
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))


# --- zsRE -------------------------------------------------------------------------------------


def zsre() -> Trial:
    """Return two records: answers of 4 and 1 tokens, teacher-forced."""
    trial = Trial()
    for step, rewrite, paraphrase, near, said in (
        (0, (1, 0), (1, 0), (2, 1), ((7, 8, 9), (5,))),
        (1, (3, 1), (1, 0), (1, 1), ((7, 4, 3), (5,))),
    ):
        for i, tokens in enumerate((4, 1)):
            answer: Said = {"new": (-2.0, tokens), "old": (-3.0, 2)}
            more: dict[str, Any] = {"request": f"{i}.0"}
            if step == 0:
                trial.ask("efficacy", list(answer), **more)
                trial.ask("paraphrase", list(answer), **more)
                trial.ask("neighborhood", ["true", "new"], **more, **NEAR)
            one, two, three = (q.id for q in trial.questions[3 * i : 3 * i + 3])
            trial.answer(step, one, answer, hits=(rewrite[i], 0))
            trial.answer(step, two, answer, hits=(paraphrase[i], 2))
            gold: Said = {"true": (-2.0, len(said[i])), "new": (-9.0, 1)}
            trial.answer(step, three, gold, hits=(near[i], 1), predicted=said[i])
    return trial


def test_zsre_by_hand() -> None:
    found = zsre().metrics()
    assert found[0, "efficacy.token_accuracy"].value == (1 / 4 + 0) / 2
    assert found[1, "efficacy.token_accuracy"].value == (3 / 4 + 1) / 2
    assert found[1, "efficacy.accuracy"].value == 0  # all or nothing is another number
    assert found[1, "paraphrase.token_accuracy"].value == (1 / 4 + 0) / 2
    near = found[1, "neighborhood.token_accuracy"]
    assert near.value == pytest.approx((1 / 3 + 1) / 2)  # against the gold answer
    score = 3 / (1 / 0.875 + 1 / 0.125 + 1 / (2 / 3))
    assert found[1, "zsre.score"].value == pytest.approx(score)
    assert {found[1, name].n for name in ("zsre.score", "efficacy.token_accuracy")} == {2}


def test_locality_is_agreement_with_the_prediction_before() -> None:
    found = zsre().metrics()
    # 7 stays, 8 and 9 go, whether they were right or not; 5 stays.
    assert found[1, "neighborhood.kept_tokens"].value == pytest.approx((1 / 3 + 1) / 2)
    assert (0, "neighborhood.kept_tokens") not in found
    trial = zsre()
    trial.said[1][2] = trial.said[0][2]  # nothing moved: locality is 1, accuracy is not
    found = trial.metrics()
    assert found[1, "neighborhood.kept_tokens"].value == 1
    assert found[1, "neighborhood.token_accuracy"].value == pytest.approx((2 / 3 + 1) / 2)


def test_a_question_without_an_answer_has_no_token_right() -> None:
    trial = zsre()
    del trial.said[1][0], trial.said[1][1]
    found = trial.metrics()
    assert found[1, "efficacy.token_accuracy"].value == (0 + 1) / 2
    assert found[1, "neighborhood.kept_tokens"].value == (0 + 1) / 2


def test_places_that_were_not_looked_at_before_keep_nothing() -> None:
    trial = zsre()
    trial.said[0][2] = replace(trial.said[0][2], predicted=())
    found = trial.metrics()[1, "neighborhood.kept_tokens"]
    assert (found.value, found.n) == (1, 1)  # of the other record alone
    trial = zsre()
    trial.said[1][2] = replace(trial.said[1][2], predicted=())
    assert trial.metrics()[1, "neighborhood.kept_tokens"].value == (0 + 1) / 2


def test_answers_in_which_tokens_were_not_counted_have_no_such_number() -> None:
    names = {name.split(".")[1] for _, name in counterfact().metrics(1)}
    assert not names & {"token_accuracy", "kept_tokens"}
    rows = zsre().rows().drop("hits", "predicted")  # a file of before there were such columns
    names = {metric.name.split(".")[1] for metric in metrics(rows, 0)}
    assert "success" in names and not names & {"token_accuracy", "kept_tokens"}


# --- generation entropy -----------------------------------------------------------------------


def bits(*counts: int) -> float:
    """Return the entropy of so many of each."""
    return -sum(c / sum(counts) * math.log2(c / sum(counts)) for c in counts)


@pytest.mark.parametrize(
    ("text", "two", "three"),
    [
        ("a b a b a b", bits(3, 2), bits(2, 2)),
        ("one two three four five", 2.0, math.log2(3)),
        ("no no no no no no", 0, 0),
        ("The cat sat. The cat ran.", bits(2, 1, 1, 1, 1, 1), math.log2(6)),  # marks are words
        ("It isn't so: it isn't", bits(1, 1, 1, 1, 1), 2.0),  # case counts; isn't is one word
        ("alone", 0, 0),
        ("", 0, 0),
    ],
)
def test_entropy_by_hand(text: str, two: float, three: float) -> None:
    found = (
        pl.DataFrame({"t": [text, None]}).select(found=entropy(pl.col("t")))["found"].to_list()
    )
    assert found == [pytest.approx((2 / 3 * two + 4 / 3 * three) / 2), None]


def test_generation_entropy_is_a_mean_within_records_first() -> None:
    trial = Trial()
    more: dict[str, Any] = {"right": None, "before": None, "rival": None, "set": "open"}
    for request, text in (("0.0", "a b a b a b"), ("0.1", "x x x"), ("0.1", "p q r s t")):
        trial.add("fluency", {}, request=request, text=text, sampled=8, **more)
    trial.ask("fluency", [], request="0.2", sampled=8, **more)  # no text: 0
    first = (2 / 3 * bits(3, 2) + 4 / 3) / 2
    second = (0 + (2 / 3 * 2 + 4 / 3 * math.log2(3)) / 2) / 2
    found = trial.metrics(1)
    assert found[1, "fluency.entropy"].value == pytest.approx((first + second + 0) / 3)
    assert found[1, "fluency.entropy"].n == 3
    assert found[1, "fluency.skipped"].value == 1
    assert {name for _, name in found} == {"fluency.entropy", "fluency.skipped"}


def test_a_published_name_stands_for_a_metric_that_there_is() -> None:
    scores = {f"{probe}.score" for probe in DERIVED["score"][0].split(", ")}
    for name in PUBLISHED.keys() - scores:
        probe, measure = name.split(".")
        assert probe in MEASURES[measure].probes, name
    assert len(set(PUBLISHED.values())) == len(PUBLISHED)
