"""Where everything stands in a picture of a graph: levels as rings, domains as sectors."""

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from ksmith.graph.knowledge import Entity, KnowledgeGraph

Spot = tuple[float, float]
Rings = dict[str, dict[str, Spot]]  # title -> node -> place, from the centre
Groups = dict[str, dict[str, list[str]]]  # domain -> title -> nodes; rings from the inside

RADIUS, GAP = 1.7, 1.1  # of the innermost ring, at least, and between rings
APART = math.radians(7)  # between domains
MOST = 12  # rings; the smallest types share the last one
LABELS = 60  # so many names, at most, are written along the innermost ring
EDGE, NAME, LINE = 300, 66, 7  # points: to the edge of the picture, of a long name, between two


def layout(graph: KnowledgeGraph) -> Rings:
    """Return the rings; each node stands near what it hangs on, as far as there is room.

    Of several domains, each has a sector of all rings.
    """
    groups = grouped(graph)
    titles = _titles(groups)
    inner = _inner(sum(len(next(iter(g.values()), ())) for g in groups.values()), len(titles))
    rings: Rings = {title: {} for title in titles}
    for domain, (start, width) in sectors(groups).items():
        angle: dict[str, float] = {}
        for depth, (title, names) in enumerate(
            zip(titles, groups[domain].values(), strict=False)
        ):
            order = sorted(names, key=lambda name: _pull(graph, name, angle))
            first = 0.5 if domain else 0.0  # a sector has room at both of its ends
            turns = {n: start + width * (i + first) / len(order) for i, n in enumerate(order)}
            rings[title] |= {n: spot(inner + GAP * depth, turn) for n, turn in turns.items()}
            angle |= turns
    return rings


def spot(radius: float, angle: float) -> Spot:
    """Return the place at a distance from the centre, in a direction."""
    return radius * math.cos(angle), radius * math.sin(angle)


def reach(rings: Rings) -> float:
    """Return the radius of the outermost ring."""
    spots = (place for ring in rings.values() for place in ring.values())
    return max((math.hypot(*place) for place in spots), default=RADIUS)


def sectors(groups: Groups) -> dict[str, tuple[float, float]]:
    """Return domain -> where its sector begins, and how wide it is, in radians."""
    if len(groups) == 1:
        return dict.fromkeys(groups, (0.0, math.tau))
    sizes = {name: sum(map(len, group.values())) for name, group in groups.items()}
    room = (math.tau - APART * len(groups)) / sum(sizes.values())
    found: dict[str, tuple[float, float]] = {}
    start = APART / 2
    for name, size in sizes.items():
        found[name] = (start, room * size)
        start += room * size + APART
    return found


def grouped(graph: KnowledgeGraph) -> Groups:
    """Return the nodes of each ring of each domain: levels, then other types.

    Without levels, objects and subjects. A graph of one domain, or of none, has "" alone.
    """
    if not graph.levels:
        return {"": _without_levels(graph)}
    of: dict[str, list[Entity]] = {}
    for entity in graph.entities:
        of.setdefault(entity.domain or "no domain", []).append(entity)
    if len(of) == 1:
        return {"": _of_domain(graph, graph.entities)}
    return {domain: _of_domain(graph, entities) for domain, entities in of.items()}


def _of_domain(graph: KnowledgeGraph, entities: Sequence[Entity]) -> dict[str, list[str]]:
    """Return title -> nodes; a level that a domain lacks is there, and empty."""
    levels: dict[str, list[str]] = {level: [] for level in graph.levels}
    types: dict[str, list[str]] = {}
    for entity in entities:
        if entity.level is not None:
            levels[entity.level].append(entity.name)
        else:
            title = f"{entity.type} (type)" if entity.type in levels else entity.type
            types.setdefault(title, []).append(entity.name)
    room = MOST - len(levels)
    if len(types) > room:
        large = sorted(types, key=lambda title: -len(types[title]))[: room - 1]
        small = [title for title in types if title not in large]
        others = [name for title in small for name in types[title]]
        types = {title: types[title] for title in types if title in large}
        types[f"{len(small)} other types"] = others
    return levels | types


def _without_levels(graph: KnowledgeGraph) -> dict[str, list[str]]:
    editable = {fact.subject for fact in graph.facts if fact.editable}
    objects = dict.fromkeys(f.object for f in graph.facts if f.object not in graph.about)
    groups = {
        "objects": list(objects),
        "editable subjects": [name for name in graph.about if name in editable],
        "other subjects": [name for name in graph.about if name not in editable],
    }
    return {title: names for title, names in groups.items() if names}


def _titles(groups: Groups) -> list[str]:
    """Return what each ring is called, from the inside: by all its types, where domains differ."""
    found = zip_longest(*groups.values())
    return [" / ".join(dict.fromkeys(filter(None, titles))) for titles in found]


def _inner(names: int, rings: int) -> float:
    """Return the radius of the innermost ring, along which names must not meet in the centre."""
    if names > LABELS:
        return RADIUS
    points = NAME + LINE * names / math.tau
    return max(RADIUS, points * GAP * (rings - 1) / (EDGE - points))


def _pull(graph: KnowledgeGraph, name: str, angle: Mapping[str, float]) -> float:
    """Return the angle of the first thing on an inner ring that `name` is linked to."""
    links = (angle[fact.object] for fact in graph.about.get(name, ()) if fact.object in angle)
    return next(links, 0.0)
