"""What lies near a forget set: by the hierarchy, by objects in common, by type."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from ksmith.graph.knowledge import Fact, KnowledgeGraph
from ksmith.graph.near import Near, Surroundings
from ksmith.records import Request, Statement
from tests.graph.test_forget import hand_made

#        a                z
#     b     e             y
#   c   d     f
PARENTS = {"b": ["a"], "e": ["a"], "c": ["b"], "d": ["b"], "f": ["e"], "y": ["z"]}
DEPTH = {"a": 0, "z": 0, "b": 1, "e": 1, "y": 1, "c": 2, "d": 2, "f": 2}


@pytest.fixture(scope="module")
def tree() -> KnowledgeGraph:
    known = hand_made(PARENTS, DEPTH)
    own = {fact.subject: f"shade {fact.subject}" for fact in known.of["colour"]}
    own["y"] = own["c"]  # far away, and of one colour
    facts = (
        replace(f, object=own[f.subject]) if f.relation == "colour" else f for f in known.facts
    )
    return replace(known, facts=tuple(facts))


def asked(tree: KnowledgeGraph, names: str) -> list[Request]:
    return [
        Request(
            id=name, draw=0, kind="unlearn", subject=name, relation="colour",
            old=tree.fact[f"{name} / colour"].object, new="unknown", template="{}",
        )
        for name in names
    ]  # fmt: skip


def colours(tree: KnowledgeGraph, near: Near | None) -> str:
    """Return whose colours are near."""
    assert near is not None
    return "".join(f.subject for f in tree.of["colour"] if near.holds(stated(f)))


def stated(fact: Fact) -> Statement:
    return Statement(fact.subject, fact.relation, fact.object, "{}")


@pytest.mark.parametrize("kind", ["facts", "entity"])
@pytest.mark.parametrize(
    ("names", "near"),
    [("c", "bcdy"), ("b", "abcde"), ("a", "abe"), ("f", "ef"), ("cf", "bcdefy")],
)
def test_an_entity_is_near_what_is_a_step_away_or_beside_it(
    tree: KnowledgeGraph, kind: str, names: str, near: str
) -> None:
    found = Surroundings(tree, kind).near(asked(tree, names))
    assert sorted(colours(tree, found)) == sorted(near)


@pytest.mark.parametrize(
    ("level", "names", "near"),
    # Of the tree below b, e's is beside it; c alone is a branch of one; y shares the colour of c.
    [
        ("intermediate", "bcd", "abcdefy"),
        ("leaf", "c", "bcdy"),
        ("leaf", "cd", "bcdy"),
        ("intermediate", "ef", "aefbcd"),
        ("root", "abcdef", "abcdefy"),
        ("any", "abcdef", "abcdefy"),
        # The top may have nothing to forget, and so may members below it.
        ("intermediate", "cd", "abcdefy"),
        ("intermediate", "f", "aefbcd"),
        ("root", "f", "abcdef"),
        (None, "cf", "abcdefy"),
    ],
)
def test_a_branch_is_near_the_branches_beside_it(
    tree: KnowledgeGraph, level: str | None, names: str, near: str
) -> None:
    found = Surroundings(tree, "branch", level).near(asked(tree, names))
    assert sorted(colours(tree, found)) == sorted(near)


def test_a_relation_is_near_those_of_one_type(tree: KnowledgeGraph) -> None:
    relations = [
        replace(r, objects="colour") if r.name == "near" else r for r in tree.relations
    ]
    known = replace(tree, relations=tuple(relations))
    found = Surroundings(known, "relation").near(asked(known, "c"))
    assert found == Near(relations=frozenset({"colour", "near"}))
    assert of_relations(known, found) == {"colour", "near"}


def of_relations(known: KnowledgeGraph, near: Near | None) -> set[str]:
    assert near is not None
    facts: Iterable[Fact] = known.facts
    return {fact.relation for fact in facts if near.holds(stated(fact))}


def test_without_a_hierarchy_what_has_the_same_object_is_near(tree: KnowledgeGraph) -> None:
    flat = replace(tree, settings={"levels": "centrality"})
    assert colours(flat, Surroundings(flat, "facts").near(asked(flat, "c"))) == "yc"


def test_of_questions_and_answers_nobody_can_say(tree: KnowledgeGraph) -> None:
    known = replace(tree, source="qa")
    assert Surroundings(known, "facts").near(asked(known, "c")) is None
