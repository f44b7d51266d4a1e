"""Forget, retain, trained and holdout sets as statements, and what stands beside their answers."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ksmith import graph
from ksmith.graph.knowledge import set_aside
from ksmith.graph.near import Surroundings
from ksmith.probe.memory import LEAST, WRONG, Item, items
from tests.graph.test_qa import forget, pair, retain, saved, task, worded
from tests.probe.test_generated import known_graph

SETTINGS = {"memory_facts": 40}


def asked(known: graph.KnowledgeGraph, **more: Any) -> list[Item]:
    told = task(share=0.1, **more)
    requests = graph.requests(known, told, 0, covariates=False)
    holdout = graph.holdout(known)
    return items(known, requests, SETTINGS, 0, holdout, told)


@pytest.mark.parametrize("kind", ["facts", "entity", "branch", "relation"])
def test_what_stays_is_near_or_far_and_trained_on_or_never(kind: str) -> None:
    known = known_graph()
    found = asked(known, forget=kind, level="leaf", draws=2)
    touched: dict[int, set[str]] = {}
    for draw in (0, 1):
        told = task(share=0.1, forget=kind, level="leaf", draws=2)
        mine = [r for r in graph.requests(known, told, 0, covariates=False) if r.draw == draw]
        touched[draw] = set(graph.entail(known, mine).touched)
    for item in found:
        name = item.statement.fact
        if item.set == "forget":
            assert item.near is None and name in touched[item.draw]
        else:
            assert item.near is not None and name not in touched[item.draw]
            assert set_aside(name) == (item.set != "trained")
            assert item.near or item.set != "near"
            assert known.fact[name].stored
        assert item.statement.object not in item.wrong and len(item.wrong) <= WRONG
    sizes = Counter((item.draw, item.set) for item in found)
    assert {sizes[draw, name] for draw in (0, 1) for name in ("retain", "trained")} == {LEAST}
    assert len({item.near for item in found if item.set == "retain"}) == 2
    for draw in (0, 1):
        mine = [i for i in found if i.draw == draw and i.set in ("retain", "near")]
        assert len({item.statement.fact for item in mine}) == len(mine)
        here = {item.statement.fact for item in mine if item.near}
        near = near_facts(known, kind, draw) - touched[draw]
        assert here == near or (here < near and len(here) >= LEAST)


def near_facts(known: graph.KnowledgeGraph, kind: str, draw: int) -> set[str]:
    """Return the facts near a draw that no method trains on, all of them."""
    told = task(share=0.1, forget=kind, level="leaf", draws=2)
    mine = [r for r in graph.requests(known, told, 0, covariates=False) if r.draw == draw]
    near = Surroundings(known, kind, "leaf").near(mine)
    assert near is not None
    stated = (graph.statement(known, f.subject, f.relation, f.object) for f in known.stated)
    return {s.fact for s in stated if set_aside(s.fact) and near.holds(s)}


def test_a_users_own_wrong_and_reworded_answers_stand_beside_the_right_one(
    tmp_path: Path,
) -> None:
    rows = [*retain(), worded(30)]
    files = saved(tmp_path, retain=rows, holdout=[worded(40), pair(41)])
    known = graph.build({"source": "qa", "version": 1, "seed": 0}, files)
    requests = graph.requests(known, task(), 0)
    found = items(known, requests, {"memory_facts": 100}, 0, graph.holdout(known))
    by = {row["question"]: row for row in (*forget(), *rows, worded(40), pair(41))}
    assert {item.near for item in found} == {None}  # nothing says what is near
    for item in found:
        row = by[item.statement.subject]
        assert item.reworded == row.get("paraphrased_answer", "")
        if "perturbed_answer" in row:
            assert list(item.wrong) == row["perturbed_answer"]
        else:
            assert len(item.wrong) == WRONG and row["answer"] not in item.wrong
    whole = Counter(item.set for item in found)
    assert {i.statement.prompt for i in found if i.set in ("retain", "trained")} <= by.keys()
    assert whole["retain"] + whole["trained"] == len(rows) and whole["holdout"] == 2
    worded_ones = [i for i in found if i.set == "forget" and i.reworded]
    assert Counter(i.statement.wording for i in worded_ones) == {"seen": 3, "novel": 3}


def test_without_wrong_answers_of_its_own_the_answer_as_it_stands_is_weighed(
    tmp_path: Path,
) -> None:
    rows = [pair(0, paraphrased_answer="In town 0."), pair(1)]
    known = graph.build({"source": "qa", "version": 1, "seed": 0}, saved(tmp_path, forget=rows))
    found = items(known, graph.requests(known, task(), 0), SETTINGS, 0)
    assert {item.reworded for item in found} == {""}


def test_the_new_answer_of_an_edit_is_no_wrong_one(tmp_path: Path) -> None:
    known = graph.build({"source": "qa", "version": 1, "seed": 0}, saved(tmp_path))
    requests = graph.requests(known, task(kind="edit"), 0)
    new = {request.fact: request.new for request in requests}
    for item in items(known, requests, SETTINGS, 0):
        assert new.get(item.statement.fact) not in item.wrong
