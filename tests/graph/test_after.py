"""The graph after a change: true of the closure, and told as the graph before was."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ksmith import graph
from ksmith.graph import KnowledgeGraph, Rule, closure, entail
from ksmith.graph.change import settled
from ksmith.graph.rules import Triple
from ksmith.graph.text import prompt_of, stated
from ksmith.records import Request, TaskKind, UserError
from tests.graph.conftest import Write, counterfact, town_records
from tests.graph.naive import NODES, asked, declared, graph_of, naive, rule_sets


@given(declared(), rule_sets(), st.data())
@settings(max_examples=40, deadline=None)
def test_its_facts_are_the_closure_that_entail_compares_with(
    base: frozenset[Triple], rules: tuple[Rule, ...], data: st.DataObject
) -> None:
    before = graph_of(base, rules)
    facts = data.draw(
        st.lists(
            st.sampled_from(sorted(before.world)),
            min_size=1,
            max_size=3,
            unique_by=lambda fact: fact[:2],
        )
    )
    requests = [asked(fact, data.draw(st.sampled_from((*NODES, None)))) for fact in facts]
    assume(all(request.new != request.old for request in requests))
    try:
        revision, _ = settled(before, requests)
    except UserError:
        assume(False)
        return
    changed = graph.after(before, requests)
    triples = [fact.triple for fact in changed.facts]
    assert len(set(triples)) == len(triples)
    expected = naive(
        (set(base) - set(revision.removed)) | set(revision.added),
        rules,
        before.overridden | revision.blocked.keys(),
        {fact.triple for fact in before.stated},
    )
    assert set(triples) == expected
    # By itself, too: what is declared and blocked is all that a reader needs.
    said = {fact.triple for fact in changed.stated}
    assert set(closure(changed.declared, rules, changed.blocked, said)) == expected
    overridden = before.overridden.union(revision.blocked)
    assert changed.overridden == overridden | {t[:2] for t in changed.declared}


def draws(world: KnowledgeGraph, kind: TaskKind, scale: int, number: int) -> list[Request]:
    task = {"kind": kind, "level": "any", "scale": scale, "draws": number + 1}
    return [r for r in graph.requests(world, task, 0) if r.draw == number]


def told(world: KnowledgeGraph) -> Counter[str]:
    """Return every way in which training states a fact, without the sentence before it."""
    return Counter(
        stated(prompt_of(world, fact, index), fact.object)
        for fact in world.stated
        for index in fact.wordings
    )


def names(world: KnowledgeGraph, sentences: Collection[str]) -> set[str]:
    """Return the facts that say one of the sentences."""
    return {
        fact.name
        for fact in world.stated
        for index in fact.wordings
        if stated(prompt_of(world, fact, index), fact.object) in sentences
    }


@pytest.mark.parametrize("number", range(4))
def test_an_edit_tells_other_facts_in_the_same_words(
    world: KnowledgeGraph, number: int
) -> None:
    requests = draws(world, "edit", 6, number)
    changed = graph.after(world, requests)
    touched = entail(world, requests).touched
    before, now = told(world), told(changed)
    assert names(world, before - now) | names(changed, now - before) <= touched
    for request in requests:
        fact = changed.fact[request.fact]
        assert fact.object == request.new
        assert fact.wordings == world.fact[request.fact].wordings  # exposure is the same
    assert Counter(f.relation for f in changed.facts) == Counter(
        f.relation for f in world.facts
    )
    assert sum(now.values()) == sum(before.values())
    # What stays does so in its place, so that the same draw words it in the same epoch.
    moved = [(a, b) for a, b in zip(world.facts, changed.facts, strict=True) if a != b]
    assert {name for pair in moved for name in (pair[0].name, pair[1].name)} <= touched


@pytest.mark.parametrize("number", range(4))
def test_unlearning_leaves_out_what_is_forgotten_and_no_more(
    world: KnowledgeGraph, number: int
) -> None:
    requests = draws(world, "unlearn", 6, number)
    changed = graph.after(world, requests)
    change = entail(world, requests)
    before, now = told(world), told(changed)
    assert not now - before
    assert names(world, before - now) <= change.touched
    assert not any(request.fact in changed.fact for request in requests)
    gone = {name for name, c in {**change.target, **change.entailed}.items() if c.new is None}
    assert gone and not gone & changed.fact.keys()


def test_training_text_has_every_sentence_of_the_facts_after(world: KnowledgeGraph) -> None:
    changed = graph.after(world, draws(world, "edit", 6, 0))
    said = Counter(
        sentence.text
        for sentence in graph.sentences(replace(changed, leads=()), 3)
        if sentence.kind == "fact"
    )
    assert said == told(changed)
    assert changed.types == world.types and changed.entities == world.entities


def test_a_benchmark_fact_is_changed_in_place(write: Write) -> None:
    world = graph.build(counterfact(), write(town_records()))
    requests = draws(world, "edit", 3, 1)
    changed = graph.after(world, requests)
    differ = [(a, b) for a, b in zip(world.facts, changed.facts, strict=True) if a != b]
    assert {a.name for a, _ in differ} == {request.fact for request in requests}
    assert all(a.wordings == b.wordings and a.name == b.name for a, b in differ)


def test_a_new_fact_takes_the_words_of_the_one_it_displaces() -> None:
    rules = (Rule(body=("r0",), head="r1"), Rule(body=("r1",), head="r0"))
    before = graph_of(frozenset({("a", "r0", "b"), ("c", "r0", "d")}), rules)
    facts = tuple(
        replace(fact, wordings=(0,) if fact.triple == ("d", "r1", "c") else ())
        for fact in before.facts
    )
    changed = graph.after(replace(before, facts=facts), [asked(("c", "r0", "d"), "e")])
    assert {f.triple: f.wordings for f in changed.facts if f.relation == "r1"} == {
        ("b", "r1", "a"): (),
        ("e", "r1", "c"): (0,),  # who leads c is told of e, as it was told of d
    }


def test_what_takes_no_place_is_told_as_its_like() -> None:
    rules = (Rule(body=("r0", "r1"), head="r2"),)
    base = frozenset({("a", "r0", "b"), ("c", "r1", "d"), ("e", "r0", "c")})
    before = graph_of(base, rules)
    changed = graph.after(before, [asked(("a", "r0", "b"), "c")])
    new = changed.fact["a / r2"]
    assert (new.object, new.base) == ("d", False)
    assert new.wordings == before.fact["e / r2"].wordings


def test_it_is_saved_with_what_is_blocked(tmp_path: Path) -> None:
    rules: Any = (Rule(body=("r0", "r1"), head="r1", default=True),)
    base = frozenset({("a", "r1", "e"), ("b", "r0", "a")})
    changed = graph.after(graph_of(base, rules), [asked(("b", "r1", "e"), None)])
    assert changed.blocked == (("b", "r1"),)
    assert "b / r1" not in changed.fact
    graph.save(changed, tmp_path)
    assert graph.load(tmp_path) == changed
