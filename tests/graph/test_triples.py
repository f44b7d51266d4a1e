"""The source triples: what a user's own file becomes."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmith import graph
from ksmith.graph import KnowledgeGraph, Rule, closure, triple_facts
from ksmith.graph.basis import basis
from ksmith.graph.phrases import ENTRY, NOUN, general, in_words
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


# --- which facts hold by themselves -----------------------------------------------------------

NAMES = st.sampled_from("abcdef")
FACTS = st.lists(st.tuples(NAMES, st.sampled_from(("r", "q", "s")), NAMES), max_size=25)
RULES = st.lists(
    st.tuples(st.lists(st.sampled_from("rqs"), min_size=1, max_size=2), st.sampled_from("rqs")),
    max_size=5,
)


@given(FACTS, RULES, st.sets(st.sampled_from("rqs")))
def test_declared_facts_entail_all_and_contradict_none(
    drawn: list[Triple], shapes: list[tuple[list[str], str]], one: set[str]
) -> None:
    facts: dict[Triple, None] = {}
    for triple in drawn:  # a functional relation has one object
        if triple[1] not in one or not any(f[:2] == triple[:2] for f in facts):
            facts[triple] = None
    rules = [
        Rule(
            body=tuple(body),
            head=head,
            default=head in one,
            loops=False,
            mirror=len(body) == 1 and head == "s",
        )
        for body, head in shapes
    ]
    found = basis(list(facts), rules, one)
    world = closure(found.declared, rules, found.blocked, stated=facts)
    assert found.declared <= facts.keys()
    assert set(world) == facts.keys() | set(found.added)
    assert not facts.keys() & set(found.added)
    for subject, relation, object_ in facts:
        if relation in one:
            assert world.objects(relation, subject) == [object_]
    for subject, relation, _ in found.added:
        assert relation not in one or len(world.objects(relation, subject)) == 1
    assert not any(world.objects(relation, subject) for subject, relation in found.blocked)


def test_one_contradiction_does_not_declare_what_lies_behind_it() -> None:
    """A chief over two heads gets both their departments, and all below would get them, too."""
    rules = [
        Rule(body=body, head="department", default=True, cut=1, loops=False)
        for body in (("boss", "department"), ("staff", "department"), ("boss", "leads"))
    ]
    facts: list[Triple] = []
    for head, department in (("Ada", "Sales"), ("Bo", "Law")):
        facts += [
            (head, "boss", "Chief"),
            ("Chief", "staff", head),
            (head, "leads", department),
        ]
        facts.append((head, "department", department))
        for name in (f"{head} 1", f"{head} 2"):
            facts += [(name, "boss", head), (head, "staff", name)]
            facts.append((name, "department", department))
    found = basis(facts, rules, {"boss", "leads", "department"})
    assert {t for t in found.declared if t[1] == "department"} == {
        ("Ada", "department", "Sales"),
        ("Bo", "department", "Law"),
    }
    assert found.blocked == (("Chief", "department"),)
    assert found.added == ()


def test_a_department_that_moves_takes_its_people_along(make: Make) -> None:
    facts: list[Triple] = []
    for i in range(4):
        facts += [(f"Head {i}", "leads", f"Department {i}")]
        facts += [(f"Head {i}", "boss", "Chief"), ("Chief", "staff", f"Head {i}")]
        facts += [(f"Department {i}", "office", f"Office {i}")]
        for name in (f"Head {i}", *(f"Clerk {i}.{k}" for k in range(4))):
            facts += [(name, "department", f"Department {i}")]
        facts += [(f"Clerk {i}.{k}", "boss", f"Head {i}") for k in range(4)]
        facts += [(f"Head {i}", "staff", f"Clerk {i}.{k}") for k in range(4)]
    rules = [f"{r}(a, b) & department(b, c) -> department(a, c)" for r in ("boss", "staff")]
    known = make(facts, rules=[*rules, "boss(a, b) & leads(b, c) -> department(a, c)"])
    assert known.world.objects("department", "Chief") == []
    assert known.counts["questions to which rules give several answers"] == 1
    moved = [f for f in known.facts if f.relation == "department" and not f.base and f.stored]
    assert {f.subject for f in moved} == {f"Clerk {i}.{k}" for i in range(4) for k in range(4)}
    assert graph.after(known, []).blocked == (("Chief", "department"),)


def test_the_inverse_goes_with_the_fact(make: Make) -> None:
    rule = "ruler(a, b) -> realm(b, a)"
    known = make(kingdom(), rules=[rule], levels="none")
    fact = known.fact["Place 3 / ruler"]
    assert fact.base and fact.editable
    back = known.fact["Ruler 3 / realm"]
    assert back.stored and not back.base
    assert known.rules[0].support == 30


def test_a_fact_goes_with_its_image_where_the_rule_is_not_sure(make: Make) -> None:
    """Every third child is in the list of the father, not in that of the mother."""
    facts = [(f"Child {i}", "mother", f"Mother {i // 3}") for i in range(60)]
    lists = {i: f"Father {i}" if i % 3 == 1 else f"Mother {i // 3}" for i in range(60)}
    facts += [(parent, "child", f"Child {i}") for i, parent in lists.items()]
    known = make(facts)
    rules = {str(graph.told(rule)["rule"]): rule for rule in known.rules}
    back = rules["mother(a, b) -> child(b, a)"]
    assert back.mirror and back.confidence == round(40 / 60, 6)
    assert "child(a, b) -> mother(b, a)" not in rules  # fathers have children, too
    assert {fact.triple for fact in known.facts} == set(facts)  # it adds nothing
    image, own = known.fact["Mother 1 / child"], known.fact["Child 3 / mother"]
    assert (image.object, image.stored, image.base) == ("Child 3", True, False)
    assert own.editable
    request = next(
        r
        for r in graph.requests(known, {"kind": "edit", "scale": 1, "draws": 60}, 0)
        if r.fact == own.name
    )
    gone = graph.entail(known, [request]).several[image.name]
    assert (gone.gone, gone.new, gone.kept) == (("Child 3",), (), ("Child 5",))
    after = graph.after(known, [request])
    assert not [f for f in after.facts if f.relation == "child" and f.object == "Child 3"]
    sure = {rule.body: rule for rule in make(facts, min_confidence=0.6).rules}
    assert not sure[back.body].mirror


def test_rules_by_hand_or_none(make: Make) -> None:
    assert make(kingdom(), rules="none").rules == ()
    assert make(kingdom(), rules=[]).rules == ()
    (rule,) = make(kingdom(), rules=["colour(a, b) -> ruler(b, a)"]).rules
    assert (rule.support, rule.confidence, rule.default) == (0, None, True)
    assert "no relation 'rulr'" in said(make, kingdom(), rules=["rulr(a, b) -> realm(b, a)"])
    assert len(make(kingdom(), min_support=31).rules) < len(make(kingdom()).rules)


def test_what_rules_conclude_is_of_the_type(make: Make) -> None:
    facts = [(f"Child {i}", "mother", f"Mother {i}") for i in range(6)]
    facts += [(f"Mother {i}", "husband", f"Man {i}") for i in range(6)]
    facts += [(f"Child {i}", "father", f"Man {i}") for i in range(4)]  # of two, no line says it
    known = make(facts, rules=["mother(a, b) & husband(b, c) -> father(a, c)"])
    assert known.world.objects("father", "Child 5") == ["Man 5"]
    assert {"Man 4", "Man 5"} <= set(graph.objects(known, "father"))


# --- words ------------------------------------------------------------------------------------


def test_names_of_relations_as_words() -> None:
    assert in_words("placeOfBirth") == "place of birth"
    assert in_words("place_of_birth") == "place of birth"
    assert in_words("iPhone model") == "iPhone model"
    assert general("notable work").trained[0] == "The notable work of {} is"
    assert "Wolf is one whose place of birth is" in _of("placeOfBirth", "Wolf")
    for text in ("{}", "notable work"):
        worded = general(text)
        assert all(t.count("{}") == 1 for t in (*worded.trained, *worded.novel))


def _of(relation: str, subject: str) -> list[str]:
    return [template.replace("{}", subject) for template in general(relation).trained]


@pytest.mark.parametrize(
    "name",
    ["date of birth", "sport", "position held", "number of children", "language of work or name",
     "status", "class", "mother's maiden name", "chef-d'œuvre", "国籍", "الأب", "related work"],
)  # fmt: skip
def test_what_the_name_of_one_thing_is_worded_like(name: str) -> None:
    assert f"The {name} of Ada is" in _of(name, "Ada")
    assert len(general(name).trained) == len(NOUN)


@pytest.mark.parametrize(
    "name",
    ["located in", "applies to jurisdiction", "has part", "is a", "born", "created", "owns",
     "languages", "official languages", "languages spoken, written or signed", "children of",
     "children", "P31", "people/person/nationality", "spouse(s)", "{}"],
)  # fmt: skip
def test_what_may_be_no_noun_is_quoted(name: str) -> None:
    assert len(general(name).trained) == len(ENTRY)
    quoted_name = in_words(name)
    assert all(f'" {quoted_name} "' in text for text in general(name).trained)


@pytest.mark.parametrize("name", ["notable work", "located in"])
def test_novel_wordings_use_trained_words(name: str) -> None:
    worded = general(name)
    known = {word for text in worded.trained for word in text.lower().split()}
    assert {word for text in worded.novel for word in text.lower().split()} <= known
    assert not set(worded.trained) & set(worded.novel)


def test_templates_of_ones_own(make: Make) -> None:
    own = [f"{{}} has colour number {i}" for i in range(8)]
    table = {"trained": ["{} is ruled by", "The ruler of {} is"], "novel": ["Who rules {} is"]}
    known = make(kingdom(), {"colour": own, "ruler": table})
    colour, ruler = known.relation["colour"], known.relation["ruler"]
    assert (colour.templates, colour.novel) == (tuple(own[:6]), tuple(own[6:]))
    assert (len(ruler.templates), ruler.novel) == (2, ("Who rules {} is",))
    assert known.counts["relations in general words"] == 4
    assert {len(fact.wordings) for fact in known.of["colour"]} == {4}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"colour": ["It is"]}, "relation 'colour': template 1 needs one {} for the subject and "
         "has none: 'It is'"),
        ({"colour": ["{} and {} are"]}, "template 1 needs one {} for the subject and has 2"),
        ({"colour": ["{}"]}, "template 1 says nothing beside its subject"),
        ({"colour": []}, "relation 'colour': no template to train on"),
        ({"colour": ["{} is", "{}  is"]}, "the template '{} is' is there twice"),
        ({"colour": "{} is"}, "a list of templates is needed"),
        ({"colour": {"trained": ["{} is"], "new": []}}, "no 'new'; there are trained and novel"),
        ({"colour": ["{} is"], "ruler": ["{} is"]}, "'{} is' words both 'colour' and 'ruler'"),
        ({"color": ["{} is"]}, "no relation 'color' in the facts; did you mean 'colour'?"),
        ("[", "neither TOML nor JSON"),
        ("[1]", "a table of relations is needed"),
        ({"colour": [1]}, "template 1 is no text"),
    ],
)  # fmt: skip
def test_templates_that_can_not_be(make: Make, templates: Any, message: str) -> None:
    assert message in said(make, kingdom(), templates)


def test_two_names_in_the_same_words(make: Make) -> None:
    facts = [(f"a{i}", name, f"b{i}") for i in range(4) for name in ("home_town", "homeTown")]
    assert "'home_town' and 'homeTown' would be worded alike" in said(make, facts)


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
