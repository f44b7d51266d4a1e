"""A world small enough to know by heart."""

from collections.abc import Sequence
from typing import Any

from ksmith.graph import Entity, Fact, KnowledgeGraph, Relation, Rule, closure
from ksmith.records import Question, Request

PLANTS = ("ivy", "fern", "holly", "cedar")
BASE = (
    ("Aro", "emblem", "ivy"),
    ("Bel", "emblem", "ivy"),
    ("Cam", "emblem", "ivy"),
    ("Dun", "emblem", "fern"),
    ("Aro", "leader", "Pia"),
    ("Bel", "leader", "Quin"),
    ("Aro", "sister", "Bel"),
    ("Aro", "crop", "rye"),
    ("Aro", "sport", "polo"),
)
RULES = (
    Rule(body=("leader",), head="leads"),
    Rule(body=("leads", "emblem"), head="badge", cut=1),
)
UNSTATED = {("Pia", "badge")}  # only derivable
TYPES = {
    "plant": PLANTS,
    "person": ("Pia", "Quin", "Ruth"),
    "place": ("Aro", "Bel", "Cam", "Dun"),
    "crop": ("rye", "rice"),
    "sport": ("polo", "golf"),
}
OBJECTS = {
    "emblem": "plant", "leader": "person", "leads": "place", "badge": "plant",
    "sister": "place", "crop": "crop", "sport": "sport",
}  # fmt: skip


def world() -> KnowledgeGraph:
    """Return the graph: training shows three of a relation's four templates; one is novel."""
    facts = [
        Fact(
            subject=subject,
            relation=relation,
            object=object_,
            base=(subject, relation, object_) in BASE,
            editable=relation in {"emblem", "leader"},
            wordings=() if (subject, relation) in UNSTATED else (0, 1, 2),
        )
        for subject, relation, object_ in sorted(closure(BASE, RULES))
    ]
    relations = [
        Relation(
            name=name,
            objects=objects,
            templates=tuple(f"{name} {i} of {{}} is" for i in range(4)),
            novel=(f"novel {name} of {{}} is",),
        )
        for name, objects in OBJECTS.items()
    ]
    return KnowledgeGraph(
        source="hand",
        settings={},
        types=TYPES,
        entities=tuple(Entity(name=n, type="place", level="leaf") for n in TYPES["place"]),
        relations=tuple(relations),
        rules=RULES,
        facts=tuple(facts),
        held=tuple(f"Sentence {i} ." for i in range(40)),
    )


def request(subject: str, relation: str, new: str, **more: Any) -> Request:
    """Return a request of the world; its kind is "edit" unless said."""
    old = next(o for s, r, o in BASE if (s, r) == (subject, relation))
    values: dict[str, Any] = {"id": "0.0", "draw": 0, "kind": "edit", "old": old}
    values |= {"template": f"{relation} 0 of {{}} is", "level": "leaf"}
    return Request(subject=subject, relation=relation, new=new, **(values | more))


def texts(question: Question) -> tuple[str | None, str | None, str | None]:
    """Return what is right after, right before and the rival, in words."""
    indices = (question.right, question.right_before, question.rival)
    after, before, rival = (None if i is None else question.candidates[i] for i in indices)
    return after, before, rival


def of(questions: Sequence[Question], probe: str) -> list[Question]:
    """Return the questions of one probe."""
    return [question for question in questions if question.probe == probe]
