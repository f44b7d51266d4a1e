"""Forget sets: what goes together when knowledge is forgotten or rewritten, and in what order.

    facts      each fact by itself
    entity     all facts of one subject
    branch     all facts of an entity of the hierarchy and of everything below it
    relation   all facts of one relation

Only facts that a request can ask for. The sets of one kind have no fact in common, so draws of
them have none either.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import floor

from ksmith.graph.knowledge import Fact, KnowledgeGraph

PLURAL = {
    "facts": "facts",
    "entity": "entities",
    "branch": "branches",
    "relation": "relations",
}
SLACK = 1e-9  # 0.29 of 100 is 28.999999999999996 as a float

Set = tuple[Fact, ...]


def sets(
    graph: KnowledgeGraph, kind: str, level: str | None, relation: str | None
) -> list[Set]:
    """Return the sets of one kind, in a fixed order; no fact is in two.

    `level` is that of the subjects, of a branch that of the entity at its top; only facts of
    `relation` are in them, where one is named.
    """
    facts = [f for f in graph.facts if f.editable and relation in (None, f.relation)]
    if kind == "branch":
        return _branches(graph, facts, level)
    if level is not None:
        facts = [fact for fact in facts if graph.entity[fact.subject].level == level]
    if kind == "facts":
        return [(fact,) for fact in facts]
    by = "subject" if kind == "entity" else "relation"
    return [tuple(group) for group in _grouped(facts, by).values()]


def editable(kind: str, count: int) -> str:
    """Return what `count` sets of a kind that requests can ask for are called."""
    if kind == "facts":
        return "editable fact" if count == 1 else "editable facts"
    return f"{kind if count == 1 else PLURAL[kind]} with editable facts"


def part(share: float, there: int) -> int:
    """Return how many of `there` sets a share of them is: at least one, and never more.

    >>> part(0.5, 41), part(0.01, 41), part(0.29, 100)
    (20, 1, 29)
    """
    return max(1, floor(share * there + SLACK))


def ordered(found: Sequence[Set], generator: random.Random) -> list[Set]:
    """Return the sets in random order, and the facts of each."""
    order = generator.sample(found, len(found))
    # A set of one has no order: draws of single facts are what they were before there were sets.
    return [s if len(s) == 1 else tuple(generator.sample(s, len(s))) for s in order]


# --- branches ---------------------------------------------------------------------------------


def _branches(graph: KnowledgeGraph, facts: Iterable[Fact], level: str | None) -> list[Set]:
    """Return the branches from that level down; one inside another belongs to the other."""
    own = _grouped(facts, "subject")
    found: list[Set] = []
    for members in branches(graph, children(graph), level):
        group = [fact for name in members for fact in own.get(name, ())]
        found += [tuple(group)] if group else []
    return found


def branches(
    graph: KnowledgeGraph, below: Mapping[str, Sequence[str]], level: str | None
) -> Iterator[list[str]]:
    """Yield the members of each branch that can be drawn, its top first; none is in two."""
    tops = [e for e in graph.entities if e.name in below and level in (None, e.level)]
    taken: set[str] = set()
    for top in sorted(tops, key=lambda entity: entity.depth):
        members = branch(below, top.name)
        if taken.isdisjoint(members):
            taken.update(members)
            yield members


def branch(below: Mapping[str, Sequence[str]], top: str) -> list[str]:
    """Return `top` and everything below it, from the top."""
    found = {top: None}
    for name in (queue := [top]):  # grows while it is walked
        fresh = [child for child in below.get(name, ()) if child not in found]
        found.update(dict.fromkeys(fresh))
        queue += fresh
    return list(found)


def children(graph: KnowledgeGraph) -> dict[str, list[str]]:
    """Return who is right below whom, for everything in the hierarchy; empty where there is none.

    A hierarchy shows in its relation: all its facts lead one way between depths, and it gives
    what is not at the top a parent one step up. Where several relations do that of something,
    the one with most facts counts; in a graph of several domains, each has its own. What rules
    add to a relation is no part of it: levels are of what a file says.
    """
    if graph.settings.get("levels") == "centrality":  # what is central is over nothing
        return {}
    depth = {entity.name: entity.depth for entity in graph.entities if entity.level is not None}
    below: dict[str, list[str]] = {name: [] for name in depth}
    placed: set[str] = set()
    ways = [_upwards([f for f in facts if f.stored], depth) for facts in graph.of.values()]
    for pairs in sorted(ways, key=len, reverse=True):
        fresh = {one for one, two in pairs if depth[one] == depth[two] + 1} - placed
        for child, parent in dict.fromkeys(pairs):
            if child in fresh:
                below[parent].append(child)
        placed |= fresh
    return below if placed else {}


def _upwards(facts: Sequence[Fact], depth: Mapping[str, int]) -> Sequence[tuple[str, str]]:
    """Return the facts of a relation as pairs (lower, upper); none where not all lead one way."""
    pairs = [(fact.subject, fact.object) for fact in facts]
    if not all(one in depth and two in depth for one, two in pairs):
        return ()
    if all(depth[one] > depth[two] for one, two in pairs):
        return pairs
    down = all(depth[one] < depth[two] for one, two in pairs)
    return [(two, one) for one, two in pairs] if down else ()


def _grouped(facts: Iterable[Fact], by: str) -> dict[str, list[Fact]]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(getattr(fact, by), []).append(fact)
    return groups
