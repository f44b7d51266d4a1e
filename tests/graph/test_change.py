"""Entailment against an implementation that is too slow and too simple to be wrong."""

from collections.abc import Collection, Iterable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ksmith.graph import Changed, Entity, Fact, KnowledgeGraph, Relation, Rule, closure, entail
from ksmith.graph.change import Revision, settled
from ksmith.graph.rules import Triple, World, declared_keys
from ksmith.records import Request, UserError

NODES = ("a", "b", "c", "d", "e")
NAMES = ("r0", "r1", "r2", "r3")
FUNCTIONAL = ("r0", "r1", "r2")


def naive(
    base: Iterable[Triple], rules: Collection[Rule], blocked: Collection[tuple[str, str]]
) -> set[Triple]:
    """Return the closure of `base`: try every rule on everything until nothing is new."""
    known = set(base)
    while True:
        found = {head for _, head in steps(rules, known, blocked)}
        if found <= known:
            return known
        known |= found


def steps(
    rules: Collection[Rule], known: Collection[Triple], blocked: Collection[tuple[str, str]]
) -> list[tuple[tuple[Triple, ...], Triple]]:
    """Return (body, head) of every rule application on `known`."""
    found: list[tuple[tuple[Triple, ...], Triple]] = []
    for rule in rules:
        first = [triple for triple in known if triple[1] == rule.body[0]]
        if len(rule.body) == 1:
            found += [((triple,), (triple[2], rule.head, triple[0])) for triple in first]
            continue
        second = [triple for triple in known if triple[1] == rule.body[1]]
        found += [
            ((one, two), (one[0], rule.head, two[2]))
            for one in first
            for two in second
            if one[2] == two[0] and not (rule.default and (one[0], rule.head) in blocked)
        ]
    return found


def graph_of(base: Collection[Triple], rules: tuple[Rule, ...]) -> KnowledgeGraph:
    facts = [*base, *sorted(set(closure(base, rules)) - set(base))]
    return KnowledgeGraph(
        source="test",
        settings={},
        types={"node": NODES},
        entities=tuple(Entity(name=name, type="node") for name in NODES),
        relations=tuple(
            Relation(
                name=name, objects="node", templates=("{} x",), functional=name in FUNCTIONAL
            )
            for name in NAMES
        ),
        rules=rules,
        facts=tuple(
            Fact(subject=s, relation=r, object=o, base=(s, r, o) in base, wordings=(0,))
            for s, r, o in facts
        ),
    )


def asked(fact: Triple, new: str | None) -> Request:
    subject, relation, old = fact
    return Request(
        id="0.0",
        draw=0,
        kind="unlearn" if new is None else "edit",
        subject=subject,
        relation=relation,
        old=old,
        new=new or "unknown",
        template="{} x",
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for _ in range(draw(st.integers(1, 4))):
        body = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)))
        head = draw(st.sampled_from(NAMES))
        default = len(body) == 2 and head in FUNCTIONAL and draw(st.booleans())
        found.append(
            Rule(body=body, head=head, default=default, cut=draw(st.integers(0, len(body) - 1)))
        )
    return tuple(found)


@st.composite
def declared(draw: st.DrawFn) -> frozenset[Triple]:
    node = st.sampled_from(NODES)
    triples = draw(
        st.lists(st.tuples(node, st.sampled_from(NAMES), node), min_size=1, max_size=9)
    )
    one = {(s, r): (s, r, o) for s, r, o in triples if r in FUNCTIONAL}
    return frozenset([*one.values(), *(t for t in triples if t[1] not in FUNCTIONAL)])


@given(declared(), rule_sets())
@settings(max_examples=60, deadline=None)
def test_closure_is_the_naive_one(base: frozenset[Triple], rules: tuple[Rule, ...]) -> None:
    assert set(closure(base, rules)) == naive(base, rules, declared_keys(base))


@given(declared(), rule_sets(), st.data())
@settings(max_examples=150, deadline=None)
def test_entailment_is_the_naive_one(
    base: frozenset[Triple], rules: tuple[Rule, ...], data: st.DataObject
) -> None:
    graph = graph_of(base, rules)
    facts = data.draw(
        st.lists(
            st.sampled_from(sorted(graph.world)),
            min_size=1,
            max_size=3,
            unique_by=lambda fact: fact[:2],
        )
    )
    requests = [asked(fact, data.draw(st.sampled_from((*NODES, None)))) for fact in facts]
    assume(all(request.new != request.old for request in requests))
    try:
        revision, _ = settled(graph, requests)
    except UserError:
        assume(False)
        return
    before = set(graph.world)
    after = naive(
        (set(base) - set(revision.removed)) | set(revision.added),
        rules,
        graph.overridden | revision.blocked.keys(),
    )
    change = entail(graph, requests)
    check_requests_hold(requests, after)
    check_names(graph, change.touched, before, after)
    check_hops(graph, revision, {**change.target, **change.entailed}, before, after)
    for changed in change.entailed.values():
        assert values(before, changed) <= {changed.old} and values(after, changed) <= {
            changed.new
        }


def values(triples: Collection[Triple], changed: Changed) -> set[str | None]:
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


def check_names(
    graph: KnowledgeGraph, touched: Collection[str], before: set[Triple], after: set[Triple]
) -> None:
    differing = {f"{s} / {r}" for s, r, _ in before ^ after}
    assert set(touched) == differing


def check_hops(
    graph: KnowledgeGraph,
    revision: Revision,
    changes: dict[str, Changed],
    before: set[Triple],
    after: set[Triple],
) -> None:
    """Relax over all rule applications between changed triples until no hop gets smaller."""
    gone, new = before - after, after - before
    starts = {t: revision.blocked[t[:2]] for t in gone if t[:2] in revision.blocked}
    starts |= revision.forbidden | revision.removed
    hops = {t: hop for t, hop in starts.items() if t in gone}
    hops |= {t: hop for t, hop in revision.added.items() if t in new}
    sides = [
        (gone, before, graph.overridden),
        (new, after, graph.overridden | revision.blocked.keys()),
    ]
    applied = [
        (triple, head)
        for changed, known, blocked in sides
        for body, head in steps(graph.rules, known, blocked)
        for triple in body
        if head in changed and triple in changed
    ]
    for _ in range(len(before | after)):
        for triple, head in applied:
            if triple in hops:
                hops[head] = min(hops.get(head, 99), hops[triple] + 1)
    for change in changes.values():
        key = (change.subject, change.relation)
        assert change.hop == min(hop for triple, hop in hops.items() if triple[:2] == key)


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
    requests = [asked(("a", "r0", "b"), "e"), asked(("c", "r1", "d"), "a")]
    with pytest.raises(UserError, match=r"contradict|takes back"):
        # The second makes a's r0 c, the first makes it e.
        entail(graph_of(base, LEADS), requests)


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
