"""Levels of a graph that has none of its own: by depth in a hierarchy, or by centrality.

depth        along one relation from child to parent: root has no parent, leaf no child,
             intermediate both; who is in no such fact has no level
centrality   thirds by degree (facts that name it) or PageRank (how much is said to point to
             it): root is the most central third, leaf the least; those that are equally
             central are on one level, so thirds may be of unequal size
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby

import networkx as nx

from ksmith.graph.rules import Triple
from ksmith.records import UserError

ROOT, MIDDLE, LEAF = "root", "intermediate", "leaf"
SHOWN = 6  # names of a cycle in a message


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entity stands."""

    level: str
    depth: int  # steps from the top; of centrality, which third


def hierarchy(
    triples: Sequence[Triple], named: str | None, functional: AbstractSet[str]
) -> "nx.DiGraph[str] | None":
    """Return the hierarchy, from child to parent: the named relation or the most tree-like one.

    Tree-like is a functional relation without cycles; the most so has the most entities that are
    child and parent both, then the most facts. None where no relation has even one such entity.
    A named relation whose subjects have several objects, but not its objects several subjects,
    leads from parent to child.

    Raises:
        UserError: the named relation is not there, or has a cycle.
    """
    links: dict[str, list[tuple[str, str]]] = {}
    for subject, relation, object_ in triples:
        links.setdefault(relation, []).append((subject, object_))
    if named is not None:
        return _named(links, named)
    best: tuple[tuple[int, int, str], nx.DiGraph[str]] | None = None
    for relation in sorted(functional & links.keys()):
        tree: nx.DiGraph[str] = nx.DiGraph(links[relation])
        inner = sum(1 for n in tree if tree.in_degree(n) and tree.out_degree(n))
        rank = (inner, len(links[relation]), relation)
        better = inner and (best is None or rank[:2] > best[0][:2])
        if better and nx.is_directed_acyclic_graph(tree):
            best = (rank, tree)
    return best[1] if best else None


def looped(triples: Sequence[Triple], functional: AbstractSet[str]) -> dict[str, list[str]]:
    """Return the relations that would be a hierarchy but for a cycle, each with one.

    Most of their facts lead from child to parent, as those of no relation do that goes both ways.
    """
    links: dict[str, list[tuple[str, str]]] = {}
    for subject, relation, object_ in triples:
        links.setdefault(relation, []).append((subject, object_))
    found: dict[str, list[str]] = {}
    for relation in sorted(functional & links.keys()):
        drawn: nx.DiGraph[str] = nx.DiGraph(links[relation])
        parts = nx.strongly_connected_components(drawn)
        around = {name: i for i, part in enumerate(parts) for name in part}
        inside = [(a, b) for a, b in drawn.edges if around[a] == around[b]]
        if inside and 2 * len(inside) < drawn.number_of_edges():
            found[relation] = [edge[0] for edge in nx.find_cycle(nx.DiGraph(inside))]
    return found


def loop_told(cycle: Sequence[str]) -> str:
    """Return a cycle for a message, of a long one its beginning."""
    shown = [*cycle[:SHOWN], *(["..."] if len(cycle) > SHOWN else []), cycle[0]]
    return f"has a cycle of {len(cycle)}: {' -> '.join(shown)}"


def _named(links: Mapping[str, Iterable[tuple[str, str]]], named: str) -> "nx.DiGraph[str]":
    if named not in links:
        there = ", ".join(sorted(links))
        raise UserError(f"graph.hierarchy = {named!r}: no such relation; there are {there}")
    tree: nx.DiGraph[str] = nx.DiGraph(links[named])
    try:
        cycle = [edge[0] for edge in nx.find_cycle(tree)]
    except nx.NetworkXNoCycle:
        parents = max(degree for _, degree in tree.out_degree())
        children = max(degree for _, degree in tree.in_degree())
        return tree.reverse() if parents > 1 and children == 1 else tree
    raise UserError(f"graph.hierarchy = {named!r} {loop_told(cycle)}")


def by_depth(tree: "nx.DiGraph[str]") -> dict[str, Place]:
    """Return the places of those in the hierarchy; of several ways up, the longest counts."""
    depth: dict[str, int] = {}
    places: dict[str, Place] = {}
    for name in reversed(list(nx.topological_sort(tree))):  # parents first
        depth[name] = 1 + max((depth[parent] for parent in tree[name]), default=-1)
        below = MIDDLE if tree.in_degree(name) else LEAF
        places[name] = Place(below if tree.out_degree(name) else ROOT, depth[name])
    return places


def by_centrality(triples: Sequence[Triple], measure: str) -> dict[str, Place]:
    """Return the places of all, by "degree" or "pagerank"."""
    drawn: nx.MultiDiGraph[str] = nx.MultiDiGraph((s, o) for s, _, o in triples)
    scores: Mapping[str, float] = (
        nx.pagerank(nx.DiGraph(drawn)) if measure == "pagerank" else dict(drawn.degree())
    )
    # Rounded: a sum of floats must not tell apart what stands alike.
    order = sorted(scores, key=lambda name: (-round(scores[name], 12), name))
    places: dict[str, Place] = {}
    for _, group in groupby(order, key=lambda name: round(scores[name], 12)):
        names = list(group)
        third = int(3 * (len(places) + len(names) / 2) / len(order))
        place = Place((ROOT, MIDDLE, LEAF)[min(third, 2)], min(third, 2))
        places |= dict.fromkeys(names, place)
    return places
