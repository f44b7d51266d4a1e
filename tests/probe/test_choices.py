"""Multiple choices on small random graphs, against closures that are too simple to be wrong."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict

import networkx as nx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ksmith.graph import Entity, Fact, KnowledgeGraph, Relation, Rule, closure
from ksmith.graph.change import settled
from ksmith.graph.rules import Key, Triple
from ksmith.probe import questions
from ksmith.probe.draw import FARTHEST
from ksmith.probe.options import OPTIONS, Layout
from ksmith.records import Question, Request, TaskKind, UserError, fact_name
from ksmith.settings.probe import CHOICES, Probe
from tests.probe.test_generated import known_graph, requests

NODES = ("a", "b", "c", "d", "e", "f", "g")
VALUES = ("red", "blue", "green", "gold", "pink")
OBJECTS = {"r0": NODES, "r1": NODES, "r2": NODES, "hue": VALUES}
FUNCTIONAL = ("r0", "r1", "hue")
RULE_SETS = (
    (),
    (Rule(body=("r0",), head="r1"),),
    (Rule(body=("r0",), head="r2"), Rule(body=("r0", "hue"), head="hue", default=True)),
    (Rule(body=("r0",), head="r1"), Rule(body=("r1",), head="r0")),
    (Rule(body=("r0", "r1"), head="r2", cut=1), Rule(body=("r2",), head="r2")),
)


def naive(
    base: Iterable[Triple], rules: Sequence[Rule], blocked: Collection[Key]
) -> set[Triple]:
    """Return the closure: try every rule on everything until nothing is new."""
    known = set(base)
    while True:
        found: set[Triple] = set()
        for rule in rules:
            for s, r, o in known:
                if r != rule.body[0]:
                    continue
                if len(rule.body) == 1:
                    found.add((o, rule.head, s))
                    continue
                ends = [o2 for s2, r2, o2 in known if (s2, r2) == (o, rule.body[1])]
                if not (rule.default and (s, rule.head) in blocked):
                    found |= {(s, rule.head, end) for end in ends}
        if found <= known:
            return known
        known |= found


def graph_of(base: Collection[Triple], rules: tuple[Rule, ...]) -> KnowledgeGraph:
    derived = sorted(set(closure(base, rules)) - set(base))
    return KnowledgeGraph(
        source="test",
        settings={},
        types={"node": NODES, "value": VALUES},
        entities=tuple(Entity(name=name, type="node") for name in NODES),
        relations=tuple(
            Relation(
                name=name,
                objects="value" if objects is VALUES else "node",
                templates=tuple(f"{name} {i} of {{}} is" for i in range(4)),
                novel=(f"new {name} of {{}} is",),
                functional=name in FUNCTIONAL,
            )
            for name, objects in OBJECTS.items()
        ),
        rules=rules,
        facts=tuple(
            Fact(subject=s, relation=r, object=o, base=(s, r, o) in base, wordings=(0, 1, 2))
            for s, r, o in [*sorted(base), *derived]
        ),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[KnowledgeGraph, list[Request]]:
    triples: dict[Key, dict[str, None]] = {}
    for _ in range(draw(st.integers(4, 22))):
        relation = draw(st.sampled_from(sorted(OBJECTS)))
        key = (draw(st.sampled_from(NODES)), relation)
        objects = triples.setdefault(key, {})
        if not objects or relation not in FUNCTIONAL:
            objects[draw(st.sampled_from(OBJECTS[relation]))] = None
    base = {(*key, name) for key, objects in triples.items() for name in objects}
    graph = graph_of(base, draw(st.sampled_from(RULE_SETS)))
    facts = draw(
        st.lists(
            st.sampled_from([f for f in graph.facts if f.base]),
            min_size=1,
            max_size=3,
            unique_by=lambda fact: fact.name,
        )
    )
    kind: TaskKind = "unlearn" if draw(st.integers(0, 2)) == 2 else "edit"
    made = [
        Request(
            id=f"0.{number}",
            draw=0,
            kind=kind,
            subject=fact.subject,
            relation=fact.relation,
            old=fact.object,
            new="unknown"
            if kind == "unlearn"
            else draw(st.sampled_from([o for o in OBJECTS[fact.relation] if o != fact.object])),
            template=f"{fact.relation} 0 of {{}} is",
        )
        for number, fact in enumerate(facts)
    ]
    return graph, made


def true_after(graph: KnowledgeGraph, made: list[Request]) -> set[Triple]:
    revision, _ = settled(graph, made)
    base = (set(graph.declared) - set(revision.removed)) | set(revision.added)
    return naive(base, graph.rules, graph.overridden | revision.blocked.keys())


def words(question: Question, index: int | None) -> str | None:
    """Return an answer as a name, also where the candidate is a whole statement."""
    if index is None:
        return None
    text = question.candidates[index]
    return text if question.prompt else text.removesuffix(" .").rsplit(" ", 1)[1]


@given(worlds())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_only_one_option_is_right_and_distractors_are_true_of_others(
    world: tuple[KnowledgeGraph, list[Request]],
) -> None:
    graph, made = world
    try:
        after = true_after(graph, made)
    except UserError:
        assume(False)
        return
    before = naive(graph.declared, graph.rules, graph.overridden)
    assert before == set(graph.world)
    kinds = asdict(Probe(kinds=CHOICES, reworded=True, distance=1))
    asked = [q for q in questions(graph, made, kinds, 0) if q.probe != "known"]
    keys = {fact_name(s, r): (s, r) for s, r, _ in before | after}
    for question in asked:
        key = keys[question.fact]
        was, is_ = ({o for s, r, o in side if (s, r) == key} for side in (before, after))
        check_answers(question, was, is_)
        check_options(question, was, is_, {o for _, r, o in before if r == key[1]})
    check_distances(graph, made, asked, before | after)


def check_answers(question: Question, was: set[str], is_: set[str]) -> None:
    right, old = words(question, question.right), words(question, question.right_before)
    if question.set == "target":
        assert old in was and old not in is_
        assert right == "unknown" or right in is_
    elif question.set == "entailed":
        assert was == ({old} if old else set()) and is_ == ({right} if right else set())
    else:
        assert was == is_ == {right} == {old}


def check_options(question: Question, was: set[str], is_: set[str], said: set[str]) -> None:
    if not question.options:
        return
    names = [words(question, index) for index in question.options]
    assert len(set(names)) == len(names) == OPTIONS
    right, old = words(question, question.right), words(question, question.right_before)
    assert {name for name in names if name in is_} == {right} - {"unknown", None}
    assert {name for name in names if name in was} == {old} - {None}
    assert all(name in said for name in names if name not in (right, old))
    assert right in (*names, "unknown", None)


def check_distances(
    graph: KnowledgeGraph, made: list[Request], asked: list[Question], triples: set[Triple]
) -> None:
    joined = nx.Graph((s, o) for s, _, o in triples if o in graph.about)
    ends = {name for r in made for name in (r.subject, r.old, r.new)} & graph.about.keys()
    joined.add_nodes_from(ends)
    steps = nx.multi_source_dijkstra_path_length(joined, ends)
    for question in asked:
        far = steps.get(question.subject)
        assert question.distance == (far if far is not None and far <= FARTHEST else None)
        if question.probe == "contextual":
            assert far is None or far > 1


# --- the order of options ---------------------------------------------------------------------


def test_every_four_orders_are_a_latin_square() -> None:
    layout = Layout(3, 0)
    orders = [layout.order("direct") for _ in range(40)]
    for start in range(0, 40, OPTIONS):
        square = orders[start : start + OPTIONS]
        everything = [set(range(OPTIONS))] * OPTIONS
        assert [set(row) for row in square] == everything
        assert [set(column) for column in zip(*square, strict=True)] == everything
    assert len({tuple(order) for order in orders}) > 8  # not one square again and again
    assert Layout(3, 0).order("direct") == orders[0]
    assert [Layout(3, 1).order("direct") for _ in range(9)] != orders[:9]


@pytest.mark.parametrize("kind", ["edit", "unlearn"])
def test_right_and_old_stand_as_often_under_each_letter(kind: str) -> None:
    made = requests(kind, 8, 3)
    asked = questions(known_graph(), made, asdict(Probe(kinds=CHOICES)), seed=0)
    for probe in CHOICES:
        own = [q for q in asked if q.probe == probe and q.options and q.context != "new"]
        assert own, probe
        assert all(len(q.options) == OPTIONS for q in own)
        keys = [q.right if q.right in q.options else q.right_before for q in own]
        places = [q.options.index(k) for q, k in zip(own, keys, strict=True) if k is not None]
        counts = [places.count(place) for place in range(OPTIONS)]
        assert len(places) == len(own) and max(counts) - min(counts) <= 1


def test_most_questions_have_four_options_of_one_level() -> None:
    world, made = known_graph(), requests("edit", 8, 3)
    asked = questions(world, made, asdict(Probe(kinds=CHOICES)), seed=0)
    own = [q for q in asked if q.probe in CHOICES]
    assert sum(bool(q.options) for q in own) > 0.95 * len(own)
    for question in own:
        levels = {
            world.entity[name].level
            for index in question.options
            if (name := question.candidates[index]) in world.entity
        }
        answers = {
            world.entity[question.candidates[i]].level
            for i in (question.right, question.right_before)
            if i is not None and question.candidates[i] in world.entity
        }
        assert len(levels | answers) <= max(1, len(answers))
