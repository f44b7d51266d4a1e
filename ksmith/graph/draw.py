"""A picture of a graph: levels as rings, from the roots outwards."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ksmith.graph.knowledge import LEVELS, KnowledgeGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Spot = tuple[float, float]
Rings = dict[str, dict[str, Spot]]  # title -> node -> place, from the centre

COLOURS = ("#b3344a", "#e08e2b", "#3b7d4f", "#3f6fb0", "#7b5aa6", "#6b6b6b")
RADIUS, GAP = 1.7, 1.1  # of the innermost ring, and between rings
LINKS = 6000  # more lines than this are a grey disc: an even choice of them is drawn
LABELS = 60  # names are written along the innermost ring, where they fit


def draw(graph: KnowledgeGraph, path: Path) -> None:
    """Write the picture as PNG."""
    # Here, not above: a worker that draws nothing should not load matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rings = layout(graph)
    _draw_links(axes, graph, {n: spot for ring in rings.values() for n, spot in ring.items()})
    for (title, ring), colour in zip(rings.items(), COLOURS, strict=False):
        across, up = zip(*ring.values(), strict=True)
        size = max(3.0, min(55.0, 3600 / len(ring)))  # points^2: the more, the smaller
        label = f"{title} ({len(ring):,})"
        axes.scatter(across, up, s=size, c=colour, label=label, zorder=3, linewidths=0)
    _label(axes, next(iter(rings.values()), {}))
    editable = sum(fact.editable for fact in graph.facts)
    axes.set_title(
        f"{graph.source}: {len(graph.facts):,} facts, {len(graph.stated):,} stated in "
        f"training, {editable:,} editable"
    )
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")
    figure.savefig(path, format="png")


def layout(graph: KnowledgeGraph) -> Rings:
    """Return the rings; each node stands near what it hangs on, as far as there is room."""
    angle: dict[str, float] = {}
    rings: Rings = {}
    for title, names in _groups(graph).items():
        order = sorted(names, key=lambda name: _pull(graph, name, angle))
        radius = RADIUS + GAP * len(rings)
        turns = {name: math.tau * i / len(order) for i, name in enumerate(order)}
        rings[title] = {
            n: (radius * math.cos(a), radius * math.sin(a)) for n, a in turns.items()
        }
        angle |= turns
    return rings


def _groups(graph: KnowledgeGraph) -> dict[str, list[str]]:
    """Return title -> names: levels, then other types; without levels, objects and subjects."""
    groups: dict[str, list[str]] = {}
    if graph.levels:
        ranks = {level: rank for rank, level in enumerate(LEVELS)}
        for entity in sorted(
            graph.entities, key=lambda e: ranks.get(e.level or "", len(ranks))
        ):
            groups.setdefault(entity.level or entity.type, []).append(entity.name)
        return groups
    editable = {fact.subject for fact in graph.facts if fact.editable}
    objects = dict.fromkeys(f.object for f in graph.facts if f.object not in graph.about)
    groups["objects"] = list(objects)
    groups["editable subjects"] = [name for name in graph.about if name in editable]
    groups["other subjects"] = [name for name in graph.about if name not in editable]
    return {title: names for title, names in groups.items() if names}


def _pull(graph: KnowledgeGraph, name: str, angle: Mapping[str, float]) -> float:
    """Return the angle of the first thing on an inner ring that `name` is linked to."""
    links = (angle[fact.object] for fact in graph.about.get(name, ()) if fact.object in angle)
    return next(links, 0.0)


def _draw_links(axes: "Axes", graph: KnowledgeGraph, place: Mapping[str, Spot]) -> None:
    """Draw the facts between nodes; those from level to level, the hierarchy, are darker."""
    from matplotlib.collections import LineCollection

    trunk: list[Sequence[Spot]] = []
    others: list[Sequence[Spot]] = []
    for fact in graph.facts:
        if fact.object in place and fact.subject in place:
            ends = [graph.entity.get(name) for name in (fact.subject, fact.object)]
            levels = {end.level for end in ends if end is not None}
            between = len(levels) == 2 and None not in levels
            (trunk if between else others).append((place[fact.subject], place[fact.object]))
    others = others[:: max(1, math.ceil(len(others) / LINKS))]
    faint = min(0.35, 150 / max(1, len(others)) + 0.04)
    axes.add_collection(LineCollection(others, colors="#5577aa", linewidths=0.5, alpha=faint))
    axes.add_collection(LineCollection(trunk, colors="#333333", linewidths=0.9, alpha=0.6))


def _label(axes: "Axes", ring: Mapping[str, Spot]) -> None:
    """Write the names of the innermost ring towards its centre."""
    if len(ring) > LABELS:
        return
    for name, (x, y) in ring.items():
        turn = math.degrees(math.atan2(y, x))
        flipped = abs(turn) > 90
        axes.text(
            0.95 * x,
            0.95 * y,
            _plain(name),
            fontsize=6,
            rotation=turn - 180 if flipped else turn,
            rotation_mode="anchor",
            ha="left" if flipped else "right",
            va="center",
        )


def _plain(name: str) -> str:
    """Return `name` so that it needs no other font and is no formula."""
    return "".join(
        c if c.isascii() and c.isprintable() and c != "$" else "?" for c in name[:20]
    )
