"""A picture of a graph: levels as rings, from the roots outwards; domains as sectors.

Each ring of each domain has a colour of its own. A name that no installed font can write is
shown by its number, and the picture says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ksmith.graph.colours import palette
from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.lettering import Lettering, clean, lettering
from ksmith.graph.rings import (
    LABELS,
    Groups,
    Rings,
    Spot,
    grouped,
    layout,
    reach,
    sectors,
    spot,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINKS = 6000  # more lines than this are a grey disc: an even choice of them is drawn
DOT = 40  # points^2, in the legend
OUTSIDE = 0.55  # of the outermost ring: where domains are named


def draw(graph: KnowledgeGraph, path: Path) -> None:
    """Write the picture as PNG."""
    # Here, not above: a worker that draws nothing should not load matplotlib.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rings, groups = layout(graph), grouped(graph)
    words = Words.of(graph, rings, groups)
    with rc_context({"font.family": list(words.letters.families), "text.parse_math": False}):
        height = 9 if len(groups) == 1 else 10
        figure = Figure(figsize=(9, height), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw_links(axes, graph, {n: s for ring in rings.values() for n, s in ring.items()})
        _draw_nodes(axes, rings, groups, words)
        _name_domains(axes, rings, groups, words)
        _name_nodes(axes, next(iter(rings.values()), {}), words)
        _explain(figure, axes, graph, words)
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.axis("off")
        figure.savefig(path, format="png")


# --- words ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What is written in a picture."""

    letters: Lettering
    number: Mapping[str, int]  # of the names that no font can write: of a node in graph.json
    domains: int

    @classmethod
    def of(cls, graph: KnowledgeGraph, rings: Rings, groups: Groups) -> "Words":
        """Return the words of a picture with these rings."""
        inner = next(iter(rings.values()), {})
        names = list(inner) if len(inner) <= LABELS else []
        kinds = [title for domain, group in groups.items() for title in (domain, *group)]
        letters = lettering(clean(text) for text in (*names, *kinds))
        objects = (fact.object for fact in graph.facts)
        nodes = dict.fromkeys([*(entity.name for entity in graph.entities), *objects])
        lost = {name for name in names if not clean(name) or not letters.writes(clean(name))}
        number = {name: i for i, name in enumerate(nodes) if name in lost}
        return cls(letters, number, len(groups))

    def name(self, node: str) -> str:
        """Return the name of a node, or its number."""
        return f"#{self.number[node]}" if node in self.number else clean(node)

    def kind(self, text: str) -> str:
        """Return a domain or the title of a ring; what can't be written by its code points."""
        shown = clean(text)
        if self.letters.writes(shown):
            return shown
        return " ".join(f"U+{ord(letter):04X}" for letter in shown[:4])

    def caption(self) -> str:
        """Return what numbers stand for, where there are any."""
        if not self.number:
            return ""
        number = min(self.number.values())
        return (
            f"#{number}: a name that no installed font can write, that of node {number} of "
            "graph.json, counted from 0"
        )


def _name_nodes(axes: "Axes", ring: Mapping[str, Spot], words: Words) -> None:
    """Write the names of the innermost ring towards its centre."""
    for name, (x, y) in ring.items() if len(ring) <= LABELS else ():
        turn = math.degrees(math.atan2(y, x))
        flipped = abs(turn) > 90
        axes.text(
            0.95 * x,
            0.95 * y,
            words.name(name),
            fontsize=6,
            rotation=turn - 180 if flipped else turn,
            rotation_mode="anchor",
            ha="left" if flipped else "right",
            va="center",
        )


def _name_domains(axes: "Axes", rings: Rings, groups: Groups, words: Words) -> None:
    """Write the name of each domain along the edge of its sector."""
    for domain, (start, width) in sectors(groups).items():
        if domain:
            middle = start + width / 2
            turn = math.degrees(middle) - 90
            axes.text(
                *spot(reach(rings) + OUTSIDE, middle),
                words.kind(domain),
                fontsize=11,
                color="#444444",
                rotation=turn - 180 if math.sin(middle) < 0 else turn,
                rotation_mode="anchor",
                ha="center",
                va="center",
            )


def _explain(figure: "Figure", axes: "Axes", graph: KnowledgeGraph, words: Words) -> None:
    """Write what the graph has, what the colours mean, and what stands for names."""
    editable = sum(fact.editable for fact in graph.facts)
    figure.suptitle(
        f"{graph.source}: {len(graph.facts):,} facts, {len(graph.stated):,} stated in "
        f"training, {editable:,} editable",
        fontsize=12,
    )
    axes.set_title(words.caption(), fontsize=8)
    if words.domains == 1:
        legend = axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    else:
        legend = figure.legend(
            loc="outside lower center", ncols=words.domains, fontsize=8, frameon=False
        )
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if handle is not None and text.get_text().strip():
            handle.set(sizes=[DOT])  # however small the dots of a large ring are


# --- dots and lines ---------------------------------------------------------------------------


def _draw_nodes(axes: "Axes", rings: Rings, groups: Groups, words: Words) -> None:
    """Draw each ring of each domain in its colour; in the legend, domains are columns."""
    place = {name: at for ring in rings.values() for name, at in ring.items()}
    sizes = [max(3.0, min(55.0, 3600 / len(ring))) for ring in rings.values()]  # points^2
    colours = palette(len(groups), len(rings))
    for (domain, group), shades in zip(groups.items(), colours, strict=True):
        titles = [*group, *[""] * (len(rings) - len(group))]
        for title, colour, size in zip(titles, shades, sizes, strict=True):
            spots = [place[name] for name in group.get(title, ())]
            called = ", ".join(words.kind(text) for text in (domain, title) if text)
            axes.scatter(
                [x for x, _ in spots],
                [y for _, y in spots],
                s=size if title else 0,
                c=colour,
                label=f"{called} ({len(spots):,})" if title else " ",
                zorder=3,
                linewidths=0,
            )


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
    axes.add_collection(LineCollection(others, colors="#777777", linewidths=0.5, alpha=faint))
    axes.add_collection(LineCollection(trunk, colors="#333333", linewidths=0.9, alpha=0.6))
