"""A picture of one update: what was changed in the graph, what follows, what the model says.

A page of its own, without script or network: the drawing is SVG, its tooltips are SVG titles,
and below it every changed fact stands in words, effects indented below their causes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ksmith.graph.because import Step, steps
from ksmith.graph.change import entail
from ksmith.graph.colours import CHANGED, OPEN, REST
from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.rings import Rings, grouped, layout, reach, sectors, spot
from ksmith.records import Request, fact_name

SIZE = 900  # of the drawing, in its own units
MOST = 2000  # nodes that nothing happened to; of more, an even choice is drawn
NAMED = 24  # changed nodes that carry their names; more would cover each other
LEGEND = {
    CHANGED[0]: "changed by request",
    CHANGED[1]: "follows, one step",
    CHANGED[2]: "follows, two steps or more",
    OPEN: "left open: has several answers",
    REST: "not touched",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #16191d; background: #fff; }
svg { width: 100%; height: auto; max-height: 92vh; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; }
tr > * { border-bottom: 1px solid #dfe3e7; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .35em;
  border: 1px solid #16191d; box-sizing: border-box; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.right { color: #00704a; } .wrong { color: #b3261e; } .faint { color: #59626c; }
.wide { overflow-x: auto; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the model wrote, asked about one fact; None where nobody asked."""

    before: str | None
    after: str | None
    aliases: tuple[str, ...] = ()  # of what is true now: as good as its name
    aliases_before: tuple[str, ...] = ()  # ... of what was true


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
    follows = sum(step.changed.hop > 0 for step in found)
    asked = len(found) - follows
    summary = (
        f"{asked} fact{'s were' if asked != 1 else ' was'} changed by request, and "
        f"{follows} follow{'s' if follows == 1 else ''} from that. Point at a node to read what "
        "is true of it now, and what the model says."
    )
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(summary)}</p>{_legend()}"
        f"{drawing(graph, requests, found, said)}<h2>In words</h2>{_table(found, said)}"
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def drawing(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    found: Sequence[Step],
    said: Mapping[str, Said],
) -> str:
    """Return the SVG: levels as rings, changed nodes coloured, arrows from cause to effect."""
    rings = layout(graph)
    scale = SIZE / 2 * 0.9 / reach(rings)
    place = {name: _scaled(at, scale) for ring in rings.values() for name, at in ring.items()}
    opened = {name.split(" / ")[0] for name in entail(graph, requests).open}
    hops = _hops(found)
    colour = dict.fromkeys(opened, OPEN) | {n: _colour(hop) for n, hop in hops.items()}
    quiet = [name for name in place if name not in colour]
    quiet = quiet[:: max(1, -(-len(quiet) // MOST))]
    tips = _tips(found, said)
    parts = [
        *_trunk(graph, place),
        *(_dot(place[name], REST, 2.2, name) for name in quiet),
        *_arrows(found, place),
        *(
            _dot(place[name], colour[name], 6.0, tips.get(name, name))
            for name in colour
            if name in place
        ),
        *_labels(hops, place),
        *_ring_titles(rings, scale),
        *_domains(graph, reach(rings), scale),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img" '
        f'aria-label="the graph, with what changed in colour"><defs>{ARROW}</defs>'
        f"{''.join(parts)}</svg>"
    )


ARROW = (
    '<marker id="head" viewBox="0 0 8 8" refX="13" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker>'
)


def _scaled(place: tuple[float, float], scale: float) -> tuple[float, float]:
    return SIZE / 2 + place[0] * scale, SIZE / 2 - place[1] * scale


def _hops(found: Sequence[Step]) -> dict[str, int]:
    """Return subject -> hop of the nearest of its changed facts."""
    hops: dict[str, int] = {}
    for step in found:
        subject = step.changed.subject
        hops[subject] = min(step.changed.hop, hops.get(subject, step.changed.hop))
    return hops


def _colour(hop: int) -> str:
    return CHANGED[min(hop, len(CHANGED) - 1)]


EDGE = ' stroke="#16191d" stroke-width="0.7"'  # light colours are seen on white, too


def _dot(spot: tuple[float, float], colour: str, radius: float, tip: str) -> str:
    x, y = spot
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"{EDGE * (radius > 3)}>'
        f"<title>{escape(tip)}</title></circle>"
    )


def _trunk(graph: KnowledgeGraph, place: Mapping[str, tuple[float, float]]) -> list[str]:
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


def _line(a: tuple[float, float], b: tuple[float, float], look: str, tip: str = "") -> str:
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" {look}>{title}</path>'


def _arrows(found: Sequence[Step], place: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return an arrow from each cause's subject to its effect's, where they are two."""
    subject = {_name(step): step.changed.subject for step in found}
    ends: dict[tuple[str, str], list[str]] = {}
    for step in found:
        if step.cause is not None and subject[step.cause] != step.changed.subject:
            ends.setdefault((subject[step.cause], step.changed.subject), []).append(
                f"{step.cause}\n   so {_name(step)}"
            )
    look = 'stroke="#555" stroke-width="1.2" marker-end="url(#head)"'
    return [
        _line(place[a], place[b], look, "\n".join(why))
        for (a, b), why in sorted(ends.items())
        if a in place and b in place
    ]


def _labels(hops: Mapping[str, int], place: Mapping[str, tuple[float, float]]) -> list[str]:
    names = sorted((name for name in hops if name in place), key=lambda n: (hops[n], n))[:NAMED]
    found: list[str] = []
    for name in names:
        x, y = place[name]
        left = x > SIZE / 2  # the text runs towards the middle, so that none is cut off
        found.append(
            f'<text x="{x - 9 if left else x + 9:.1f}" y="{y + 4:.1f}" font-size="12" '
            f'font-family="system-ui, sans-serif" text-anchor="{"end" if left else "start"}" '
            'stroke="#fff" stroke-width="3" paint-order="stroke" fill="#16191d">'
            f"{escape(name[:40])}</text>"
        )
    return found


def _ring_titles(rings: Rings, scale: float) -> list[str]:
    return [
        f'<text x="{SIZE / 2}" y="{_scaled((0, _radius(ring)), scale)[1] - 7:.1f}" '
        'font-size="11" font-family="system-ui, sans-serif" text-anchor="middle" '
        f'fill="#59626c">{escape(title)} ({len(ring):,})</text>'
        for title, ring in rings.items()
        if ring
    ]


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
                f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})" fill="#59626c">'
                f"{escape(domain)}</text>"
            )
    return found


def _radius(ring: Mapping[str, tuple[float, float]]) -> float:
    x, y = next(iter(ring.values()))
    return (x * x + y * y) ** 0.5


# --- in words ---------------------------------------------------------------------------------


def _name(step: Step) -> str:
    return fact_name(step.changed.subject, step.changed.relation)


def _tips(found: Sequence[Step], said: Mapping[str, Said]) -> dict[str, str]:
    """Return subject -> the lines of its tooltip."""
    lines: dict[str, list[str]] = {}
    for step in found:
        changed = step.changed
        text = f"{changed.relation}: {changed.old or 'nothing'} -> {changed.new or 'nothing'}"
        answer = said.get(_name(step))
        if answer is not None:
            text += f'\n   the model: "{answer.before or ""}" -> "{answer.after or ""}"'
        lines.setdefault(changed.subject, [changed.subject]).append(text)
    return {subject: "\n".join(texts) for subject, texts in lines.items()}


def _legend() -> str:
    dots = (
        f'<span><i class="dot" style="background:{colour}"></i>{text}</span>'
        for colour, text in LEGEND.items()
    )
    return f'<p class="legend">{"".join(dots)}</p>'


def _table(found: Sequence[Step], said: Mapping[str, Said]) -> str:
    names = ("fact", "was true", "is true now", "the model before", "the model now")
    head = "".join(f"<th>{name}</th>" for name in names)
    depth: dict[str, int] = {}
    rows: list[str] = []
    for step in found:
        depth[_name(step)] = depth[step.cause] + 1 if step.cause else 0
        rows.append(_row(step, said.get(_name(step)), depth[_name(step)]))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _row(step: Step, answer: Said | None, depth: int) -> str:
    changed = step.changed
    dot = f'<i class="dot" style="background:{_colour(changed.hop)}"></i>'
    fact = f"{escape(changed.subject)} / <b>{escape(changed.relation)}</b>"
    new = _names(changed.new, answer.aliases if answer else ())
    old = _names(changed.old, answer.aliases_before if answer else ())
    cells = [
        f'<td style="padding-left:{0.6 + 1.6 * min(depth, 8)}rem">{dot}{fact}</td>',
        f"<td>{_shown(changed.old)}</td>",
        f"<td>{_shown(changed.new)}</td>",
        _answer(answer.before if answer else None, old, new),
        _answer(answer.after if answer else None, new, old),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _shown(text: str | None) -> str:
    return '<span class="faint">nothing</span>' if text is None else escape(text)


def _names(object_: str | None, aliases: Sequence[str]) -> set[str]:
    """Return all names of an object as they are compared; of nothing, none."""
    names = () if object_ is None else (object_, *aliases)
    return {_plain(name) for name in names}


def _plain(text: str) -> str:
    return text.strip(" .").casefold()


def _answer(text: str | None, right: set[str], wrong: set[str]) -> str:
    """Return the cell of an answer; where none is right, that of the other time is wrong."""
    if text is None:
        return '<td class="faint">not asked</td>'
    if right:
        kind = "right" if _plain(text) in right else "wrong"
    else:
        kind = "wrong" if _plain(text) in wrong else ""
    return f'<td class="{kind}">{escape(text[:80])}</td>'
