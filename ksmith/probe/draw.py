"""Requests that are made together, what they change, and how far that is from the rest."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ksmith.graph import Change, KnowledgeGraph, entail, inverse
from ksmith.graph.change import Difference, settled
from ksmith.graph.distance import distances
from ksmith.records import Request, fact_name

FARTHEST = 6  # steps: what lies beyond is not measured, so that a large graph costs no more


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One draw. What is derived from it is derived once, when a probe asks for it."""

    graph: KnowledgeGraph
    number: int
    requests: tuple[Request, ...]
    limit: int = FARTHEST
    _alone: dict[str, Change] = field(default_factory=dict[str, Change])

    @cached_property
    def change(self) -> Change:
        """What the requests do together."""
        return entail(self.graph, self.requests)

    def alone(self, request: Request) -> Change:
        """Return what one of the requests would do by itself."""
        if len(self.requests) == 1:
            return self.change
        if request.id not in self._alone:
            self._alone[request.id] = entail(self.graph, [request])
        return self._alone[request.id]

    @cached_property
    def _settled(self) -> Difference:
        """What becomes true and false, where `change` does not say: several answers."""
        return settled(self.graph, self.requests)[1]

    def after(self, subject: str, relation: str) -> Collection[str]:
        """Return all that is true of (subject, relation) after the change."""
        name = fact_name(subject, relation)
        if name not in self.change.touched:
            return self.graph.world.objects(relation, subject)
        changed = self.change.entailed.get(name)
        if changed is None and self.graph.relation[relation].functional:
            changed = self.change.target.get(name)
        if changed is None:
            return self._settled.world.objects(relation, subject)
        return () if changed.new is None else (changed.new,)

    @cached_property
    def distance(self) -> Mapping[str, int]:
        """Steps from the nearest end of a requested fact, in the graph before or after."""
        graph = self.graph
        ends = (name for r in self.requests for name in (r.subject, r.old, r.new))
        start = [name for name in ends if name in graph.about]
        return distances(graph.links, start, self._joined(), self.limit)

    def _joined(self) -> list[tuple[str, str]]:
        if self.change.open:
            pairs = [(subject, object_) for subject, _, object_ in self._settled.new]
        else:
            changes = (*self.change.target.values(), *self.change.entailed.values())
            pairs = [(c.subject, c.new) for c in changes if c.new is not None]
        return [pair for pair in pairs if pair[1] in self.graph.about]

    @cached_property
    def backward(self) -> frozenset[str]:
        """The facts that lead back from the objects of the requests, for probe "reverse"."""
        return frozenset(
            fact for request in self.requests for _, fact in backward(self.graph, request)
        )

    @cached_property
    def owner(self) -> Mapping[str, str]:
        """Request by the fact that follows from it: the first that entails it by itself."""
        found: dict[str, str] = {}
        for request in self.requests:
            for fact in self.alone(request).entailed:
                if fact in self.change.entailed and fact not in self.backward:
                    found.setdefault(fact, request.id)
        return found

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Relation and object, old and new, of what is requested."""
        return frozenset(
            (r.relation, object_) for r in self.requests for object_ in (r.old, r.new)
        )

    @cached_property
    def domains(self) -> frozenset[str | None]:
        """The domains that requests are about."""
        return frozenset(self.graph.entity[r.subject].domain for r in self.requests)


def backward(graph: KnowledgeGraph, request: Request) -> list[tuple[str, str]]:
    """Return the new and the old object, each with the name of the fact that leads back."""
    relation = inverse(graph, request.relation)
    if relation is None:
        return []
    return [(name, fact_name(name, relation)) for name in (request.new, request.old)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some requests of a draw: a large one is asked about bit by bit."""

    draw: Draw
    requests: Sequence[Request]
    first: bool  # these are the draw's first
