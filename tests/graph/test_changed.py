"""The page of an update: causes before effects, what was said, and that names are data."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from ksmith.graph import KnowledgeGraph, entail, requests
from ksmith.graph.because import steps
from ksmith.graph.changed import Said, drawing, page
from ksmith.graph.colours import CHANGED, REST
from ksmith.records import Request, fact_name

SVG = "{http://www.w3.org/2000/svg}"
TASK = {"kind": "edit", "level": "intermediate", "scale": 6, "draws": 1}


def asked(world: KnowledgeGraph) -> list[Request]:
    return requests(world, TASK, 1)


def test_every_changed_fact_has_one_place_below_its_cause(world: KnowledgeGraph) -> None:
    found = steps(world, asked(world))
    change = entail(world, asked(world))
    names = [fact_name(step.changed.subject, step.changed.relation) for step in found]
    assert sorted(names) == sorted([*change.target, *change.entailed])
    causes = {step.cause for step in found if step.changed.hop == 1}
    assert causes <= set(change.target)
    for index, step in enumerate(found):
        if step.cause is not None:
            assert step.cause in names[:index]
            assert change.touched >= {step.cause}
            hops = {**change.target, **change.entailed}
            assert hops[step.cause].hop < step.changed.hop


def test_a_new_leader_leads_to_the_badges(world: KnowledgeGraph) -> None:
    every = (r for seed in range(20) for r in requests(world, TASK, seed))
    request = next(r for r in every if r.relation == "leader")
    because = {
        (step.changed.subject, step.changed.relation): step.cause
        for step in steps(world, [request])
    }
    assert because[request.subject, "leader"] is None
    assert because[request.new, "leads"] == request.fact
    assert because[request.new, "badge"] == fact_name(request.new, "leads")


def test_colours_say_how_far_it_is_from_what_was_asked(world: KnowledgeGraph) -> None:
    made, said = asked(world), dict[str, Said]()
    root = ET.fromstring(drawing(world, made, steps(world, made), said))
    fills: dict[str, str] = {}
    for circle in root.iter(f"{SVG}circle"):
        title = circle.find(f"{SVG}title")
        assert title is not None
        assert title.text is not None
        fills[title.text.split("\n")[0]] = circle.attrib["fill"]
    assert len(fills) == len(world.entities)
    for request in made:
        assert fills[request.subject] == CHANGED[0]
    untouched = {name.split(" / ")[0] for name in entail(world, made).touched}
    quiet = [name for name in fills if name not in untouched]
    assert {fills[name] for name in quiet} == {REST}


def test_what_the_model_said_stands_beside_what_is_true(world: KnowledgeGraph) -> None:
    made = asked(world)
    first = made[0]
    said = {first.fact: Said(before=f"{first.old} .", after='<i>"none"</i>')}
    text = page(world, made, said, "<rome>")
    assert f'<td class="right">{first.old} .</td>' in text
    assert '<td class="wrong">&lt;i&gt;&quot;none&quot;&lt;/i&gt;</td>' in text
    assert "&lt;rome&gt;" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_an_alias_is_shown_as_what_it_stands_for(world: KnowledgeGraph) -> None:
    made = asked(world)
    names = {"aliases": ("Nova",), "aliases_before": ("Ancien",)}
    for before, after, kinds in (
        ("Ancien", "nova.", ("right", "right")),
        ("Nova", "Ancien", ("wrong", "wrong")),
    ):
        said = {made[0].fact: Said(before=before, after=after, **names)}
        text = page(world, made, said, "rome")
        cells = [
            f'<td class="{k}">{t}</td>' for k, t in zip(kinds, (before, after), strict=True)
        ]
        assert "".join(cells) in text


def test_unlearning_leaves_nothing_in_its_place(world: KnowledgeGraph) -> None:
    made = requests(world, {**TASK, "kind": "unlearn"}, 1)
    found = steps(world, made)
    assert all(step.changed.new is None for step in found if step.cause is None)
    said = {made[0].fact: Said(before=made[0].old, after=made[0].old)}
    text = page(world, made, said, "npo")
    assert '<span class="faint">nothing</span>' in text
    assert f'<td class="wrong">{made[0].old}</td>' in text  # it is still said


def test_no_requests_no_steps(world: KnowledgeGraph) -> None:
    assert steps(world, []) == []


def test_domains_are_named_where_there_are_several(world: KnowledgeGraph) -> None:
    half = len(world.entities) // 2
    named = [
        replace(entity, domain="<a>" if i < half else "b")
        for i, entity in enumerate(world.entities)
    ]
    made = asked(world)
    two = replace(world, entities=tuple(named))
    root = ET.fromstring(drawing(two, made, steps(two, made), {}))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"<a>", "b"} <= set(texts)
    plain = ET.fromstring(drawing(world, made, steps(world, made), {}))
    assert len(list(plain.iter(f"{SVG}text"))) == len(texts) - 2
