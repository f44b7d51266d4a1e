"""The page of an update: causes before effects, what was said, and that names are data."""

import xml.etree.ElementTree as ET
from dataclasses import replace

from ksmith.graph import Changed, KnowledgeGraph, build, entail, requests
from ksmith.graph.because import steps
from ksmith.graph.changed import LEGEND, drawing, page
from ksmith.graph.changed_words import Said, step_name
from ksmith.graph.colours import CHANGED, OPEN, REST
from ksmith.records import Request, fact_name

SVG = "{http://www.w3.org/2000/svg}"
TASK = {"kind": "edit", "level": "intermediate", "scale": 6, "draws": 1}


def asked(world: KnowledgeGraph) -> list[Request]:
    return requests(world, TASK, 1)


def test_every_changed_fact_has_one_place_below_its_cause(world: KnowledgeGraph) -> None:
    found = steps(world, asked(world))
    change = entail(world, asked(world))
    names = [fact_name(step.changed.subject, step.changed.relation) for step in found]
    assert sorted(names) == sorted(change.touched)
    causes = {step.cause for step in found if step.changed.hop == 1}
    assert causes <= set(change.target)
    for index, step in enumerate(found):
        if step.cause is not None:
            assert step.cause in names[:index]
            assert change.touched >= {step.cause}
            hops = {**change.target, **change.entailed, **change.several}
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
    root = ET.fromstring(drawing(world, steps(world, made), said))
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


def test_the_drawing_says_what_was_asked_for_before_anyone_points_at_it(
    world: KnowledgeGraph,
) -> None:
    every = (r for seed in range(20) for r in requests(world, TASK, seed))
    request = next(r for r in every if r.relation == "leader")
    root = ET.fromstring(drawing(world, steps(world, [request]), {}))
    words = [tspan.text for tspan in root.iter(f"{SVG}tspan")]
    assert f"leader: {request.old} \u2192 {request.new}" in words
    assert {request.subject, request.old, request.new} <= set(words)
    lines = {title.text for path in root.iter(f"{SVG}path") for title in path}
    assert {f"{request.fact}: {request.old}", f"{request.fact}: {request.new}"} <= lines
    page_ = page(world, [request], {}, "rome")
    assert page_.index("<table>") < page_.index("<svg")  # in words before the picture
    assert LEGEND[CHANGED[2]] in page_ and LEGEND[OPEN] not in page_


def test_labels_do_not_cover_each_other(world: KnowledgeGraph) -> None:
    for seed in range(8):
        made = requests(world, TASK, seed)
        root = ET.fromstring(drawing(world, steps(world, made[:2]), {}))
        texts = [t for t in root.iter(f"{SVG}text") if t.find(f"{SVG}tspan") is not None]
        boxes = [box for text in texts for box in _boxes(text)]
        assert len(boxes) > 3
        for i, (left, right, base) in enumerate(boxes):
            for other, edge, line in boxes[:i]:
                assert abs(base - line) >= 13.9 or right <= other or edge <= left


def test_labels_do_not_hide_what_changed() -> None:
    """Of ten requests in a graph with persons, one label stood on another's node."""
    world = build({"source": "synthetic", "seed": 0, "facts": 1000, "stored": 0.7}, {})
    for seed in range(10):
        made = requests(world, {**TASK, "kind": "unlearn", "level": "root", "scale": 10}, seed)
        root = ET.fromstring(drawing(world, steps(world, made), {}))
        texts = [t for t in root.iter(f"{SVG}text") if t.find(f"{SVG}tspan") is not None]
        boxes = [box for text in texts for box in _boxes(text)]
        nodes = [c for c in root.iter(f"{SVG}circle") if float(c.attrib["r"]) > 3]
        assert len(nodes) > 3
        for node in nodes:
            x, y = float(node.attrib["cx"]), float(node.attrib["cy"])
            for left, right, base in boxes:
                assert not (left < x < right and base - 9 < y < base), (seed, x, y)


def _boxes(text: ET.Element) -> list[tuple[float, float, float]]:
    """Return left, right and base line of each line of a label, at least so wide."""
    found: list[tuple[float, float, float]] = []
    for line in text.iter(f"{SVG}tspan"):
        x, width = float(line.attrib["x"]), 6.2 * len(line.text or "")
        left = x - width if text.attrib["text-anchor"] == "end" else x
        found.append((left, left + width, float(line.attrib["y"])))
    return found


def test_what_has_several_answers_is_said_and_coloured_too() -> None:
    settings = {"seed": 0, "facts": 500, "stored": 1.0, "several": True}
    world = build({"source": "synthetic", **settings}, {})
    every = (r for seed in range(20) for r in requests(world, {**TASK, "level": "any"}, seed))
    request = next(r for r in every if r.relation == "author")
    other = next(fact.object for fact in world.of["author"] if fact.object != request.old)
    request = replace(request, new=other)  # who wrote something before
    wrote = entail(world, [request]).several[fact_name(request.new, "wrote")]
    assert request.subject in wrote.new and wrote.kept
    causes = {step_name(step): step.cause for step in steps(world, [request])}
    assert causes[fact_name(request.new, "wrote")] == request.fact
    text = page(world, [request], {}, "rome")
    assert f"{request.new} / <b>wrote</b>" in text and LEGEND[OPEN] in text
    assert f"<td>{request.subject}, {wrote.kept[0]}" in text  # what is new stands first
    root = ET.fromstring(drawing(world, steps(world, [request]), {}))
    assert {c.attrib["fill"] for c in root.iter(f"{SVG}circle")} >= {CHANGED[0]}


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
    first = [step.changed for step in found if step.cause is None]
    assert {changed.new for changed in first if isinstance(changed, Changed)} == {None}
    said = {made[0].fact: Said(before=made[0].old, after=made[0].old)}
    text = page(world, made, said, "npo")
    assert '<span class="faint">nothing</span>' in text
    assert f'<td class="wrong">{made[0].old}</td>' in text  # it is still said
    said = {made[0].fact: Said(before=made[0].old, after="something else")}
    text = page(world, made, said, "npo")
    assert '<td class="">something else</td>' in text
    assert "Where nothing is true, it is red only where" in text


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
    root = ET.fromstring(drawing(two, steps(two, made), {}))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"<a>", "b"} <= set(texts)
    plain = ET.fromstring(drawing(world, steps(world, made), {}))
    assert len(list(plain.iter(f"{SVG}text"))) == len(texts) - 2
