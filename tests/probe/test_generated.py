"""What holds for the questions of any trial, on a generated graph."""

import random
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest

from ksmith import graph
from ksmith.probe import questions
from ksmith.records import Question, Request
from ksmith.settings.graph import Synthetic
from ksmith.settings.probe import Probe

TASKS = [("edit", 1, 12), ("edit", 8, 3), ("unlearn", 1, 12), ("unlearn", 8, 3)]


@cache
def known_graph() -> graph.KnowledgeGraph:
    values = {"source": "synthetic", "version": 1, **asdict(Synthetic(facts=360))}
    return graph.build(values, {})


def requests(kind: str, scale: int, draws: int, seed: int = 0) -> list[Request]:
    task = {"kind": kind, "scale": scale, "draws": draws, "level": "any", "neutral": "abstain"}
    return graph.requests(known_graph(), task, seed)


def settings(**more: Any) -> dict[str, Any]:
    return asdict(Probe()) | more


@pytest.fixture(params=TASKS, ids=str)
def asked(request: pytest.FixtureRequest) -> list[Question]:
    kind, scale, draws = request.param
    return questions(known_graph(), requests(kind, scale, draws), settings(), seed=0)


def test_ids_are_unique(asked: list[Question]) -> None:
    assert len({question.id for question in asked}) == len(asked)


def test_indices_point_at_candidates_that_differ(asked: list[Question]) -> None:
    for question in asked:
        size = len(question.candidates)
        indices = (question.right, question.right_before, question.rival, *question.of_type)
        assert all(i is None or 0 <= i < size for i in indices)
        assert len(set(question.candidates)) == size
        if question.right is not None:
            assert question.rival != question.right


def test_wordings_of_known_are_scored_nowhere(asked: list[Question]) -> None:
    scored = {question.prompt for question in asked if question.probe != "known"}
    known = {question.prompt for question in asked if question.probe == "known"}
    assert known
    assert not known & scored


def test_most_facts_are_asked_whether_they_are_known(asked: list[Question]) -> None:
    had = {q.fact for q in asked if q.request and q.right_before is not None}
    known = {q.fact for q in asked if q.probe == "known"}
    assert len(known) >= 0.95 * len(had)


def test_right_answers_before_are_the_graph(asked: list[Question]) -> None:
    for question in asked:
        if question.request and question.right_before is not None:
            fact = known_graph().fact[question.fact]
            assert question.candidates[question.right_before] == fact.object


@pytest.mark.parametrize(("kind", "scale", "draws"), TASKS)
def test_right_answers_after_are_the_changed_graph(kind: str, scale: int, draws: int) -> None:
    made = requests(kind, scale, draws)
    asked = questions(known_graph(), made, settings(), seed=0)
    for draw in range(draws):
        change = graph.entail(known_graph(), [r for r in made if r.draw == draw])
        after = {**change.entailed, **change.target}
        for question in asked:
            if question.draw != draw or not question.request or question.probe == "known":
                continue
            right = None if question.right is None else question.candidates[question.right]
            if question.set == "neighbour":
                assert question.fact not in change.touched
            elif question.set == "target" and kind == "unlearn":
                assert right == "unknown"
            else:
                assert right == after[question.fact].new


def test_neither_order_nor_run_changes_them() -> None:
    made = requests("edit", 8, 3)
    first = questions(known_graph(), made, settings(), seed=0)
    assert questions(known_graph(), made, settings(), seed=0) == first
    draws = [[r for r in made if r.draw == draw] for draw in range(3)]
    random.Random(0).shuffle(draws)
    shuffled = [request for draw in draws for request in draw]
    assert questions(known_graph(), shuffled, settings(), seed=0) == first


def test_another_seed_asks_other_questions() -> None:
    made = requests("edit", 1, 12)
    first, second = (questions(known_graph(), made, settings(), seed) for seed in (0, 1))
    assert {q.prompt for q in first} != {q.prompt for q in second}
    own = [[q for q in asked if q.probe == "efficacy"] for asked in (first, second)]
    assert [q.prompt for q in own[0]] == [q.prompt for q in own[1]]
