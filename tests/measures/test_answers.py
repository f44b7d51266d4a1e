"""The table of answers."""

import pytest

from ksmith.measures import SCHEMA, frame, steps
from ksmith.records import Answer
from tests.measures.rows import Trial, rate


def test_columns_and_types() -> None:
    rows = rate({"0.0": [1]}).rows(1)
    assert dict(rows.schema) == SCHEMA
    assert rows["candidates"].to_list() == [["new", "old"]]
    assert rows["logp"].to_list() == [[-1.0, -2.0]]


def test_no_questions_give_an_empty_table() -> None:
    assert frame([], [], 0).schema == rate({"0.0": [1]}).rows(1).schema


def test_rows_keep_the_order_of_questions() -> None:
    trial = rate({"0.1": [1], "0.0": [0]})
    rows = frame(trial.questions, trial.said[1][::-1], 1)
    assert rows["question"].to_list() == [question.id for question in trial.questions]
    assert rows["logp"].to_list() == [[-1, -2], [-1, -0.5]]


def test_a_missing_answer_is_null_and_an_empty_list_is_not() -> None:
    trial = Trial()
    trial.ask("efficacy", ["new", "old"], of_type=())
    rows = trial.rows(1)
    assert rows["logp"].to_list() == [None]
    assert rows["of_type"].to_list() == [[]]


def test_two_answers_to_one_question() -> None:
    trial = rate({"0.0": [1]})
    with pytest.raises(ValueError, match="some have two"):
        frame(trial.questions, trial.said[1] * 2, 1)


def test_answers_to_no_question() -> None:
    stray = Answer(question="9.9/efficacy/0", logp=(), tokens=(), argmax=())
    with pytest.raises(ValueError, match=r"no question of this trial: '9\.9/efficacy/0'"):
        frame([], [stray], 1)


def test_steps_follow_each_other() -> None:
    trial = rate({"0.0": [1]})
    rows = steps(frame(trial.questions, [], 0), frame(trial.questions, trial.said[1], 1))
    assert rows["step"].to_list() == [0, 1]
    assert dict(rows.schema) == SCHEMA
