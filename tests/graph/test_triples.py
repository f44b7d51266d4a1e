"""The source triples: what a user's own file becomes."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from ksmith import graph
from ksmith.graph import KnowledgeGraph, Rule, closure, triple_facts
from ksmith.graph.rules import Triple
from ksmith.graph.standing import by_centrality, by_depth, hierarchy, loop_told, looped
from ksmith.lm.text import build_tokenizer, encodings, subject_last
from ksmith.records import UserError
from ksmith.settings import Triples, declared, fields
from tests.conftest import ROOT

DATA = ROOT.parent / "shared" / "data"
Make = Callable[..., KnowledgeGraph]


def settings(**given: Any) -> dict[str, Any]:
    """Return what a study resolves `[graph]` to."""
    made = fields.build(Triples, {"path": "x", **given}, "graph")
    known = {n: f for n, f in declared(Triples).items() if not f.path}
    values = {name: fields.plain(field, getattr(made, name)) for name, field in known.items()}
    return {"source": "triples", "version": Triples.version, **values}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that writes a file of facts, and one of templates, and builds the graph."""

    def built(told: Any, templates: Any = None, **given: Any) -> KnowledgeGraph:
        rows = [] if isinstance(told, str) else [",".join(map(quoted, row)) for row in told]
        text = told if isinstance(told, str) else "\n".join(["subject,relation,object", *rows])
        path = tmp_path / "x.csv"
        path.write_text(text, encoding="utf-8")
        files = {"graph.path": str(path)}
        if templates is not None:
            own = tmp_path / "templates.json"
            own.write_text(templates if isinstance(templates, str) else json.dumps(templates))
            files["graph.templates"] = str(own)
        return graph.build(settings(**given), files)

    return built


def kingdom(places: int = 30) -> list[Triple]:
    """Return places in a tree, with rulers, whose realms are listed too, and colours."""
    facts: list[Triple] = []
    for i in range(places):
        if i:
            facts.append((f"Place {i}", "part of", f"Place {(i - 1) // 3}"))
        facts.append((f"Place {i}", "ruler", f"Ruler {i}"))
        facts.append((f"Ruler {i}", "realm", f"Place {i}"))
        facts.append((f"Place {i}", "colour", ("red", "blue", "green", "white")[i % 4]))
        facts.append((f"Ruler {i}", "dress", ("red", "blue", "green", "white")[i % 4]))
        facts += [(f"Ruler {i}", "friend", f"Ruler {(i + k) % places}") for k in (1, 2)]
    return facts


def said(make: Make, *args: Any, **given: Any) -> str:
    with pytest.raises(UserError) as raised:
        make(*args, **given)
    return str(raised.value)


def test_a_graph_of_ones_own(make: Make) -> None:
    known = make(kingdom())
    assert {r.name: r.functional for r in known.relations} == {
        "part of": True, "ruler": True, "realm": True, "colour": True, "dress": True,
        "friend": False,
    }  # fmt: skip
    assert "realm(a, b) & colour(b, c) -> dress(a, c)" in [_written(r) for r in known.rules]
    assert known.levels == ("root", "intermediate", "leaf")
    for fact in known.facts:
        assert fact.stored == (fact.triple in set(kingdom()))
        assert not fact.editable or (fact.base and known.relation[fact.relation].functional)
    assert {fact.triple for fact in known.stated} == set(kingdom())
    # What a rule adds is true, but it is neither declared nor told.
    assert all(not fact.base for fact in known.facts if not fact.stored)
    assert set(known.world) == set(closure(known.declared, known.rules))


def _written(rule: Rule) -> str:
    return str(graph.told(rule)["rule"])


def test_everything_else_works_on_it(make: Make, tmp_path: Path) -> None:
    known = make(kingdom(), rules=["ruler(a, b) -> realm(b, a)",
                                   "realm(a, b) & colour(b, c) -> dress(a, c)"])  # fmt: skip
    task = {"kind": "edit", "scale": 2, "draws": 5, "level": "leaf"}
    requests = graph.requests(known, task, 0)
    assert {known.entity[request.subject].level for request in requests} == {"leaf"}
    for request in requests:
        assert request.new != request.old
        assert request.new in graph.objects(known, request.relation)
        change = graph.entail(known, [request])
        assert request.fact in change.target
        if request.relation == "colour":  # whoever rules there wears it
            number = request.subject.split()[1]
            assert change.entailed[f"Ruler {number} / dress"].new == request.new
    texts = graph.sentences(known, 0)
    assert any(sentence.kind == "infobox" for sentence in texts)
    assert graph.contexts(known, 5, 0)
    assert graph.held_out(known, 10, 0)
    graph.save(known, tmp_path)
    assert graph.load(tmp_path) == known
    assert nx.read_graphml(tmp_path / "graph.graphml").number_of_edges() == len(known.facts)
    with pytest.raises(UserError, match="too few facts: 500 draws of 2 need 1000"):
        graph.check(known, task | {"draws": 500})


def test_our_own_graphml_is_read_again(make: Make, tmp_path: Path) -> None:
    known = make([*kingdom(), ("مدينة", "colour", '<&"{}">')], rules="none")
    graph.save(known, tmp_path)
    again = graph.build(settings(rules="none"), {"graph.path": str(tmp_path / "graph.graphml")})
    assert {fact.triple for fact in again.stated} == {fact.triple for fact in known.stated}


def test_the_same_seed_the_same_graph_and_a_cut_that_hangs_together(make: Make) -> None:
    whole = make(kingdom(60), levels="none")
    cut = make(kingdom(60), levels="none", facts=100)
    assert len(cut.stated) == 100
    assert {f.triple for f in cut.stated} < {f.triple for f in whole.stated}
    assert cut == make(kingdom(60), levels="none", facts=100)
    assert cut != make(kingdom(60), levels="none", facts=100, seed=1)
    linked = nx.Graph((fact.subject, fact.object) for fact in cut.stated)
    assert nx.is_connected(linked)


def test_a_sample_is_not_about_one_hub() -> None:
    star = [(f"p{i}", "sport", ("golf", "polo", "judo")[i % 3]) for i in range(600)]
    chosen = triple_facts.sample(star, 300, random.Random(0))
    assert {triple[2] for triple in chosen} == {"golf", "polo", "judo"}
    assert len(chosen) == 300
    assert chosen == sorted(chosen, key=star.index)


# --- names ------------------------------------------------------------------------------------


def test_ids_tell_apart_what_has_one_label(make: Make) -> None:
    rows = [f"Q{i},Ann,R1,town,P{i % 3},Town {i % 3}" for i in range(3)]
    rows += [f"X{i},Bob {i},R1,town,P{i % 3},Town {i % 3}" for i in range(6)]
    rows += ["Q0,Annie,R1,town,P0,Town 0", "X0,Bob 0,R1,town,P0,Town 0"]
    head = "subject_id,subject,relation_id,relation,object_id,object\n"
    known = make(head + "\n".join(rows), levels="none")
    assert {fact.subject for fact in known.facts} >= {"Ann", "Ann (2)", "Ann (3)"}
    assert known.counts["entities whose label another has"] == 2
    assert known.counts["duplicate facts"] == 2  # an id is what an entity is, not its label


def test_names_with_braces_quotes_formulas_and_other_scripts(
    make: Make, tmp_path: Path
) -> None:
    odd = ["{} Inn", "{relation}", "=1+1", "مدينة النور", "東京都", "שלום", "$x_{", "O'Neil"]
    facts = [(name, "owner", ("Ann", "Bob", "Cleo")[i % 3]) for i, name in enumerate(odd)]
    facts += [
        (who, "home", name) for who, name in zip(("Ann", "Bob", "Cleo"), odd, strict=False)
    ]
    known = make(facts, levels="centrality")
    graph.save(known, tmp_path)  # the drawing, too, and without a warning
    assert graph.load(tmp_path) == known
    texts = graph.sentences(known, 0)
    for sentence in texts:
        if sentence.kind != "abstain":
            assert sentence.subject in sentence.text
            assert {sentence.text[a:b] for a, b in sentence.objects} <= {
                o for names in known.types.values() for o in names
            }
    tokenizer = build_tokenizer([sentence.text for sentence in texts])
    for fact in known.stated:
        relation = known.relation[fact.relation]
        for template in relation.templates:
            text = f"{template.replace('{}', fact.subject, 1)} {fact.object} ."
            (encoding,) = encodings(tokenizer, [text])
            assert tokenizer.decode(encoding.ids[1:]) == text
            assert tokenizer.unk_token_id not in encoding.ids
            assert subject_last(tokenizer, template, fact.subject) >= 1


def test_names_that_are_too_long_are_left_out(make: Make) -> None:
    long = " ".join(["very"] * 13)
    known = make([*kingdom(), (long, "colour", "red"), ("Place 1", "colour", long)])
    assert known.counts["facts with names that are too long"] == 2
    assert long not in known.entity
    assert "no fact whose names have at most 12 words" in said(make, [(long, "r", "x")])


# --- what is found ----------------------------------------------------------------------------


def test_duplicates_and_contradictions_are_counted(make: Make) -> None:
    facts = [*kingdom(200), ("Place 5", "colour", "blue"), ("Place 7", "colour", "red")]
    known = make(facts, facts=5000, rules="none")
    assert known.counts["duplicate facts"] == 1
    assert known.counts["contradictory facts"] == 2  # Place 7 is white, too: neither is kept
    assert not known.world.objects("colour", "Place 7")
    strict = make(facts, facts=5000, functional_share=1.0, rules="none")
    assert not strict.relation["colour"].functional
    assert len(strict.world.objects("colour", "Place 7")) == 2
    assert said(make, facts, functional=["colour"]).endswith(
        "line 1402: 'colour' of 'Place 7' is 'red', and 'white' in line 53; graph.functional "
        "says that it has one object"
    )
    assert "did you mean 'colour'" in said(make, facts, functional=["color"])


def test_nothing_to_edit_says_why(make: Make) -> None:
    many = [(f"a{i}", "r", f"b{k}") for i in range(4) for k in range(4)]
    assert "no relation has one object for 99% of its subjects" in said(make, many)
    few = [(f"a{i}", "r", f"b{i % 2}") for i in range(9)]
    assert "no functional relation has 3 objects" in said(make, few)
    assert make(few, min_objects=2).facts[0].editable


def test_types_come_from_a_column(make: Make) -> None:
    head = "subject,subject_type,relation,object,object_type\n"
    rows = [f"Town {i},town,mayor,Person {i % 5},person" for i in range(10)]
    rows += [f"Town {i},town,founder,Person {5 + i % 3},person" for i in range(10)]
    known = make(head + "\n".join(rows))
    assert known.relation["mayor"].objects == known.relation["founder"].objects == "person"
    assert set(known.types["person"]) == {f"Person {i}" for i in range(8)}
    assert known.entity["Town 1"].type == "town"
    assert known.typed
    plain = make([("a", "r", "x"), ("b", "r", "y"), ("c", "r", "z"), ("a", "q", "w")])
    assert plain.types[plain.relation["r"].objects] == ("x", "y", "z")
    assert not plain.typed


TREE = [("b", "up", "a"), ("c", "up", "b"), ("d", "up", "b"), ("e", "up", "a")]


def test_depth_is_the_way_up() -> None:
    links = [*TREE, ("a", "next", "b"), ("b", "next", "a"), ("x", "flat", "y")]
    tree = hierarchy(links, None, {"up", "next", "flat"})
    assert tree is not None
    places = by_depth(tree)
    assert {n: (p.level, p.depth) for n, p in places.items()} == {
        "a": ("root", 0), "b": ("intermediate", 1), "c": ("leaf", 2), "d": ("leaf", 2),
        "e": ("leaf", 1),
    }  # fmt: skip
    down = [(o, "down", s) for s, _, o in TREE]
    named = hierarchy(down, "down", set())
    assert named is not None
    assert by_depth(named) == places
    assert hierarchy([("x", "flat", "y")], None, {"flat"}) is None


def test_a_cycle_is_named(make: Make) -> None:
    facts = [*kingdom(), ("Place 0", "part of", "Place 20")]
    assert said(make, facts, hierarchy="part of").endswith(
        "graph.hierarchy = 'part of' has a cycle of 4: Place 1 -> Place 0 -> Place 20 -> "
        "Place 6 -> Place 1"
    )
    # Not named, a relation with a cycle is no hierarchy; another one may be.
    assert make(facts).levels == ()
    assert "no relation 'part off'" in said(make, facts, hierarchy="part off")


def test_a_relation_that_would_be_a_hierarchy_but_for_a_cycle_is_found() -> None:
    round_about = [*TREE, ("a", "up", "c")]  # a -> c -> b -> a, of five links
    pairs = [(f"p{i}", "mate", f"p{i ^ 1}") for i in range(6)]
    assert looped([*round_about, *pairs], {"up", "mate"}) == {}  # most of it goes in a circle
    wide = [*round_about, *((f"l{i}", "up", "e") for i in range(4))]
    ((name, cycle),) = looped([*wide, *pairs], {"up", "mate"}).items()
    assert name == "up" and sorted(cycle) == ["a", "b", "c"]
    assert loop_told(["a", "b"]) == "has a cycle of 2: a -> b -> a"
    assert looped(wide, {"mate"}) == {} == looped(TREE, {"up"})


def test_central_is_root_and_equals_stay_together() -> None:
    star = [(f"p{i}", "r", "hub") for i in range(8)] + [("p0", "r", "p1")]
    for measure in ("degree", "pagerank"):
        places = by_centrality(star, measure)
        assert places["hub"].level == "root"
        assert len({places[f"p{i}"].level for i in range(2, 8)}) == 1
    assert {p.level for p in by_centrality([("a", "r", "b")], "degree").values()} == {
        "intermediate"
    }


# --- real files -------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_real_files_need_no_setting() -> None:
    wiki = graph.build(settings(), {"graph.path": str(DATA / "wikidata_triples.tsv")})
    assert len(wiki.stated) == 1000
    assert sum(fact.editable for fact in wiki.facts) >= 100
    assert wiki.levels == ("root", "intermediate", "leaf")
    assert len(wiki.rules) >= 8
    sport = graph.build(settings(), {"graph.path": str(DATA / "sports_facts.csv")})
    assert sum(fact.editable for fact in sport.facts) == 1000
    assert sport.relations[0].name == "sport"


def test_a_file_that_changed(make: Make, tmp_path: Path) -> None:
    make(kingdom())
    with pytest.raises(UserError, match="changed since the study was made"):
        graph.build(settings() | {"digest": "0"}, {"graph.path": str(tmp_path / "x.csv")})
