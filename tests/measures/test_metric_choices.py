"""Metrics of questions with several answers to choose from, by hand."""

from typing import Any

import pytest

from tests.measures.rows import Trial


def four(right: float, *others: float) -> dict[str, tuple[float, int]]:
    """Return what is said to four options, the right one in third place; "far" is no option."""
    said = {"old": others[0], "a": others[1], "new": right, "b": others[2], "far": 0.0}
    return {name: (logp, 1) for name, logp in said.items()}


def test_multiple_choice_by_hand() -> None:
    trial = Trial()
    for request, said in (
        ("0.0", four(-1, -2, -3, -4)),
        ("0.1", four(-2, -2, -3, -4)),  # level with the old one: a failure
        ("0.2", four(-2, -5, -1, -4)),
        ("0.3", four(-1, -2, -2, -2) | {"b": (-3.0, 4)}),  # per token b is above
    ):
        trial.add("direct", said, request=request, options=(0, 1, 2, 3))
    found = trial.metrics(1)
    assert found[1, "direct.multiple_choice"].value == 0.25
    assert found[1, "direct.multiple_choice_corrected"].value == pytest.approx(0)
    assert found[1, "direct.multiple_choice"].n == 4
    low, high = (getattr(found[1, "direct.multiple_choice"], end) for end in ("low", "high"))
    corrected = found[1, "direct.multiple_choice_corrected"]
    assert (corrected.low, corrected.high) == (
        pytest.approx((low - 0.25) / 0.75),
        pytest.approx((high - 0.25) / 0.75),
    )


def test_multiple_choice_counts_what_got_no_answer_as_wrong() -> None:
    trial = Trial()
    trial.add("direct", four(-1, -2, -3, -4), request="0.0", options=(0, 1, 2, 3))
    trial.ask("direct", list(four(0, 0, 0, 0)), request="0.1", options=(0, 1, 2, 3))
    found = trial.metrics(1)
    assert found[1, "direct.multiple_choice"].value == 0.5
    assert found[1, "direct.multiple_choice_corrected"].value == pytest.approx((1 - 1 / 3) / 2)


@pytest.mark.parametrize("more", [{}, {"options": (0, 1, 3), "right": None}])
def test_no_choice_where_the_right_answer_is_not_offered(more: dict[str, Any]) -> None:
    trial = Trial()
    trial.add("direct", four(-1, -2, -3, -4), **more)
    assert not [name for _, name in trial.metrics(1) if "multiple_choice" in name]


def test_choices_are_sliced_by_wording_context_and_what_letters_ask() -> None:
    trial = Trial()
    right, wrong = four(-1, -2, -3, -4), four(-5, -2, -3, -4)
    options: dict[str, Any] = {"options": (0, 1, 2, 3)}
    trial.add("conflict", right, context="new", wording="novel", **options)
    trial.add("conflict", wrong, context="old", wording="seen", **options)
    letters = trial.ask("direct", list(right), **options)
    trial.answer(1, letters, right)
    asked = trial.questions[-1]
    trial.questions.append(asked._replace(id=f"{asked.id}/letters", probe="letters"))
    trial.answer(1, trial.questions[-1].id, wrong)
    found = {name: metric.value for (_, name), metric in trial.metrics(1).items()}
    assert found["conflict.multiple_choice"] == 0.5
    assert found["conflict.multiple_choice.old_context"] == 0
    assert found["conflict.multiple_choice.new_context"] == 1
    assert found["conflict.multiple_choice.novel"] == 1
    assert found["direct.multiple_choice"] == 1
    assert found["letters.multiple_choice.direct"] == found["letters.multiple_choice"] == 0
    assert "letters.multiple_choice.conflict" not in found


def test_a_statement_is_compared_and_never_written() -> None:
    trial = Trial()
    trial.add("comparison", four(-1, -2, -3, -4), prompt="", options=(0, 1, 2, 3))
    trial.add("comparison", four(-1, -2, -3, -4), text="new", best="new")
    found = {name: metric for (_, name), metric in trial.metrics(1).items()}
    assert found["comparison.success"].value == 1
    assert found["comparison.generated"].value == found["comparison.accuracy"].value == 1
