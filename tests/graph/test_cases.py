"""Entailment by hand: small worlds in plain words, and what a person says follows."""

import pytest

from ksmith.graph import Change, Entity, Fact, KnowledgeGraph, Relation, Rule, closure, entail
from ksmith.records import Request, UserError

MANY = ("contains", "wrote")  # relations with many objects; all others have one

RULES = (
    Rule(body=("part of",), head="contains"),
    Rule(body=("contains",), head="part of"),
    Rule(body=("leader",), head="leads"),
    Rule(body=("leads",), head="leader"),
    Rule(body=("ally",), head="ally"),
    Rule(body=("author",), head="wrote"),
    Rule(body=("leads", "emblem"), head="badge", cut=1),
    Rule(body=("author", "badge"), head="cover", cut=1),
    Rule(body=("ally", "export"), head="import", cut=1),
    Rule(body=("part of", "language"), head="language", default=True),
)

BASE = """
Cork / part of = Munster
Kerry / part of = Munster
Munster / part of = Ireland
Galway / part of = Connacht
Connacht / part of = Ireland
Ireland / language = English
Connacht / language = Irish
Cork / leader = Ada
Kerry / leader = Bea
Cork / emblem = thistle
Kerry / emblem = clover
Cork / ally = Galway
Galway / export = wool
Kerry / export = salt
Atlas / author = Ada
Bestiary / author = Ada
Calendar / author = Bea
"""


def world(base: str = BASE, rules: tuple[Rule, ...] = RULES) -> KnowledgeGraph:
    """Return the graph of lines `subject / relation = object`."""
    declared = [parsed(line) for line in base.strip().splitlines()]
    triples = list(closure(declared, rules))
    relations = {t[1]: None for t in triples} | {rule.head: None for rule in rules}
    names = {name: None for s, _, o in triples for name in (s, o)}
    return KnowledgeGraph(
        source="test",
        settings={},
        types={"thing": tuple(names)},
        entities=tuple(Entity(name=name, type="thing") for name in names),
        relations=tuple(
            Relation(
                name=name, objects="thing", templates=("{} x",), functional=name not in MANY
            )
            for name in relations
        ),
        rules=rules,
        facts=tuple(
            Fact(subject=s, relation=r, object=o, base=(s, r, o) in set(declared))
            for s, r, o in triples
        ),
    )


def parsed(line: str) -> tuple[str, str, str]:
    fact, _, object_ = line.partition(" = ")
    subject, _, relation = fact.partition(" / ")
    return subject, relation, object_


def change(*wishes: str, of: KnowledgeGraph | None = None) -> Change:
    """Return what wishes such as `Cork / emblem = thistle -> clover` do; `-> nothing` unlearns."""
    graph = of or world()
    return entail(graph, [request(wish, number) for number, wish in enumerate(wishes)])


def request(wish: str, number: int) -> Request:
    line, _, new = wish.partition(" -> ")
    subject, relation, old = parsed(line)
    return Request(
        id=f"0.{number}",
        draw=0,
        kind="unlearn" if new == "nothing" else "edit",
        subject=subject,
        relation=relation,
        old=old,
        new=new,
        template="{} x",
    )


def follows(found: Change) -> dict[str, tuple[str, int]]:
    """Return what follows: fact -> (`old -> new`, hop)."""
    return {
        name: (f"{c.old or 'nothing'} -> {c.new or 'nothing'}", c.hop)
        for name, c in found.entailed.items()
    }


def test_a_new_emblem_is_on_the_leaders_badge_and_then_on_the_covers_of_her_books() -> None:
    found = change("Cork / emblem = thistle -> rose")
    assert follows(found) == {
        "Ada / badge": ("thistle -> rose", 1),
        "Atlas / cover": ("thistle -> rose", 2),
        "Bestiary / cover": ("thistle -> rose", 2),
    }
    assert not found.open
    assert "Kerry / emblem" not in found.touched and "Calendar / cover" not in found.touched


def test_a_new_leader_is_felt_at_three_hops() -> None:
    found = change("Cork / leader = Ada -> Cleo")
    assert follows(found) == {
        "Ada / leads": ("Cork -> nothing", 1),
        "Cleo / leads": ("nothing -> Cork", 1),
        "Ada / badge": ("thistle -> nothing", 2),
        "Cleo / badge": ("nothing -> thistle", 2),
        "Atlas / cover": ("thistle -> nothing", 3),
        "Bestiary / cover": ("thistle -> nothing", 3),
    }


def test_unlearning_a_fact_unlearns_its_inverse_which_would_bring_it_back() -> None:
    found = change("Ada / leads = Cork -> nothing")
    assert follows(found)["Cork / leader"] == ("Ada -> nothing", 1)
    assert found.target["Ada / leads"].new is None


def test_a_symmetric_relation_changes_on_both_sides_and_leaves_the_third_without() -> None:
    found = change("Cork / ally = Galway -> Kerry")
    assert follows(found) == {
        "Galway / ally": ("Cork -> nothing", 1),
        "Kerry / ally": ("nothing -> Cork", 1),
        "Cork / import": ("wool -> salt", 1),
    }


def test_a_place_that_moves_leaves_open_what_its_old_and_new_region_contain() -> None:
    found = change("Cork / part of = Munster -> Connacht")
    assert found.open == {"Munster / contains", "Connacht / contains"}
    old, new = found.several["Munster / contains"], found.several["Connacht / contains"]
    assert (old.gone, old.new, old.kept, old.hop) == (("Cork",), (), ("Kerry",), 1)
    assert (new.gone, new.new, new.kept) == ((), ("Cork",), ("Galway",))
    assert follows(found) == {"Cork / language": ("English -> Irish", 1)}


def test_one_of_many_works_is_asked_for_and_the_others_stay() -> None:
    found = change("Ada / wrote = Bestiary -> Calendar")
    target = found.target["Ada / wrote"]
    assert (target.old, target.new) == ("Bestiary", "Calendar")
    assert follows(found) == {
        "Bestiary / author": ("Ada -> nothing", 1),
        "Bestiary / cover": ("thistle -> nothing", 2),
    }
    # Nothing says that Bea is no longer its author, and no rule leads from wrote to author.
    assert "Atlas / author" not in found.touched and "Calendar / author" not in found.touched


def test_a_language_is_inherited_at_two_hops_except_where_another_is_declared() -> None:
    found = change("Ireland / language = English -> Welsh")
    assert follows(found) == {
        "Munster / language": ("English -> Welsh", 1),
        "Cork / language": ("English -> Welsh", 2),
        "Kerry / language": ("English -> Welsh", 2),
    }


def test_unlearning_what_is_inherited_makes_an_exception_and_leaves_the_parent() -> None:
    found = change("Munster / language = English -> nothing")
    assert "Ireland / language" not in found.touched
    assert follows(found) == {
        "Cork / language": ("English -> nothing", 1),
        "Kerry / language": ("English -> nothing", 1),
    }


def test_an_exception_that_is_unlearned_does_not_give_way_to_what_would_be_inherited() -> None:
    found = change("Connacht / language = Irish -> nothing")
    assert follows(found) == {"Galway / language": ("Irish -> nothing", 1)}


def test_a_badge_is_unlearned_by_way_of_the_emblem_not_of_the_leader() -> None:
    found = change("Ada / badge = thistle -> nothing")
    assert follows(found)["Cork / emblem"] == ("thistle -> nothing", 1)
    assert "Cork / leader" not in found.touched


def test_two_requests_that_meet_are_followed_together() -> None:
    found = change("Cork / leader = Ada -> Cleo", "Cork / emblem = thistle -> rose")
    assert follows(found)["Cleo / badge"] == ("nothing -> rose", 1)
    alone = change("Cork / leader = Ada -> Cleo")
    assert follows(alone)["Cleo / badge"] == ("nothing -> thistle", 2)


def test_a_request_that_follows_from_another_is_still_a_target() -> None:
    found = change("Cork / leader = Ada -> Cleo", "Ada / leads = Cork -> nothing")
    assert set(found.target) == {"Cork / leader", "Ada / leads"}
    assert follows(found)["Ada / badge"] == ("thistle -> nothing", 1)


def test_one_leader_of_two_places_has_no_one_right_answer() -> None:
    found = change("Cork / leader = Ada -> Bea")
    assert set(found.several["Bea / leads"].kept + found.several["Bea / leads"].new) == {
        "Cork",
        "Kerry",
    }
    assert {"Bea / leads", "Bea / badge"} <= found.open


def test_a_contradiction_names_the_requests_and_says_why() -> None:
    with pytest.raises(UserError) as caught:
        change("Cork / leader = Ada -> Cleo", "Bea / leads = Kerry -> Cork")
    assert str(caught.value) == (
        "requests 0.0 and 0.1 of one draw contradict each other: Bea / leads = Cork entails "
        "Cork / leader = Bea, and 0.0 asks for Cleo instead"
    )


def test_a_contradiction_over_a_chain_names_every_request_that_it_takes() -> None:
    with pytest.raises(UserError) as caught:
        change(
            "Kerry / leader = Bea -> Cleo",
            "Kerry / emblem = clover -> rose",
            "Atlas / author = Ada -> Cleo",
            "Atlas / cover = thistle -> clover",
        )
    assert str(caught.value) == (
        "requests 0.3, 0.2, 0.1 and 0.0 of one draw contradict each other: Atlas / author = "
        "Cleo and Kerry / emblem = rose and Kerry / leader = Cleo entails Atlas / cover = rose, "
        "and 0.3 asks for clover instead"
    )


def test_the_same_fact_cannot_be_asked_for_twice() -> None:
    with pytest.raises(UserError, match=r"0\.0 and 0\.1 .* the same fact: Cork / leader"):
        change("Cork / leader = Ada -> Cleo", "Cork / leader = Ada -> Dora")


def test_what_another_request_needs_is_not_cut() -> None:
    # Ada's badge must go; its preferred cut, Cork's emblem, is asked for. So her lead goes.
    found = change("Cork / emblem = thistle -> rose", "Ada / badge = thistle -> nothing")
    assert found.target["Cork / emblem"].new == "rose"
    assert follows(found)["Ada / leads"] == ("Cork -> nothing", 1)
    assert follows(found)["Cork / leader"] == ("Ada -> nothing", 2)
