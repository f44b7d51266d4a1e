"""What an edit is to leave as it is: prompts about the subject's other relations, no answers."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ksmith import graph
from ksmith.graph.kept import MOST
from ksmith.graph.knowledge import Entity, Fact, KnowledgeGraph, Relation, set_aside
from ksmith.records import Request, UserError, fact_name
from tests.graph.conftest import Write, counterfact, town_records

TASK = {"kind": "edit", "level": "any", "scale": 1, "draws": 40}
SEED = 3


def relations_of(world: KnowledgeGraph, templates: list[str]) -> list[str]:
    named = {t: relation.name for relation in world.relations for t in relation.templates}
    return [named[template] for template in templates]


def alone(world: KnowledgeGraph, requests: list[Request]) -> dict[str, list[str]]:
    return graph.kept(world, [[request] for request in requests], SEED)


def test_neither_the_request_nor_what_may_follow_nor_what_is_set_aside(
    world: KnowledgeGraph,
) -> None:
    requests = graph.requests(world, TASK, 0)
    found = alone(world, requests)
    assert {r.relation for r in requests} >= {"leader", "emblem", "colour", "export"}
    for request in requests:
        kept = relations_of(world, found[request.fact])
        assert 3 < len(kept) <= MOST and len(set(kept)) == len(kept)
        assert request.relation not in kept
        names = {fact_name(request.subject, relation) for relation in kept}
        assert names.isdisjoint(graph.entail(world, [request]).touched)
        assert not any(set_aside(name) for name in names)
        told = {fact.relation for fact in world.about[request.subject] if fact.stored}
        left = {r for r in told - set(kept) if not set_aside(fact_name(request.subject, r))}
        following = {"leader": {"leader_craft"}, "colour": {"banner"}, "export": {"import"}}
        assert left <= {request.relation} | following.get(request.relation, set())


def test_a_rule_s_conclusion_is_left_out_whether_it_holds_here_or_not(
    world: KnowledgeGraph,
) -> None:
    """A method must not be told what follows: banners are of children, of every place's."""
    for request in graph.requests(world, TASK, 0):
        kept = relations_of(world, alone(world, [request])[request.fact])
        if request.relation == "colour":
            assert "banner" not in kept
        if request.relation == "leader":
            assert not {"leads", "leader_craft", "badge"} & set(kept)


def test_prompts_are_words_of_training_that_no_probe_asks_with(world: KnowledgeGraph) -> None:
    requests = graph.requests(world, TASK, 0)
    for request in requests:
        asked = {s.template for s in graph.same_subject(world, request, 99, 0)}
        for template in alone(world, [request])[request.fact]:
            (relation,) = relations_of(world, [template])
            fact = world.fact.get(fact_name(request.subject, relation))
            shown = world.worded(relation, fact.wordings if fact else ())
            assert template in shown["unseen"] and template not in asked


def test_what_else_the_batch_changes_of_the_subject_is_not_kept(world: KnowledgeGraph) -> None:
    first = next(r for r in graph.requests(world, TASK, 0) if r.relation == "crop")
    other = relations_of(world, alone(world, [first])[first.fact])[0]
    second = replace(first, relation=other, id="0.1")
    together = graph.kept(world, [[first, second]], SEED)
    assert other not in relations_of(world, together[first.fact])
    assert "crop" not in relations_of(world, together[second.fact])
    apart = graph.kept(world, [[first], [second]], SEED)  # one after the other
    assert other in relations_of(world, apart[first.fact])


def test_the_same_seed_keeps_the_same(world: KnowledgeGraph) -> None:
    requests = graph.requests(world, TASK, 0)
    assert alone(world, requests) == alone(world, requests[::-1])
    assert alone(world, requests) != graph.kept(world, [requests], SEED + 1)


def test_a_benchmark_s_relations_are_those_of_its_file(write: Write) -> None:
    built = graph.build(counterfact(), write(town_records()))
    requests = graph.requests(built, TASK | {"draws": 16}, 0)
    found = alone(built, requests)
    for request in requests:
        (other,) = {relation.name for relation in built.relations} - {request.relation}
        aside = set_aside(fact_name(request.subject, other))
        assert relations_of(built, found[request.fact]) == [] if aside else [other]
    assert any(found.values())


def test_where_there_is_nothing_else_to_keep_it_is_said() -> None:
    names = [f"Town {i}" for i in range(4)]
    rivers = ("Elbe", "Oder")
    facts = [
        Fact(subject=a, relation="river", object=rivers[i % 2], editable=True, wordings=(0,))
        for i, a in enumerate(names)
    ]
    only = KnowledgeGraph(
        source="triples",
        settings={},
        types={"river": rivers},
        entities=tuple(Entity(name=name, type="town") for name in names),
        relations=(Relation(name="river", objects="river", templates=("{} lies on the",)),),
        facts=tuple(facts),
    )
    requests = graph.requests(only, TASK | {"draws": 2}, 0)
    with pytest.raises(UserError, match='keep may be "essence"'):
        alone(only, requests)
    assert graph.kept(only, [], SEED) == {}


def test_there_are_no_more_than_a_search_can_bear() -> None:
    """Of a file with a hundred relations some are drawn, others for another subject."""
    relations = tuple(
        Relation(name=f"r{i}", objects="word", templates=(f"{{}} has the r{i}",))
        for i in range(60)
    )
    facts = [
        Fact(subject=s, relation=r.name, object="x", editable=True, wordings=(0,))
        for s in ("a", "b")
        for r in relations
    ]
    wide = KnowledgeGraph(
        source="triples",
        settings={},
        types={"word": ("x", "y")},
        entities=tuple(Entity(name=name, type="thing") for name in ("a", "b")),
        relations=relations,
        facts=tuple(facts),
    )
    found = alone(wide, graph.requests(wide, TASK | {"draws": 9}, 0))
    assert {len(templates) for templates in found.values()} == {MOST}
    assert all(one != other for one, other in pairwise(found.values()))
