"""A picture of one update: what was changed in the graph, what follows, what the model says.

A page of its own, without script or network. First every changed fact in words, effects indented
below their causes (`changed_words`); then the drawing, which is SVG, its tooltips SVG titles.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ksmith.graph.because import Step, steps
from ksmith.graph.changed_words import (
    Said,
    arrowed,
    step_colour,
    step_name,
    summary,
    table,
    tips,
)
from ksmith.graph.colours import CHANGED, OPEN, REST
from ksmith.graph.knowledge import Changed, KnowledgeGraph, Several
from ksmith.graph.rings import Rings, Spot, grouped, layout, reach, sectors, spot
from ksmith.records import Request, fact_name

SIZE = 900  # of the drawing, in its own units
MOST = 2000  # nodes that nothing happened to; of more, an even choice is drawn
NAMED = 24  # changed nodes that carry their names; more would cover each other
TOLD = 8  # ... that say what became of them, too
HIGH, WIDE = 14.0, 6.3  # a line of a label, and about a letter of it
INK, FAINT = "#16191d", "#59626c"
LEGEND = {
    CHANGED[0]: "changed by request",
    CHANGED[1]: "follows, one step",
    CHANGED[2]: "follows, two steps or more",
    OPEN: "has several answers, of which some came or went",
    REST: "not touched",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #16191d; background: #fff; }
svg { width: 100%; height: auto; max-height: 92vh; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; }
th { position: sticky; top: 0; background: #fff; }
tr > * { border-bottom: 1px solid #dfe3e7; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .35em;
  border: 1px solid #16191d; box-sizing: border-box; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.right { color: #00704a; } .wrong { color: #b3261e; } .faint { color: #59626c; }
.wide { overflow: auto; max-height: 26rem; }
"""
ANSWERS = (
    'What the model wrote is <span class="right">green</span> where it is what is true then, '
    'and <span class="wrong">red</span> where it is not. Where nothing is true, it is red only '
    "where it is what was true before, or is true after."
)
LINES = (
    "A dashed line leads to the old answer, a thick one to the new. Arrows lead from a cause to "
    "its effect. Point at a node to read what is true of it now, and what the model says."
)

Box = tuple[float, float, float, float]  # left, right, top, bottom


def page(
    graph: KnowledgeGraph, requests: Sequence[Request], said: Mapping[str, Said], title: str
) -> str:
    """Return the whole page of one draw.

    Args:
        graph: before the change.
        requests: of the draw.
        said: by the name of a fact.
        title: whose update it is.
    """
    found = steps(graph, requests)
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(summary(found))} {ANSWERS}</p>"
        f"{table(found, said)}<h2>In the graph</h2><p>{LINES}</p>"
        f"{_legend(found)}{drawing(graph, found, said)}"
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _legend(found: Sequence[Step]) -> str:
    """Return what the colours of the page mean: only those that are there."""
    there = {REST, *map(step_colour, found)}
    dots = (
        f'<span><i class="dot" style="background:{colour}"></i>{text}</span>'
        for colour, text in LEGEND.items()
        if colour in there
    )
    return f'<p class="legend">{"".join(dots)}</p>'


# --- the drawing ------------------------------------------------------------------------------


def drawing(graph: KnowledgeGraph, found: Sequence[Step], said: Mapping[str, Said]) -> str:
    """Return the SVG: levels as rings, changed nodes coloured, arrows from cause to effect."""
    rings = layout(graph)
    scale = SIZE / 2 * 0.9 / reach(rings)
    place = {name: _scaled(at, scale) for ring in rings.values() for name, at in ring.items()}
    colour = {name: c for name, c in _coloured(found).items() if name in place}
    quiet = [name for name in place if name not in colour]
    answers = _answers(found, place)
    quiet = [n for n in quiet[:: max(1, -(-len(quiet) // MOST))] if n not in answers]
    tip = tips(found, said)
    titles = _ring_titles(rings, scale)
    spots = [place[name] for name in dict.fromkeys((*colour, *answers))]
    parts = [
        *_trunk(graph, place),
        *(_dot(place[name], REST, 2.2, name) for name in quiet),
        *_arrows(found, place),
        *_swaps(found, place),
        *(_dot(place[n], REST, 4.0, n) for n in answers if n not in colour),
        *(_dot(place[n], colour[n], 6.0, tip.get(n, n)) for n in colour),
        *_labels(
            [*colour, *(n for n in answers if n not in colour)],
            found,
            place,
            [*(_box(title, y) for title, y in titles), *map(_room, spots)],
        ),
        *(_ring_title(title, y) for title, y in titles),
        *_domains(graph, reach(rings), scale),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img" '
        f'aria-label="the graph, with what changed in colour"><defs>{ARROW}</defs>'
        f"{''.join(parts)}</svg>"
    )


def _coloured(found: Sequence[Step]) -> dict[str, str]:
    """Return subject -> colour, that of the nearest of its changed facts; the nearest come first.

    What is open comes last: a node that has one answer to anything else is not purple.
    """
    nearest: dict[str, str] = {}
    for step in sorted(found, key=lambda s: (isinstance(s.changed, Several), s.changed.hop)):
        nearest.setdefault(step.changed.subject, step_colour(step))
    return nearest


ARROW = (
    '<marker id="head" viewBox="0 0 8 8" refX="13" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker>'
)


def _scaled(place: Spot, scale: float) -> Spot:
    return SIZE / 2 + place[0] * scale, SIZE / 2 - place[1] * scale


EDGE = f' stroke="{INK}" stroke-width="0.7"'  # light colours are seen on white, too


def _dot(spot: Spot, colour: str, radius: float, tip: str) -> str:
    x, y = spot
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"{EDGE * (radius > 3)}>'
        f"<title>{escape(tip)}</title></circle>"
    )


def _line(a: Spot, b: Spot, look: str, tip: str = "") -> str:
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" {look}>{title}</path>'


def _trunk(graph: KnowledgeGraph, place: Mapping[str, Spot]) -> list[str]:
    """Return faint lines along the hierarchy: facts between one level and another."""
    levels = {entity.name: entity.level for entity in graph.entities}
    pairs = [
        (fact.subject, fact.object)
        for fact in graph.facts
        if fact.base and len({levels.get(fact.subject), levels.get(fact.object)} - {None}) == 2
    ]
    return [
        _line(place[a], place[b], 'stroke="#e3e7eb"')
        for a, b in pairs[:: max(1, -(-len(pairs) // MOST))]
        if a in place and b in place
    ]


def _arrows(found: Sequence[Step], place: Mapping[str, Spot]) -> list[str]:
    """Return an arrow from each cause's subject to its effect's, where they are two.

    Not from what was asked for to its own old and new answers: those have lines.
    """
    drawn = {(c.subject, end) for c in _requested(found) for end in (c.old, c.new)}
    subject = {step_name(step): step.changed.subject for step in found}
    ends: dict[tuple[str, str], list[str]] = {}
    for step in found:
        if step.cause is not None and subject[step.cause] != step.changed.subject:
            ends.setdefault((subject[step.cause], step.changed.subject), []).append(
                f"{step.cause}\n   so {step_name(step)}"
            )
    look = 'stroke="#555" stroke-width="1.2" marker-end="url(#head)"'
    return [
        _line(place[a], place[b], look, "\n".join(why))
        for (a, b), why in sorted(ends.items())
        if a in place and b in place and (a, b) not in drawn
    ]


def _requested(found: Iterable[Step]) -> list[Changed]:
    """Return what was asked for, as much as can be told apart."""
    changed = (step.changed for step in found if step.changed.hop == 0)
    return [one for one in changed if isinstance(one, Changed)][:NAMED]


def _answers(found: Sequence[Step], place: Mapping[str, Spot]) -> dict[str, None]:
    """Return the old and new answers of what was asked for that are nodes."""
    ends = (name for changed in _requested(found) for name in (changed.new, changed.old))
    return dict.fromkeys(name for name in ends if name is not None and name in place)


def _swaps(found: Sequence[Step], place: Mapping[str, Spot]) -> list[str]:
    """Return lines from what was asked for to its old answer and to its new one."""
    old = f'stroke="{CHANGED[0]}" stroke-width="1" stroke-dasharray="4 4"'
    new = f'stroke="{CHANGED[0]}" stroke-width="2.2"'
    return [
        _line(place[changed.subject], place[end], look, f"{fact_name(*key)}: {end}")
        for changed in _requested(found)
        if (key := (changed.subject, changed.relation))[0] in place
        for end, look in ((changed.old, old), (changed.new, new))
        if end is not None and end in place
    ]


def _labels(
    named: Sequence[str], found: Sequence[Step], place: Mapping[str, Spot], there: Sequence[Box]
) -> list[str]:
    """Return names beside their nodes; where there are few, with what became of them.

    What would cover another label, or what is `there`, stands below it, or above.
    """
    told: dict[str, str] = {}
    if len(named) <= TOLD:
        for step in found:
            if isinstance(step.changed, Changed):  # lists of answers would be too long
                told.setdefault(step.changed.subject, arrowed(step))
    taken = list(there)
    texts: list[str] = []
    for name in named[:NAMED]:
        lines = [name[:60], *([told[name][:60]] if name in told else [])]
        box = _free(_beside(place[name], lines), taken)
        taken.append(box)
        left = place[name][0] > SIZE / 2
        texts.append(
            _text(lines, box[1] if left else box[0], box[2], "end" if left else "start")
        )
    return texts


def _beside(spot: Spot, lines: Sequence[str]) -> Box:
    """Return the box of a label; it runs towards the middle, so that none is cut off."""
    x, y = spot
    width = WIDE * max(map(len, lines))
    start = x - 9 - width if x > SIZE / 2 else x + 9
    return start, start + width, y - 8, y - 8 + HIGH * len(lines)


def _free(box: Box, taken: Sequence[Box]) -> Box:
    """Return the box, moved as little as it takes to cover none of `taken`, if that is little."""
    left, right, top, bottom = box
    for step in sorted(range(-6, 7), key=abs):
        moved = (left, right, top + HIGH * step, bottom + HIGH * step)
        if not any(_cover(moved, other) for other in taken):
            return moved
    return box


def _cover(one: Box, other: Box) -> bool:
    across = one[0] < other[1] and other[0] < one[1]
    return across and one[2] < other[3] and other[2] < one[3]


def _text(lines: Sequence[str], x: float, top: float, anchor: str) -> str:
    spans = "".join(
        f'<tspan x="{x:.1f}" y="{top + 12 + HIGH * number:.1f}" '
        f'fill="{FAINT if number else INK}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return (
        f'<text font-size="12" font-family="system-ui, sans-serif" text-anchor="{anchor}" '
        f'stroke="#fff" stroke-width="3" paint-order="stroke">{spans}</text>'
    )


def _ring_titles(rings: Rings, scale: float) -> list[tuple[str, float]]:
    """Return what each ring is called, and how high that stands."""
    return [
        (f"{title} ({len(ring):,})", _scaled((0, _radius(ring)), scale)[1] - 7)
        for title, ring in rings.items()
        if ring
    ]


def _ring_title(title: str, y: float) -> str:
    return (
        f'<text x="{SIZE / 2}" y="{y:.1f}" font-size="11" text-anchor="middle" '
        f'font-family="system-ui, sans-serif" fill="{FAINT}">{escape(title)}</text>'
    )


def _box(title: str, y: float) -> Box:
    half = WIDE * len(title) / 2
    return SIZE / 2 - half, SIZE / 2 + half, y - 11, y + 3


def _room(spot: Spot) -> Box:
    """Return the box of a node: a label over it would hide it."""
    x, y = spot
    return x - 7, x + 7, y - 7, y + 7


def _domains(graph: KnowledgeGraph, edge: float, scale: float) -> list[str]:
    """Return the name of each domain along the edge of its sector."""
    found: list[str] = []
    for domain, (start, width) in sectors(grouped(graph)).items():
        if domain:
            middle = start + width / 2
            x, y = _scaled(spot(edge + 18 / scale, middle), scale)
            turn = 90 - math.degrees(middle) + (180 if math.sin(middle) < 0 else 0)
            found.append(
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" text-anchor="middle" '
                'font-family="system-ui, sans-serif" dominant-baseline="middle" '
                f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})" fill="{FAINT}">'
                f"{escape(domain)}</text>"
            )
    return found


def _radius(ring: Mapping[str, Spot]) -> float:
    x, y = next(iter(ring.values()))
    return (x * x + y * y) ** 0.5
