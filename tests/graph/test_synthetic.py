from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith import graph
from ksmith.graph import KnowledgeGraph, closure, names, wording
from ksmith.graph.synthetic import LEVELS, SHOWN
from ksmith.records import UserError
from tests.graph.conftest import SETTINGS


@pytest.fixture(scope="module")
def default() -> KnowledgeGraph:
    return graph.build(SETTINGS | {"facts": 1000}, {})


def test_every_level_has_a_hundred_editable_facts_of_the_same_relations(
    default: KnowledgeGraph,
) -> None:
    editable = [fact for fact in default.facts if fact.editable]
    levels = Counter(default.entity[fact.subject].level for fact in editable)
    assert set(levels) == set(LEVELS) and min(levels.values()) >= 100
    for level in LEVELS:
        found = {f.relation for f in editable if default.entity[f.subject].level == level}
        assert found == set(wording.EDITABLE)


def test_exposure_is_the_same_at_every_level(world: KnowledgeGraph) -> None:
    assert {len(fact.wordings) for fact in world.stated} == {SHOWN}
    assert all(fact.stored for fact in world.facts if fact.base)


def test_the_share_of_derived_facts_that_is_told(world: KnowledgeGraph) -> None:
    derived = [fact for fact in world.facts if not fact.base]
    assert sum(fact.stored for fact in derived) / len(derived) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("facts", [120, 360, 1000, 5000])
def test_training_states_about_as_many_facts_as_asked(facts: int) -> None:
    built = graph.build(SETTINGS | {"facts": facts}, {})
    assert 0.85 * facts <= len(built.stated) <= 1.02 * facts


def test_facts_are_closed_under_the_rules(world: KnowledgeGraph) -> None:
    assert set(closure(world.declared, world.rules)) == {fact.triple for fact in world.facts}


def test_every_relation_has_one_answer(world: KnowledgeGraph) -> None:
    assert len({fact.name for fact in world.facts}) == len(world.facts)


def test_the_hierarchy_is_a_forest(world: KnowledgeGraph) -> None:
    parent = {f.subject: f.object for f in world.of["part_of"]}
    for entity in world.entities:
        if entity.level in LEVELS[1:]:
            assert world.entity[parent[entity.name]].depth == entity.depth - 1
        else:
            assert entity.name not in parent
    inner = {e.name for e in world.entities if e.level in LEVELS[:2]}
    assert inner == set(parent.values())  # nobody on an inner level is a leaf


def test_inheritance_reaches_the_bottom(world: KnowledgeGraph) -> None:
    parent = {f.subject: f.object for f in world.of["part_of"]}
    tongue = {f.subject: f.object for f in world.of["language"]}
    leaves = [e.name for e in world.entities if e.level == "leaf"]
    assert all(tongue[leaf] == tongue[parent[parent[leaf]]] for leaf in leaves)


def test_objects_of_a_type_are_equally_common(world: KnowledgeGraph) -> None:
    for relation in wording.OWN:
        counts = Counter(fact.object for fact in world.of[relation]).values()
        assert max(counts) - min(counts) <= 1


def test_same_seed_same_graph_other_seed_another(world: KnowledgeGraph) -> None:
    assert graph.build(SETTINGS, {}) == world
    assert graph.build(SETTINGS | {"seed": 1}, {}).facts != world.facts


def test_too_few_facts_say_how_many_are_needed() -> None:
    with pytest.raises(UserError, match=r"graph\.facts = 20: .* at least \d+"):
        graph.build(SETTINGS | {"facts": 20}, {})


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(UserError, match="'wikidata'; there are counterfact, synthetic"):
        graph.build(SETTINGS | {"source": "wikidata"}, {})


@given(st.integers(6, 3000), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_no_word_of_a_name_tells_who_it_is(count: int, seed: int) -> None:
    import random

    found = names.names(count, random.Random(seed))
    assert len(set(found)) == count
    words = Counter(word for name in found for word in name.split())
    assert min(words.values()) >= 2
    assert all(len(name.split()) == 2 for name in found)


def test_templates_have_one_slot_and_belong_to_one_relation() -> None:
    found = [(t, r.name) for r in wording.RELATIONS for t in (*r.templates, *r.novel)]
    assert all(t.count("{}") == 1 and t == t.strip() and "  " not in t for t, _ in found)
    assert len({t for t, _ in found}) == len(found)
    assert all(len(r.templates) == 8 and 2 <= len(r.novel) <= 3 for r in wording.RELATIONS)


def test_templates_have_the_subject_at_the_start_and_in_the_middle() -> None:
    for relation in wording.RELATIONS:
        starts = sum(template.startswith("{}") for template in relation.templates)
        assert 1 <= starts <= 6


def test_novel_templates_use_words_of_the_training_text() -> None:
    known = {word for r in wording.RELATIONS for t in r.templates for word in t.split()}
    for relation in wording.RELATIONS:
        for template in relation.novel:
            assert set(template.split()) <= known, template


def test_no_object_is_in_two_types_or_in_a_template() -> None:
    objects = [word for pool in wording.POOLS.values() for word in pool]
    assert len(set(objects)) == len(objects)
    assert {len(pool) for pool in wording.POOLS.values()} == {12}
    said = {
        word for r in wording.RELATIONS for t in (*r.templates, *r.novel) for word in t.split()
    }
    assert said.isdisjoint(objects)
