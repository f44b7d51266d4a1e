"""Which changed fact follows from which: the steps of an entailment, for people to follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ksmith.graph.change import Difference, entail, settled
from ksmith.graph.knowledge import Changed, KnowledgeGraph, Several
from ksmith.graph.rules import Triple
from ksmith.records import Request, fact_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One changed fact and what it follows from: a fact's name, or None for a request."""

    changed: Changed | Several
    cause: str | None


def steps(graph: KnowledgeGraph, requests: Sequence[Request]) -> list[Step]:
    """Return every changed fact of one draw, a cause before its effects.

    Each stands below the cause that is nearest to what was requested; requests come as they
    were given.
    """
    if not requests:
        return []
    change = entail(graph, requests)
    _, difference = settled(graph, requests)
    every = {**change.target, **change.entailed, **change.several}
    causes = _causes(graph, difference, every)
    below: dict[str | None, list[str]] = {}
    for name in sorted(every, key=lambda name: (every[name].hop, name)):
        below.setdefault(None if name in change.target else causes.get(name), []).append(name)
    found: list[Step] = []
    queue = [(request.fact, None) for request in reversed(requests)]
    loose = [name for name in below.get(None, ()) if name not in change.target]
    queue = [*((name, None) for name in reversed(loose)), *queue]
    while queue:  # depth first, so that effects stand right below their cause
        name, cause = queue.pop()
        found.append(Step(changed=every[name], cause=cause))
        queue += [(effect, name) for effect in reversed(below.get(name, ()))]
    return found


def _causes(
    graph: KnowledgeGraph, difference: Difference, every: dict[str, Changed | Several]
) -> dict[str, str]:
    """Return effect -> cause, by name, where one rule application leads from one to the other."""
    causes: dict[str, str] = {}
    for triples, world, blocked in (
        (difference.gone, graph.world, graph.overridden),
        (difference.new, difference.world, difference.blocked),
    ):
        for triple in _nearest_first(triples, every):
            cause = fact_name(*triple[:2])
            for head in graph.rulebook.consequences(world, triple, blocked):
                effect = fact_name(*head[:2])
                if head in triples and _farther(every, cause, effect):
                    causes.setdefault(effect, cause)
    return causes


def _nearest_first(
    triples: Iterable[Triple], every: dict[str, Changed | Several]
) -> list[Triple]:
    named = [triple for triple in triples if fact_name(*triple[:2]) in every]
    return sorted(named, key=lambda t: (every[fact_name(*t[:2])].hop, t))


def _farther(every: dict[str, Changed | Several], cause: str, effect: str) -> bool:
    return effect in every and every[effect].hop > every[cause].hop
