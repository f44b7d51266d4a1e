"""Entailment against `tests.graph.naive`, and by hand."""

from collections.abc import Collection

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ksmith.graph import (
    Changed,
    Rule,
    Several,
    closure,
    entail,
)
from ksmith.graph.rules import Triple, World, declared_keys
from ksmith.records import Request, UserError
from tests.graph.naive import (
    FUNCTIONAL,
    NODES,
    SAID,
    Brute,
    asked,
    declared,
    graph_of,
    naive,
    rule_sets,
)


@given(declared(), rule_sets())
@settings(max_examples=60, deadline=None)
def test_closure_is_the_naive_one(base: frozenset[Triple], rules: tuple[Rule, ...]) -> None:
    found = closure(base, rules, stated=SAID)
    assert set(found) == naive(base, rules, declared_keys(base))


@given(declared(), rule_sets(), st.data())
@settings(max_examples=60, deadline=None)
def test_entailment_is_the_naive_one(
    base: frozenset[Triple], rules: tuple[Rule, ...], data: st.DataObject
) -> None:
    check_against_brute_force(base, rules, data)


# Everything at once: r0 and r1 are inverse, r2 is its own inverse, r3 has many objects and an
# inverse with one, r4 follows from a chain of two compositions, r5 is inherited along r0.
HOUSE = (
    Rule(body=("r0",), head="r1"),
    Rule(body=("r2",), head="r2"),
    Rule(body=("r5",), head="r3"),
    Rule(body=("r0", "r2"), head="r6", cut=1),
    Rule(body=("r6", "r5"), head="r4", cut=1),
    Rule(body=("r0", "r5"), head="r5", default=True),
)


@given(declared(("r0", "r2", "r5", "r6"), least=5), st.data())
@settings(max_examples=60, deadline=None)
def test_entailment_of_all_kinds_of_rules_at_once_is_the_naive_one(
    base: frozenset[Triple], data: st.DataObject
) -> None:
    check_against_brute_force(base, HOUSE, data)


def others(fact: Triple) -> list[str]:
    return [node for node in NODES if node != fact[2]]


def check_against_brute_force(
    base: frozenset[Triple], rules: tuple[Rule, ...], data: st.DataObject
) -> None:
    graph = graph_of(base, rules)
    facts = data.draw(
        st.lists(
            st.sampled_from(sorted(graph.world)),
            min_size=1,
            max_size=4,
            unique_by=lambda fact: fact[:2],
        )
    )
    requests = [
        asked(fact, data.draw(st.sampled_from([*others(fact), None])), number=number)
        for number, fact in enumerate(facts)
    ]
    brute = Brute.of(base, rules, requests)
    event("requests: " + " ".join(sorted({request.kind for request in requests})))
    if not brute.solve():
        event("contradiction")
        with pytest.raises(UserError, match="contradict"):
            entail(graph, requests)
        return
    before, after = set(graph.world), brute.world
    event(f"cut: {bool(brute.cuts)}, overridden: {brute.blocked > brute.wanted.keys()}")
    change = entail(graph, requests)
    assert change.target.keys() == {request.fact for request in requests}
    assert {n: c.new for n, c in change.target.items()} == {
        r.fact: r.new if r.kind == "edit" else None for r in requests
    }
    check_requests_hold(requests, after)
    assert change.touched == {f"{s} / {r}" for s, r, _ in before ^ after}
    hops: dict[str, int] = {}
    for triple, hop in brute.hops(before, after).items():
        name = f"{triple[0]} / {triple[1]}"
        hops[name] = min(hop, hops.get(name, hop))
    found = [*change.target.items(), *change.entailed.items(), *change.several.items()]
    assert {name: changed.hop for name, changed in found} == hops
    for changed in change.entailed.values():
        assert changed.relation in FUNCTIONAL
        assert values(before, changed) == {changed.old} - {None}
        assert values(after, changed) == {changed.new} - {None}
    for several in change.several.values():
        old, new = values(before, several), values(after, several)
        assert several.relation not in FUNCTIONAL or max(len(old), len(new)) > 1
        assert (set(several.gone), set(several.new), set(several.kept)) == (
            old - new,
            new - old,
            old & new,
        )


def values(triples: Collection[Triple], changed: Changed | Several) -> set[str]:
    return {o for s, r, o in triples if (s, r) == (changed.subject, changed.relation)}


def check_requests_hold(requests: list[Request], after: set[Triple]) -> None:
    for request in requests:
        key = (request.subject, request.relation)
        now = {o for s, r, o in after if (s, r) == key}
        if request.relation in FUNCTIONAL:
            assert now == (set() if request.kind == "unlearn" else {request.new})
        else:
            assert request.old not in now
            assert request.kind == "unlearn" or request.new in now


LEADS = (
    Rule(body=("r0",), head="r1"),
    Rule(body=("r1",), head="r0"),
    Rule(body=("r0", "r2"), head="r3", cut=1),
)


def test_a_removed_fact_does_not_come_back_through_its_inverse() -> None:
    base = frozenset({("a", "r0", "b"), ("b", "r1", "a")})
    change = entail(graph_of(base, LEADS), [asked(("a", "r0", "b"), None)])
    assert change.target["a / r0"].new is None
    assert change.entailed["b / r1"].new is None


def test_a_derived_fact_is_cut_by_the_rules_preference() -> None:
    rules = (Rule(body=("r0", "r1"), head="r2", cut=1),)
    base = frozenset({("a", "r0", "b"), ("b", "r1", "c")})
    change = entail(graph_of(base, rules), [asked(("a", "r2", "c"), "d")])
    assert change.target["a / r2"].new == "d"
    assert {name: changed.new for name, changed in change.entailed.items()} == {"b / r1": None}
    assert change.entailed["b / r1"].hop == 1


def test_an_exception_to_a_default_cuts_nothing_and_is_inherited_in_turn() -> None:
    rules = (Rule(body=("r0", "r1"), head="r1", default=True),)
    base = frozenset({("a", "r1", "e"), ("b", "r0", "a"), ("c", "r0", "b")})
    graph = graph_of(base, rules)
    change = entail(graph, [asked(("b", "r1", "e"), "d")])
    assert change.target["b / r1"].new == "d"
    assert {n: (c.new, c.hop) for n, c in change.entailed.items()} == {"c / r1": ("d", 1)}
    change = entail(graph, [asked(("a", "r1", "e"), None)])
    assert {n: (c.new, c.hop) for n, c in change.entailed.items()} == {
        "b / r1": (None, 1),
        "c / r1": (None, 2),
    }


def test_what_was_inherited_is_overridden_rather_than_its_parent_lost() -> None:
    rules = (
        Rule(body=("r0", "r1"), head="r1", default=True),
        Rule(body=("r2", "r1"), head="r3", cut=1),
    )
    base = frozenset({("b", "r0", "a"), ("a", "r1", "e"), ("c", "r2", "b")})
    change = entail(graph_of(base, rules), [asked(("c", "r3", "e"), None)])
    assert {n: c.new for n, c in change.entailed.items()} == {"b / r1": None}


def test_several_answers_are_open() -> None:
    rules = (Rule(body=("r0",), head="r3"),)  # r3 has many objects
    base = frozenset({("a", "r0", "b"), ("c", "r0", "b")})
    change = entail(graph_of(base, rules), [asked(("a", "r0", "b"), "d")])
    assert change.open == {"b / r3", "d / r3"}
    assert not change.entailed


def test_requests_that_contradict_each_other_are_refused() -> None:
    base = frozenset({("a", "r0", "b"), ("c", "r1", "d")})
    requests = [asked(("a", "r0", "b"), "e"), asked(("c", "r1", "d"), "a", number=1)]
    with pytest.raises(UserError, match=r"0\.0 and 0\.1 .*contradict.* entails a / r0 = c"):
        entail(graph_of(base, LEADS), requests)


def test_a_request_can_contradict_itself() -> None:
    rules = (Rule(body=("r0",), head="r0"), Rule(body=("r0", "r0"), head="r1"))
    base = frozenset({("a", "r0", "b"), ("c", "r1", "d")})
    requests = [asked(("a", "r0", "b"), "c"), asked(("c", "r1", "d"), "e", number=1)]
    with pytest.raises(UserError, match=r"0\.1 and 0\.0 .*c / r1 = c, and 0\.1 asks for e"):
        entail(graph_of(base, rules), requests)
    chained = (Rule(body=("r0",), head="r1"), Rule(body=("r0", "r1"), head="r0"))
    with pytest.raises(UserError, match=r"request 0\.0 contradicts itself: a / r0 = c entails"):
        entail(graph_of(frozenset({("c", "r0", "b"), ("a", "r0", "b")}), chained), requests[:1])


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([asked(("a", "r0", "b"), "b")], "changes nothing: a / r0"),
        ([asked(("a", "r0", "x"), "b")], "not a fact of the graph: a / r0 = x"),
        ([asked(("a", "r0", "b"), "c"), asked(("a", "r0", "b"), "d")], "change the same fact"),
    ],
)
def test_requests_that_make_no_sense_are_refused(requests: list[Request], message: str) -> None:
    with pytest.raises(UserError, match=message):
        entail(graph_of(frozenset({("a", "r0", "b")}), LEADS), requests)


def test_no_requests_change_nothing() -> None:
    assert not entail(graph_of(frozenset({("a", "r0", "b")}), LEADS), []).touched


@given(declared(), declared(), declared())
@settings(max_examples=50, deadline=None)
def test_a_world_on_top_of_another_is_a_set(
    below: frozenset[Triple], out: frozenset[Triple], extra: frozenset[Triple]
) -> None:
    under = World(below)
    world, plain = World(under=under), set(below)
    for triple in out:
        world.discard(triple)
        plain.discard(triple)
    for triple in extra:
        assert world.add(triple) == (triple not in plain)
        plain.add(triple)
    assert set(world) == plain and set(under) == below
    for subject, relation, object_ in below | extra:
        assert set(world.objects(relation, subject)) == {
            o for s, r, o in plain if (s, r) == (subject, relation)
        }
        assert set(world.subjects(relation, object_)) == {
            s for s, r, o in plain if (r, o) == (relation, object_)
        }
