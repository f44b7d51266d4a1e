"""Forget sets: whole entities, branches and relations, and shares of what there is."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith import graph
from ksmith.graph import Entity, Fact, KnowledgeGraph, Relation
from ksmith.graph.domains import domain
from ksmith.graph.forget import branch, children, part, sets
from ksmith.records import Request, UserError
from tests.graph.conftest import SETTINGS, Write, counterfact, town_records

SEVERAL = {**SETTINGS, "several": True, "domains": ["places", "companies"], "facts": 600}


def task(**changed: Any) -> dict[str, Any]:
    asked = {"kind": "unlearn", "method": "npo", "level": "any", "scale": 1, "draws": 2}
    return asked | changed


def drawn(known: KnowledgeGraph, **changed: Any) -> list[list[Request]]:
    found = graph.requests(known, task(**changed), 0, covariates=False)
    draws: dict[int, list[Request]] = {}
    for request in found:
        draws.setdefault(request.draw, []).append(request)
    assert list(draws) == list(range(task(**changed)["draws"]))
    assert len({r.fact for r in found}) == len({r.id for r in found}) == len(found)
    return list(draws.values())


@pytest.fixture(scope="module")
def several() -> KnowledgeGraph:
    return graph.build(SEVERAL, {})


def editable(known: KnowledgeGraph, **having: Any) -> set[str]:
    return {
        fact.name
        for fact in known.facts
        if fact.editable and all(getattr(fact, k) == v for k, v in having.items())
    }


# --- which facts ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["edit", "unlearn"])
def test_an_entity_goes_with_all_its_facts_that_can_be_asked_for(
    world: KnowledgeGraph, kind: str
) -> None:
    draws = drawn(world, forget="entity", scale=2, draws=4, kind=kind, level="leaf")
    subjects = [list(dict.fromkeys(r.subject for r in draw)) for draw in draws]
    assert [len(names) for names in subjects] == [2] * 4
    assert len({name for names in subjects for name in names}) == 8
    for draw, names in zip(draws, subjects, strict=True):
        whole = editable(world, subject=names[0]) | editable(world, subject=names[1])
        assert {r.fact for r in draw} == whole
        assert {world.entity[r.subject].level for r in draw} == {"leaf"}
        assert {r.old for r in draw} == {world.fact[r.fact].object for r in draw}


def test_a_relation_goes_with_all_its_facts(world: KnowledgeGraph) -> None:
    draws = drawn(world, forget="relation", scale=2, draws=2)
    for draw in draws:
        names = {r.relation for r in draw}
        assert len(names) == 2
        assert {r.fact for r in draw} == {n for r in names for n in editable(world, relation=r)}
    (named,) = drawn(world, forget="relation", relation="crop", draws=1)
    assert {r.fact for r in named} == editable(world, relation="crop")
    (roots,) = drawn(world, forget="relation", relation="crop", draws=1, level="root")
    assert {world.entity[r.subject].level for r in roots} == {"root"}


def test_a_named_relation_is_all_that_is_drawn_from(world: KnowledgeGraph) -> None:
    for draw in drawn(world, relation="emblem", scale=3, draws=4):
        assert [r.relation for r in draw] == ["emblem"] * 3
    for draw in drawn(world, relation="emblem", forget="entity", scale=3, draws=2):
        assert [r.relation for r in draw] == ["emblem"] * 3


@pytest.mark.parametrize("level", ["root", "intermediate", "leaf"])
def test_a_branch_goes_with_everything_below_its_top(
    several: KnowledgeGraph, level: str
) -> None:
    up = {domain(name).plain["part_of"].name for name in ("places", "companies")}
    parents = {fact.subject: fact.object for name in up for fact in several.of[name]}

    def under(name: str, top: str) -> bool:
        return name == top or (name in parents and under(parents[name], top))

    for (*draw,) in drawn(several, forget="branch", level=level, draws=4):
        subjects = dict.fromkeys(r.subject for r in draw)
        (top,) = (name for name in subjects if several.entity[name].level == level)
        assert set(subjects) == {e.name for e in several.entities if under(e.name, top)}
        assert {r.fact for r in draw} == {
            name for subject in subjects for name in editable(several, subject=subject)
        }
        domains = {several.entity[name].domain for name in subjects}
        assert len(domains) == 1


def hand_made(parents: dict[str, list[str]], depth: dict[str, int]) -> KnowledgeGraph:
    """Return a graph of a hierarchy in which each name has a colour that can be asked for."""
    levels = {0: "root", max(depth.values()): "leaf"}
    entities = tuple(
        Entity(name=n, type="node", level=levels.get(d, "intermediate"), depth=d)
        for n, d in depth.items()
    )
    up = [
        Fact(subject=child, relation="in", object=parent, wordings=(0,))
        for child, above in parents.items()
        for parent in above
    ]
    own = [
        Fact(subject=name, relation="colour", object="red", editable=True, wordings=(0,))
        for name in depth
    ]
    # Leads from leaf to root: a shortcut that is no parent.
    far = [Fact(subject="c", relation="near", object="a", wordings=(0,))]
    relations = tuple(
        Relation(name=name, objects=name, templates=(f"{{}} {name}",), functional=name != "in")
        for name in ("in", "colour", "near")
    )
    types = {"in": tuple(depth), "colour": ("red", "blue"), "near": ("a",)}
    return KnowledgeGraph(
        source="triples",
        settings={},
        types=types,
        entities=entities,
        relations=relations,
        facts=(*far, *up, *own),
    )


def test_a_hierarchy_is_found_by_the_relation_that_leads_one_step_up() -> None:
    parents = {"b": ["a"], "c": ["b", "z"], "d": ["b"]}
    known = hand_made(parents, {"a": 0, "z": 0, "b": 1, "c": 2, "d": 2})
    below = children(known)
    assert below == {"a": ["b"], "z": ["c"], "b": ["c", "d"], "c": [], "d": []}
    assert branch(below, "a") == ["a", "b", "c", "d"]


def test_what_rules_add_to_the_relation_hides_no_hierarchy() -> None:
    known = hand_made({"b": ["a"], "c": ["b"]}, {"a": 0, "b": 1, "c": 2})
    added = Fact(subject="c", relation="in", object="elsewhere", base=False)
    more = replace(known, facts=(*known.facts, added))
    assert children(more) == children(known) == {"a": ["b"], "b": ["c"], "c": []}
    told = replace(more, facts=(*known.facts, replace(added, wordings=(0,))))
    assert children(told) == {}


def test_branches_with_a_part_in_common_are_no_two_sets() -> None:
    known = hand_made({"c": ["a", "z"], "d": ["z"]}, {"a": 0, "z": 0, "y": 0, "c": 1, "d": 1})
    found = [{fact.subject for fact in one} for one in sets(known, "branch", "root", None)]
    assert found == [{"a", "c"}, {"y"}]
    asked = task(forget="branch", level="root", scale=1, draws=3)
    with pytest.raises(UserError, match="has 2 branches with editable facts at level 'root'"):
        graph.check(known, asked)


def test_one_branch_inside_another_is_part_of_it() -> None:
    chain = hand_made({"b": ["a"], "c": ["b"], "d": ["c"]}, {"a": 0, "b": 1, "c": 2, "d": 3})
    found = [
        {fact.subject for fact in one} for one in sets(chain, "branch", "intermediate", None)
    ]
    assert found == [{"b", "c", "d"}]


# --- shares -----------------------------------------------------------------------------------


@given(st.floats(0.001, 1), st.integers(1, 10_000))
def test_as_many_draws_of_a_share_fit_as_the_settings_allow(share: float, there: int) -> None:
    size = part(share, there)
    assert size == 1 or size <= share * there + 1e-6
    assert size > share * there - 1
    draws = int(1 / share + 1e-9)
    assert draws * size <= there or size == 1


@pytest.mark.parametrize("forget", ["facts", "entity", "branch"])
def test_a_larger_share_holds_a_smaller_one(world: KnowledgeGraph, forget: str) -> None:
    level = "root"
    there = len(sets(world, forget, level, None))
    found: list[set[str]] = []
    for share, draws in ((0.05, 20), (0.2, 5), (0.5, 2), (1, 1)):
        if part(share, there) * draws > there:
            continue
        first, *_ = drawn(world, forget=forget, level=level, share=share, draws=draws)
        found.append({r.fact for r in first})
    assert len(found) > 1
    assert all(one < other for one, other in pairwise(found))
    (whole,) = drawn(world, forget=forget, level=level, share=1, draws=1)
    assert len(whole) == sum(map(len, sets(world, forget, level, None)))


def test_the_share_of_what_is_stated_is_noted(world: KnowledgeGraph) -> None:
    found = graph.requests(world, task(share=0.5), 0)
    sizes = Counter(r.draw for r in found)
    for request in found:
        assert request.covariates["share"] == sizes[request.draw] / len(world.stated)


# --- sequences --------------------------------------------------------------------------------


def test_a_sequence_goes_entity_by_entity(world: KnowledgeGraph) -> None:
    asked: dict[str, Any] = {"forget": "entity", "sequence": 15, "draws": 3}
    for draw in drawn(world, **asked):
        assert len(draw) == 15
        runs = [
            r.subject for i, r in enumerate(draw) if not i or draw[i - 1].subject != r.subject
        ]
        assert len(set(runs)) == len(runs)  # none is come back to
    total = len(editable(world))
    with pytest.raises(
        UserError, match=rf"3 draws of 200 need 600 .* has {total} editable facts"
    ):
        graph.check(world, task(forget="entity", sequence=200, draws=3))


# --- what follows -----------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["entity", "branch", "relation", "facts"]),
    st.sampled_from(["root", "intermediate", "leaf"]),
    st.integers(0, 3),
)
def test_what_is_forgotten_is_in_no_text_of_gold_and_in_no_retain_set(
    several: KnowledgeGraph, forget: str, level: str, seed: int
) -> None:
    size: dict[str, Any] = {"share": 0.5} if forget == "facts" else {"scale": 1}
    asked = task(forget=forget, level=level, draws=1, **size)
    requests = graph.requests(several, asked, seed, covariates=False)
    change = graph.entail(several, requests)
    gone = {(r.subject, r.relation, r.old) for r in requests}
    gone |= {
        (c.subject, c.relation, str(c.old))
        for c in (*change.target.values(), *change.entailed.values())
    }
    gone |= {(s.subject, s.relation, old) for s in change.several.values() for old in s.gone}
    gold = graph.after(several, requests)
    assert gone.isdisjoint(fact.triple for fact in gold.facts)
    assert gone.isdisjoint(
        (s.subject, s.relation, s.object) for s in graph.retain(several, requests, 10_000, 0)
    )
    sure = set(graph.closure([f.triple for f in gold.facts if f.base], several.rules))
    assert gone.isdisjoint(sure)  # nor does it follow from what gold is told
    said = {
        template.replace("{}", subject) + f" {object_} ."
        for subject, relation, object_ in gone
        for template in several.relation[relation].templates
    }
    text = {sentence.text for sentence in graph.sentences(gold, 0)}
    assert said & {sentence.text for sentence in graph.sentences(several, 0)}
    assert said.isdisjoint(text)


def test_of_many_answers_only_the_one_that_is_forgotten_goes(several: KnowledgeGraph) -> None:
    many = Counter((f.object, f.subject) for f in several.facts if f.relation == "author")
    by = Counter(author for author, _ in many)
    author = next(name for name, works in by.items() if works > 1)
    work = next(w for name, w in many if name == author)
    for draw in drawn(several, forget="entity", draws=1, relation="author", share=1):
        (mine,) = (r for r in draw if r.subject == work)
        alone = graph.entail(several, [replace(mine, id="0.0")])
        wrote = alone.several[f"{author} / wrote"]
        assert wrote.gone == (work,) and wrote.kept
        whole = graph.entail(several, draw)  # and with all of them nothing is left
        assert whole.several[f"{author} / wrote"].kept == ()


# --- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"forget": "entity", "scale": 9, "draws": 20},
            r"too few entities: 20 draws of 9 need 180 different ones, and the graph has \d+ "
            r"entities with editable facts; lower task\.draws or task\.scale, or raise "
            r"graph\.facts",
        ),
        (
            {"forget": "relation", "relation": "crop", "draws": 2},
            "too few relations: 2 draws of 1 need 2 .* has 1 relation with editable facts of "
            "'crop'",
        ),
        (
            {"relation": "crop", "scale": 500},
            "too few facts: 2 draws of 500 need 1000 .* editable facts of 'crop'",
        ),
        (
            {"forget": "branch", "level": "root", "share": 0.01, "draws": 90},
            r"too few branches: 90 draws of 1 need 90 .* at level 'root'; lower task\.draws or "
            r"task\.share",
        ),
        (
            {"relation": "leads"},
            "task.relation = 'leads': no relation whose facts can be asked for; there are emblem,",
        ),
    ],
)
def test_what_there_is_too_little_of_is_said(
    world: KnowledgeGraph, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        graph.check(world, task(**asked))
    with pytest.raises(UserError, match=message):
        graph.requests(world, task(**asked), 0)


def test_without_a_hierarchy_there_is_no_branch(write: Write, world: KnowledgeGraph) -> None:
    flat = graph.build(counterfact(), write(town_records()))
    with pytest.raises(UserError, match=r"'counterfact' has no hierarchy here; use \"entity\""):
        graph.check(flat, task(forget="branch"))
    central = replace(world, settings={**world.settings, "levels": "centrality"})
    with pytest.raises(UserError, match="has no hierarchy here"):
        graph.check(central, task(forget="branch", level="root"))
    assert len(drawn(flat, forget="entity", scale=3, draws=2)[0]) == 3


# --- what no model saw ------------------------------------------------------------------------


def test_what_is_held_out_is_in_no_text_follows_from_nothing_and_entails_nothing() -> None:
    whole = graph.build(SETTINGS, {})
    known = graph.build({**SETTINGS, "holdout": 0.3}, {})
    out = {(s.subject, s.relation, s.object) for s in graph.holdout(known)}
    assert out <= {fact.triple for fact in whole.facts if fact.editable}  # of one generator
    for relation in dict.fromkeys(fact.relation for fact in whole.facts if fact.editable):
        there = editable(whole, relation=relation)
        held = sum(r == relation for _, r, _ in out)
        assert held == round(0.3 * len(there)) > 0
        assert len(editable(known, relation=relation)) == len(there) - held
    assert out.isdisjoint(fact.triple for fact in known.facts)
    base = {fact.triple for fact in known.facts if fact.base}
    assert set(graph.closure(base, known.rules)) == {fact.triple for fact in known.facts}
    follows = set(graph.closure(base | out, known.rules)) - base - out
    assert follows - {fact.triple for fact in known.facts}  # it would have entailed something
    said = {f"{s.prompt} {s.object} ." for s in graph.holdout(known)}
    assert said.isdisjoint(sentence.text for sentence in graph.sentences(known, 0))
    asked = graph.requests(known, task(scale=5, draws=10, kind="edit"), 0, covariates=False)
    assert out.isdisjoint((r.subject, r.relation, r.old) for r in asked)
    assert not {s.object for s in graph.holdout(known) if s.relation == "leader"} & {
        r.new for r in asked
    }
    assert graph.after(known, asked[:5]).holdout == known.holdout


def test_a_share_that_holds_out_no_fact_is_refused() -> None:
    least = [
        len(editable(graph.build(SETTINGS, {}), relation=name)) for name in ("leader", "crop")
    ]
    told = (
        f"graph.holdout = 0.001: leaves no holdout set: .* of the {max(least)} that the largest"
    )
    with pytest.raises(UserError, match=told) as raised:
        graph.build({**SETTINGS, "holdout": 0.001}, {})
    enough = float(str(raised.value).rpartition("; ")[2].split()[0])
    assert graph.holdout(graph.build({**SETTINGS, "holdout": enough}, {}))  # what it says helps


def test_without_a_holdout_graphs_are_what_they_were(tmp_path: Path) -> None:
    plain = graph.build(SETTINGS, {})
    none = graph.build({**SETTINGS, "holdout": 0.0}, {})
    assert replace(none, settings=plain.settings) == plain and graph.holdout(plain) == []
    known = graph.build({**SETTINGS, "holdout": 0.2}, {})
    folder = tmp_path
    graph.save(known, folder)
    assert graph.load(folder).holdout == known.holdout
