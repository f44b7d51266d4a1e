"""Which of a user's own facts hold by themselves, and which follow."""

from hypothesis import given
from hypothesis import strategies as st

from ksmith import graph
from ksmith.graph import Rule, closure
from ksmith.graph.basis import basis
from ksmith.graph.rules import Triple
from tests.graph.test_triples import Make, kingdom, make, said

__all__ = ["make"]  # a fixture


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
