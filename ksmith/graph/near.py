"""What lies near a forget set, whose loss is the likeliest price of forgetting it.

    facts, entity   what is said of the same subjects, and of those that are right above them,
                    right below them or beside them (below the same) in the hierarchy; and of
                    other subjects with a forgotten relation and its object
    branch          what is left to say of its members, what is said of the one right above its
                    top, and of the branches beside it; and of other subjects as above
    relation        what is said in relations whose objects are of the same type

All else is far. A source of questions and answers has nothing by which to tell them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from ksmith.graph.forget import branch, branches, children
from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.records import Request, Statement


@dataclass(frozen=True, slots=True)
class Near:
    """What is near one forget set."""

    subjects: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()  # relation, object

    def holds(self, one: Statement) -> bool:
        """Return whether what is stated is near."""
        pair = (one.relation, one.object)
        return (
            one.subject in self.subjects or one.relation in self.relations or pair in self.pairs
        )


@final
class Surroundings:
    """The hierarchy of a graph, looked up once for all forget sets."""

    def __init__(self, graph: KnowledgeGraph, kind: str, level: str | None = None) -> None:
        """Look at what `task.forget` and, for branches, `task.level` draw from."""
        self._graph, self._kind = graph, kind
        self._level = None if level == "any" else level
        self._below: Mapping[str, Sequence[str]] = children(graph)
        above: dict[str, list[str]] = {}
        for upper, lower in self._below.items():
            for name in lower:
                above.setdefault(name, []).append(upper)
        self._above = above

    def near(self, requests: Sequence[Request]) -> Near | None:
        """Return what is near the facts of `requests`; None where nobody can say."""
        if self._graph.source == "qa":
            return None
        if self._kind == "relation":
            types = {self._graph.relation[r.relation].objects for r in requests}
            alike = (r.name for r in self._graph.relations if r.objects in types)
            return Near(relations=frozenset(alike))
        subjects = {request.subject: None for request in requests}
        around = self._branches(subjects) if self._kind == "branch" else self._around(subjects)
        return Near(
            subjects=frozenset(around),
            pairs=frozenset((r.relation, r.old) for r in requests),
        )

    def _around(self, subjects: Mapping[str, None]) -> set[str]:
        found = set(subjects)
        for name in subjects:
            found.update(self._below.get(name, ()), self._above.get(name, ()))
            found.update(self._beside(name))
        return found

    def _branches(self, subjects: Mapping[str, None]) -> set[str]:
        """Return the members, the tops' parents, and all that is in branches beside them.

        Members without a fact to forget are some too, the top perhaps.
        """
        found: set[str] = set()
        for members in branches(self._graph, self._below, self._level):
            if subjects.keys().isdisjoint(members):
                continue
            found.update(members, self._above.get(members[0], ()))
            for other in self._beside(members[0]):
                found.update(branch(self._below, other))
        return found

    def _beside(self, name: str) -> set[str]:
        """Return who has a parent in common with `name`."""
        return {other for upper in self._above.get(name, ()) for other in self._below[upper]}
