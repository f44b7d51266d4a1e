"""Measures over several probes, against numbers worked out by hand."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.measures import COMBINED, SPREAD, metrics, paired
from ksmith.measures.spread import slug
from tests.measures.rows import Trial

FOUR = ("new", "old", "a", "b")


def ask(trial: Trial, probe: str, was: str, now: str, **more: Any) -> None:
    """Ask a question of four candidates; `was` and `now` are the most probable."""
    texts: Sequence[str] = more.pop("candidates", FOUR)
    question = trial.ask(probe, texts, **more)
    for step, best in ((0, was), (1, now)):
        said = {text: (-1.0 if text == best else -2.0, 1) for text in texts}
        trial.answer(step, question, said, best, text=best)


def near(trial: Trial, was: str, now: str, fact: str, **more: Any) -> None:
    """Ask about a fact that should stay: "old" is right at both steps."""
    given = {"set": "neighbour", "right": "old", "rival": "new", "fact": fact, **more}
    ask(trial, "neighborhood", was, now, **given)


def remember(trial: Trial, fact: str, known: bool, request: str = "0.0") -> None:
    more = {"right": "old", "rival": None, "fact": fact, "request": request}
    trial.add("known", {"old": (-1, 1)}, step=0, best="old" if known else "", **more)


def test_collateral_change_by_fact_distance_and_level() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    near(trial, "old", "a", "f1", distance=1, level="leaf")
    near(trial, "old", "old", "f1", distance=1, level="leaf")  # half of this fact
    near(trial, "b", "b", "f2", distance=3, level="root")  # wrong before as after: unchanged
    near(trial, "a", "old", "f3", distance=3, level="root")  # now right: a change all the same
    found = trial.metrics()
    ccr = found[1, "spread.ccr"]
    assert (ccr.value, ccr.n) == (0.5, 3)  # (1/2 + 0 + 1) / 3
    assert found[1, "spread.ccr.distance1"].value == 0.5
    assert (found[1, "spread.ccr.distance3"].value, found[1, "spread.ccr.distance3"].n) == (
        0.5,
        2,
    )
    assert found[1, "spread.ccr.level_leaf"].n == 1
    assert found[1, "spread.target_change"].value == 1
    assert found[1, "spread.ccr_ratio"].value == 0.5
    assert not [name for step, name in found if step == 0 and "ccr" in name]


def test_it_is_conditioned_on_what_was_known() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    near(trial, "old", "a", "f1")
    near(trial, "old", "old", "f2")
    remember(trial, "f1", known=False)
    remember(trial, "f2", known=True)
    found = trial.metrics()
    assert (found[1, "spread.ccr.known"].value, found[1, "spread.ccr.known"].n) == (0, 1)
    assert found[1, "spread.ccr"].value == 0.5


def test_only_options_count_where_there_are_any() -> None:
    trial = Trial()
    said = {"new": (-2.0, 1), "old": (-1.5, 1), "a": (-3.0, 1), "free": (-0.5, 1)}
    for options in ((0, 1, 2), ()):
        trial.add("direct", said, options=options, fact=f"{options}", request="0.0")
    found = trial.metrics(1)
    assert found[1, "spread.rr"].value == 0.5  # of the open question "free" is the answer
    assert found[1, "spread.chance"].value == pytest.approx((1 / 3 + 1 / 4) / 2)
    # (1 - 1/3) / (1 - 1/3) for the first, (0 - 1/4) / (1 - 1/4) for the other.
    assert found[1, "spread.rr_corrected"].value == pytest.approx((1 - 1 / 3) / 2)


def test_guessing_is_corrected_to_nothing() -> None:
    """A model that picks each of the four equally often is at 0, whatever is right."""
    trial = Trial()
    for i, best in enumerate(FOUR):
        ask(trial, "efficacy", best, best, request=f"0.{i}")
    found = trial.metrics()
    assert found[1, "spread.rr"].value == 0.25
    assert found[1, "spread.rr_corrected"].value == pytest.approx(0)
    assert found[1, "spread.choice_corrected.id"].value == pytest.approx(0)


def test_conflict_needs_both_answers_of_one_fact() -> None:
    trial = Trial()
    answers = {
        "0.0": ("new", "old"),
        "0.1": ("new", "new"),
        "0.2": ("old", "a"),
        "0.3": ("a", "b"),
    }
    for request, afters in answers.items():
        for number, after in enumerate(afters):
            ask(trial, "paraphrase", "old", after, request=request, prompt=f"{number}")
    ask(trial, "efficacy", "old", "new", request="0.4")  # one question can't contradict itself
    found = trial.metrics()
    assert (found[1, "spread.conflict"].value, found[1, "spread.conflict"].n) == (0.25, 4)
    assert found[0, "spread.conflict"].value == 0  # the same rate without an update
    assert found[1, "spread.agree"].value == 0.25  # the second alone
    assert found[0, "spread.agree"].value == 1  # before, all are of the old world


def test_a_backward_question_can_contradict_a_forward_one() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    # "Who has the old object?": the subject, still. In the new world nobody has it.
    back = {"right": None, "before": "s", "rival": None, "candidates": ("s", "t")}
    ask(trial, "reverse", "s", "s", set="entailed", hop=1, fact="back", **back)
    found = trial.metrics()
    assert found[1, "spread.conflict"].value == 1
    assert found[1, "spread.agree"].value == 0
    assert found[0, "spread.agree"].value == 1


def test_propagation_is_what_the_update_added() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    more: dict[str, Any] = {"set": "entailed", "stored": True}
    ask(trial, "multi_hop", "new", "new", fact="a", hop=1, **more)  # right all the while
    ask(trial, "multi_hop", "old", "new", fact="b", hop=1, **more)
    ask(trial, "multi_hop", "new", "old", fact="c", hop=2, **more | {"stored": False})
    found = trial.metrics()
    names = ("", ".hop1", ".hop2", ".stored", ".derived")
    values = [found[1, f"spread.propagation{name}"].value for name in names]
    assert values == [0.25, 0.5, -1, 0.5, -1]
    assert found[1, "spread.propagation.hop2"].hop == 2


def test_consistency_compares_direct_with_reverse() -> None:
    trial = Trial()
    for i, (after, back) in enumerate([("new", "old"), ("new", "new"), ("old", "old")]):
        ask(trial, "efficacy", "old", after, request=f"0.{i}")
        more = {"before": None, "set": "entailed", "fact": f"back {i}", "hop": 1}
        ask(trial, "reverse", "old", back, request=f"0.{i}", **more)
    ask(trial, "efficacy", "old", "old", request="0.3")  # not asked in reverse
    found = trial.metrics()
    assert found[1, "spread.direct"].value == 0.5
    assert found[1, "spread.direct_reversible"].value == pytest.approx(2 / 3)
    assert found[1, "spread.reverse"].value == pytest.approx(1 / 3)
    consistency = found[1, "spread.consistency"]
    assert consistency.value == pytest.approx(2 / 3)
    assert consistency.low is not None
    assert consistency.high is not None
    assert 0 <= consistency.low <= consistency.value <= consistency.high <= 1


def test_a_direct_probe_takes_the_place_of_efficacy() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    ask(trial, "direct", "old", "old")
    assert trial.metrics()[1, "spread.direct"].value == 0


def test_inside_and_outside_of_the_domain() -> None:
    trial = Trial()
    ask(trial, "efficacy", "old", "new")
    near(trial, "old", "a", "near")
    # What belongs to a whole draw is a fact by itself.
    near(trial, "old", "old", "far", set="unrelated", request="")
    found = trial.metrics()
    assert (found[1, "spread.choice.id"].value, found[1, "spread.choice.id"].n) == (0.5, 2)
    assert (found[1, "spread.choice.ood"].value, found[1, "spread.choice.ood"].n) == (1, 1)
    assert found[1, "spread.generated.ood"].value == 1


def test_open_questions_are_in_neither_set() -> None:
    trial = Trial()
    ask(trial, "multi_hop", "old", "new", set="open")
    assert not [name for _, name in trial.metrics() if name.startswith("spread")]


def test_without_an_answer_each_measure_counts_its_failure() -> None:
    trial = Trial()
    trial.ask("efficacy", FOUR)
    trial.ask("neighborhood", FOUR, set="neighbour", right="old", rival="new", fact="near")
    found = trial.metrics()
    values = {"ccr": 1, "target_change": 0, "rr": 1, "rr_corrected": 1, "choice.id": 0}
    assert {name: found[1, f"spread.{name}"].value for name in values} == values


def test_a_tie_is_no_answer() -> None:
    trial = Trial()
    trial.add("efficacy", {"new": (-1, 1), "old": (-1, 1), "a": (-2, 1)})
    found = trial.metrics(1)
    assert found[1, "spread.choice.id"].value == 0
    assert found[1, "spread.rr"].value == 1  # still there


def test_modes_are_not_mixed() -> None:
    trial = Trial()
    trial.add("efficacy", {"new": (-1, 1), "old": (-2, 1)}, text="old")
    found = trial.metrics(1)
    assert found[1, "spread.rr"].value == 0
    assert found[1, "spread.rr_generated"].value == 1


def test_trials_are_compared_by_them() -> None:
    def trial(after: str) -> pl.DataFrame:
        made = Trial()
        for i in range(4):
            ask(made, "efficacy", "old", "new", request=f"{i}.0")
            near(made, "old", after, f"near {i}", request=f"{i}.0")
        return made.rows()

    found = paired(trial("a"), trial("old"), "spread", "ccr")
    assert found is not None
    assert (found.value, found.n) == (1, 4)


answers = st.lists(st.sampled_from(FOUR), min_size=8, max_size=8)


@settings(max_examples=20, deadline=None)
@given(before=answers, after=answers)
def test_values_keep_their_bounds(before: list[str], after: list[str]) -> None:
    trial = Trial()
    for i, (was, now) in enumerate(zip(before, after, strict=True)):
        request = f"{i // 4}.{i % 2}"
        if i % 4 < 2:
            ask(trial, "efficacy", was, now, request=request)
        else:
            near(trial, was, now, f"near {i}", request=request)
    for metric in metrics(trial.rows(), 0):
        if metric.probe == "spread":
            known = {**SPREAD, **COMBINED}[metric.measure]
            assert known.low is not None
            assert metric.value >= known.low
            assert known.high is None or metric.value <= known.high
            if metric.low is not None and metric.high is not None:
                assert metric.low <= metric.value <= metric.high


def test_every_measure_says_what_it_is() -> None:
    assert all(measure.doc.endswith(".") for measure in (*SPREAD.values(), *COMBINED.values()))
    assert slug("niveau 2/ö") == "niveau_2_ö"
