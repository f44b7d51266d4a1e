from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph
from ksmith.graph.chance import Chance
from ksmith.graph.knowledge import aside
from ksmith.graph.statements import picked, worded
from ksmith.records import Request
from ksmith.settings.graph import Synthetic

TASK = {"kind": "edit", "level": "any", "scale": 5, "draws": 6}


@pytest.fixture(scope="module")
def requests(world: KnowledgeGraph) -> list[Request]:
    return graph.requests(world, TASK, 0)


def test_wordings_are_disjoint_by_kind(world: KnowledgeGraph, requests: list[Request]) -> None:
    told = {sentence.text for sentence in graph.sentences(world, 0)}
    for request in requests:
        known = graph.seen(world, request)
        asked = graph.paraphrases(world, request)
        assert len(known) == 4 and {s.wording for s in known} == {"seen"}
        assert request.template not in {s.template for s in known}
        assert [s.wording for s in asked].count("unseen") == 3
        assert {s.wording for s in asked} == {"unseen", "novel"}
        assert {s.object for s in asked} == {request.new}
        assert {s.object for s in known} == {request.old}
        assert not [s for s in asked if f"{s.prompt} {request.old} ." in told]


def test_neighbours_share_relation_and_old_object_and_stay(
    world: KnowledgeGraph, requests: list[Request]
) -> None:
    found = 0
    for request in requests:
        touched = graph.entail(world, [request]).touched
        for near in graph.neighbours(world, request, 10, 0):
            found += 1
            assert near.relation == request.relation and near.object == request.old
            assert near.subject != request.subject and near.fact not in touched
            assert world.fact[near.fact].object == near.object and near.wording == "seen"
    assert found >= len(requests)


def test_neighbours_can_be_excluded(world: KnowledgeGraph, requests: list[Request]) -> None:
    request = next(r for r in requests if r.relation == "crop")
    out = graph.neighbours(world, request, 10, 0)[0].fact
    left = graph.neighbours(world, request, 10, 0, exclude={out})
    assert left and out not in {near.fact for near in left}


def test_same_subject_asks_other_facts_that_stay(
    world: KnowledgeGraph, requests: list[Request]
) -> None:
    for request in requests:
        others = graph.same_subject(world, request, 5, 0)
        assert len(others) == 5
        assert {s.subject for s in others} == {request.subject}
        touched = graph.entail(world, [request]).touched
        assert touched.isdisjoint(s.fact for s in others)


def test_same_subject_asks_nothing_that_has_several_answers() -> None:
    settings = {"seed": 0, "facts": 500, "stored": 1.0, "several": True}
    world = graph.build({"source": "synthetic", **settings}, {})
    request = next(
        request
        for request in graph.requests(world, TASK | {"level": "root"}, 0)
        if len(world.world.objects("contains", request.subject)) > 1
    )
    asked = graph.same_subject(world, request, 99, 0)
    assert f"{request.subject} / contains" in {f.name for f in world.about[request.subject]}
    assert len(asked) > 5 and "contains" not in {s.relation for s in asked}
    for statement in asked:
        assert world.world.objects(statement.relation, statement.subject) == [statement.object]


def test_a_retain_set_is_the_rest_but_for_what_is_set_aside(
    world: KnowledgeGraph, requests: list[Request]
) -> None:
    draw = requests[:5]
    kept = graph.retain(world, draw, None, 0)
    touched = graph.entail(world, draw).touched
    wanted = {fact.name for fact in world.passing} - touched
    assert len(kept) == len(wanted) and {s.fact for s in kept} == wanted
    own = [fact for fact in world.stated if aside(fact)]
    assert 0.15 < len(own) / len(world.stated) < 0.35  # for probes of what is unrelated
    assert {fact.name for fact in own}.isdisjoint(wanted)
    near = {
        s.fact
        for request in draw
        for s in (
            *graph.neighbours(world, request, 99, 0),
            *graph.same_subject(world, request, 99, 0),
        )
    }
    assert near & wanted and near - wanted  # of what is near some is trained on, some is not
    held = {sentence for sentence in graph.held_out(world, 10_000, 0)}
    assert held.isdisjoint(f"{s.prompt} {s.object} ." for s in kept)


def test_a_retain_set_may_hold_nothing_that_is_near(
    world: KnowledgeGraph, requests: list[Request]
) -> None:
    draw = requests[:5]
    kept = graph.retain(world, draw, None, 0, near=False)
    asked = {
        s.fact
        for request in draw
        for s in (
            *graph.neighbours(world, request, 99, 0),
            *graph.same_subject(world, request, 99, 0),
            *graph.seen(world, request),
        )
    }
    assert len(kept) > 100 and asked and asked.isdisjoint(s.fact for s in kept)
    pairs = {(s.relation, s.object) for s in kept}
    assert not [r for r in draw if {(r.relation, r.old), (r.relation, r.new)} & pairs]


def test_a_smaller_retain_set_is_the_start_of_a_larger_one(
    world: KnowledgeGraph, requests: list[Request]
) -> None:
    draw = requests[:5]
    every = graph.retain(world, draw, None, 0)
    assert graph.retain(world, draw[::-1], 64, 0) == every[:64]
    assert graph.retain(world, draw, 10_000, 0) == every
    assert graph.retain(world, draw, 64, 1) != every[:64]
    assert graph.retain(world, draw, 0, 0) == []


def test_of_half_the_facts_forgotten_a_rest_is_left(world: KnowledgeGraph) -> None:
    half = graph.requests(world, TASK | {"share": 0.5, "draws": 1, "scale": 1}, 0)
    assert len(graph.retain(world, half, None, 0)) > len(half)
    assert len(graph.retain(world, half, None, 0, near=False)) < len(half) / 3


def test_a_statement_says_which_wording_it_has(world: KnowledgeGraph) -> None:
    stored = next(fact for fact in world.facts if fact.stored)
    hidden = next(fact for fact in world.facts if not fact.stored)
    said = graph.statement(world, stored.subject, stored.relation, stored.object)
    assert said.wording == "seen"
    assert said.template in worded(world, stored.subject, stored.relation)["seen"]
    said = graph.statement(world, hidden.subject, hidden.relation, hidden.object)
    assert said.wording == "unseen"
    said = graph.statement(world, stored.subject, stored.relation, "x", wording="novel")
    assert said.wording == "novel" and said.object == "x"


def test_inverse_and_neutral(world: KnowledgeGraph) -> None:
    assert graph.inverse(world, "leader") == "leads"
    assert graph.inverse(world, "ally") == "ally"
    assert graph.inverse(world, "crop") is None
    assert graph.neutral(world, "crop") == graph.NEUTRAL
    with pytest.raises(ValueError, match="no relation 'crops'"):
        graph.neutral(world, "crops")


def test_a_new_leader_entails_at_one_hop_and_at_two(world: KnowledgeGraph) -> None:
    requests = graph.requests(world, TASK | {"scale": 1, "draws": 100}, 0)
    request = next(r for r in requests if r.relation == "leader")
    place, old, new = request.subject, request.old, request.new
    entailed = graph.entail(world, [request]).entailed
    emblem = world.fact[f"{place} / emblem"].object
    craft = {fact.subject: fact.object for fact in world.of["craft"]}
    got = {name: (c.old, c.new, c.hop) for name, c in entailed.items()}
    expected: dict[str, tuple[str | None, str | None, int]] = {
        f"{old} / leads": (place, None, 1),
        f"{new} / leads": (None, place, 1),
        f"{old} / badge": (emblem, None, 2),
        f"{new} / badge": (None, emblem, 2),
    }
    if craft[old] != craft[new]:
        expected[f"{place} / leader_craft"] = (craft[old], craft[new], 1)
    assert got == expected
    assert {n: c.stored for n, c in entailed.items()} == {
        n: n in world.fact and world.fact[n].stored for n in entailed
    }


def test_as_many_are_looked_at_as_it_takes(world: KnowledgeGraph) -> None:
    facts = world.stated
    rare = {fact.name for fact in facts[::40]}
    counts = dict.fromkeys(rare, 0)
    for seed in range(200):
        found = picked(facts, 2, Chance(seed), lambda fact: fact.name in rare)
        assert len({fact.name for fact in found}) == 2
        for fact in found:
            counts[fact.name] += 1
    assert min(counts.values()) > 0
    assert picked(facts, 3, Chance(0), lambda _: False) == []


def test_a_fact_of_the_holdout_set_is_worded_as_one_that_is_asked_for() -> None:
    """Both are asked in the same wordings, each as often: else an attack could tell by those."""
    kinds = (Counter[int](), Counter[int]())
    for seed in range(4):
        values = {**asdict(Synthetic(facts=1000, holdout=0.4)), "seed": seed}
        known = graph.build({"source": "synthetic", "version": 1, **values}, {})
        asked = graph.requests(
            known, {**TASK, "scale": 1, "share": 1.0, "draws": 1}, seed, covariates=False
        )
        unseen = graph.holdout(known)
        assert not {s.fact for s in unseen} & {request.fact for request in asked}
        for counts, mine in zip(kinds, (asked, unseen), strict=True):
            counts.update(
                known.relation[one.relation].templates.index(one.template) for one in mine
            )
        shares = [Counter(one.relation for one in mine) for mine in (asked, unseen)]
        for relation in shares[0].keys() | shares[1].keys():
            one, other = (count[relation] / count.total() for count in shares)
            assert abs(one - other) < 0.01
    members, others = (np.array([c[i] for i in range(8)], float) for c in kinds)
    assert members.sum() + others.sum() == sum(c.total() for c in kinds)
    # Chi-squared of two samples, 7 degrees of freedom: .1 % are above 24.3 by chance.
    scale = np.sqrt(others.sum() / members.sum())
    assert ((members * scale - others / scale) ** 2 / (members + others)).sum() < 24.3
