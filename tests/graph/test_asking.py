import re
from collections import Counter
from dataclasses import replace

import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph
from ksmith.graph.asking import TARGETS
from ksmith.records import Json, UserError
from tests.graph.conftest import Write, counterfact, town_records


def task(**changed: Json) -> dict[str, Json]:
    return {"kind": "edit", "method": "rome", "level": "leaf", "scale": 4, "draws": 5} | changed


def test_draws_are_disjoint_and_of_the_level(world: KnowledgeGraph) -> None:
    found = graph.requests(world, task(), 0)
    assert len({request.fact for request in found}) == len(found) == 20
    assert Counter(request.draw for request in found) == dict.fromkeys(range(5), 4)
    assert len({request.id for request in found}) == 20
    assert {world.entity[request.subject].level for request in found} == {"leaf"}
    assert {request.level for request in found} == {"leaf"}


def test_requests_do_not_depend_on_the_method_or_the_kind(world: KnowledgeGraph) -> None:
    rome = graph.requests(world, task(), 0)
    assert graph.requests(world, task(method="npo"), 0) == rome
    unlearned = graph.requests(world, task(kind="unlearn"), 0)
    assert [r.fact for r in unlearned] == [r.fact for r in rome]
    assert {r.new for r in unlearned} == {graph.NEUTRAL}
    assert graph.requests(world, task(), 1) != rome


@pytest.mark.parametrize("level", ["root", "intermediate", "leaf", "any", None])
def test_new_objects_are_of_the_type_and_each_request_is_in_its_target(
    world: KnowledgeGraph, level: str | None
) -> None:
    for request in graph.requests(world, task(level=level, scale=1, draws=30), 3):
        assert request.new in graph.objects(world, request.relation)
        assert request.new != request.old == world.fact[request.fact].object
        change = graph.entail(world, [request])
        assert change.target[request.fact].new == request.new
        assert not change.open


def test_a_new_leader_leads_nothing_else(world: KnowledgeGraph) -> None:
    leaders = {fact.object for fact in world.of["leader"]}
    found = graph.requests(world, task(level="any", scale=1, draws=120), 0)
    new = [request.new for request in found if request.relation == "leader"]
    assert len(new) >= 5 and leaders.isdisjoint(new)


def test_a_draw_that_replaces_every_leader_gives_no_place_two(world: KnowledgeGraph) -> None:
    total = sum(fact.editable for fact in world.facts)
    everything = graph.requests(world, task(level="any", scale=total, draws=1), 0)
    new = [request.new for request in everything if request.relation == "leader"]
    assert len(set(new)) == len(new) == len(world.of["leader"])
    assert not graph.entail(world, everything).open


def test_covariates_say_what_a_level_may_be_confounded_with(world: KnowledgeGraph) -> None:
    requests = graph.requests(world, task(level="any", scale=2, draws=60), 0)
    by_relation = {request.relation: request.covariates for request in requests}
    assert by_relation["crop"]["fan_out"] == 0 < by_relation["emblem"]["fan_out"]
    assert by_relation["leader"]["sharing"] == 0 < by_relation["crop"]["sharing"]
    assert by_relation["crop"]["candidates"] == len(world.types["crop"])
    assert {request.covariates["exposure"] for request in requests} == {5}
    assert {request.covariates["share"] for request in requests} == {2 / len(world.stated)}
    depth = {"root": 0, "intermediate": 1, "leaf": 2}
    assert all(r.covariates["depth"] == depth[str(r.level)] for r in requests)


@pytest.mark.parametrize("kind", ["edit", "unlearn"])
def test_without_covariates_the_requests_are_the_same(world: KnowledgeGraph, kind: str) -> None:
    asked = task(kind=kind, level="any", scale=7, draws=8)
    bare = graph.requests(world, asked, 0, covariates=False)
    assert bare == [replace(r, covariates={}) for r in graph.requests(world, asked, 0)]


def test_too_few_facts_say_how_many_there_are(world: KnowledgeGraph) -> None:
    there = sum(f.editable and world.entity[f.subject].level == "root" for f in world.facts)
    with pytest.raises(UserError) as caught:
        graph.requests(world, task(level="root", scale=100, draws=3), 0)
    assert "3 draws of 100 need 300" in str(caught.value)
    assert f"{there} editable facts at level 'root'" in str(caught.value)
    assert len(graph.requests(world, task(level="root", scale=there, draws=1), 0)) == there


def test_a_level_that_is_not_there_is_refused(world: KnowledgeGraph, write: Write) -> None:
    with pytest.raises(UserError, match=r"'stem'.*it has root, intermediate, leaf"):
        graph.requests(world, task(level="stem"), 0)
    flat = graph.build(counterfact(), write(town_records()))
    with pytest.raises(UserError, match="'counterfact'; it has no levels"):
        graph.requests(flat, task(level="root"), 0)
    with pytest.raises(UserError, match=r"17 different ones.* has 16 .*graph\.records"):
        graph.requests(flat, task(level="any", scale=1, draws=17), 0)


def test_a_uniform_target_is_of_all_objects_of_the_type(world: KnowledgeGraph) -> None:
    asked = task(kind="unlearn", level="any", neutral="uniform", scale=2, draws=60)
    found = graph.requests(world, asked, 0)
    assert found == graph.requests(world, asked, 0)
    facts = [request.fact for request in graph.requests(world, asked | {"kind": "edit"}, 0)]
    assert [request.fact for request in found] == facts
    sizes: set[int] = set()
    for request in found:
        pool = set(graph.objects(world, request.relation))
        assert request.old in request.others and request.new != request.old
        assert len(set(request.targets)) == len(request.targets) == min(len(pool), TARGETS)
        assert set(request.targets) <= pool
        assert graph.entail(world, [request]).target[request.fact].new is None
        sizes.add(len(pool))
    assert min(sizes) < TARGETS < max(sizes)  # both kinds were seen


def test_a_uniform_target_among_one_object_is_refused(world: KnowledgeGraph) -> None:
    types = {**world.types, world.relation["crop"].objects: ("rye",)}
    alone = replace(world, types=types)
    asked = task(kind="unlearn", neutral="uniform", scale=1, draws=1)
    why = r"'crop' has no object but 'rye'; use \"abstain\""
    with pytest.raises(UserError, match=why):
        graph.check(alone, asked)
    with pytest.raises(UserError, match=why):
        graph.requests(alone, asked, 0)
    graph.check(alone, asked | {"neutral": "abstain"})


@pytest.mark.parametrize("aliases", [(), (graph.NEUTRAL,)])
def test_who_answers_unknown_is_not_made_to_abstain(
    world: KnowledgeGraph, aliases: tuple[str, ...]
) -> None:
    """By its name or by another: its answer would be learnt in its own place."""
    first = next(fact for fact in world.facts if fact.editable)
    told = first.object if aliases else graph.NEUTRAL
    facts = [replace(f, object=told) if f is first else f for f in world.facts]
    named = [e for e in world.entities if e.name != told]
    entities = (*named, graph.Entity(name=told, type="thing", aliases=aliases))
    known = replace(world, facts=tuple(facts), entities=entities)
    why = re.escape(f"the answer of {first.name!r} is {told!r} as it is")
    with pytest.raises(UserError, match=why):
        graph.check(known, task(kind="unlearn", level="any"))
    graph.check(known, task(kind="unlearn", level="any", neutral="prior"))
    graph.check(known, task(kind="edit", level="any"))


def test_the_prior_is_the_most_common_other_object(world: KnowledgeGraph) -> None:
    asked = task(kind="unlearn", neutral="prior", scale=1, draws=30)
    found = graph.requests(world, asked, 0)
    assert [r.fact for r in found] == [r.fact for r in graph.requests(world, asked, 0)]
    for request in found:
        counts = Counter(fact.object for fact in world.of[request.relation])
        best = max(count for name, count in counts.items() if name != request.old)
        assert request.new != request.old
        assert counts[request.new] == best
        # What is unlearned has no answer afterwards, whatever is said instead.
        assert graph.entail(world, [request]).target[request.fact].new is None
