"""Aliases: the other names by which an object may be answered, where it is clear who is meant.

Written text is an answer where it is the name of the object or one of these; probabilities are
of names alone. An alias is left out

- where another object of the relation's type, or another answer of the question, has it too, as
  its name or an alias: the text does not say which of them is meant. Of two objects with one
  alias it counts for neither; what is the name of one of them counts for that one alone;
- where it is a name of the subject: the text only repeats what was asked.
"""

import unicodedata
from collections.abc import Iterable
from typing import final

from ksmith.graph import KnowledgeGraph, objects


def spelling(name: str) -> str:
    """Return what two names share that written text can't tell apart; "" can't be written.

    At least as coarse as what `measures.prepared.plain` compares, which knows spaces, but for
    letters that are newer than Python's tables.
    """
    letters = "".join(name.casefold().split())
    while letters and unicodedata.category(letters[-1])[0] in "PC":
        letters = letters[:-1]
    return letters


@final
class Aliases:
    """The aliases of a graph's objects; who shares a name is found out once for each type."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self._graph = graph
        self.there = any(entity.aliases for entity in graph.entities)
        self._owner: dict[str, dict[str, str | None]] = {}

    def of(self, relation: str, object_: str | None, others: Iterable[str]) -> tuple[str, ...]:
        """Return the aliases by which the object may be answered, in the graph's order.

        Args:
            relation: what is asked for.
            object_: None has no aliases.
            others: the subject and the other answers.
        """
        listed = self._names(object_)[1:] if object_ is not None else []
        if object_ is None or not listed:
            return ()
        barred = {"", spelling(object_)}
        barred |= {spelling(name) for other in others for name in self._names(other)}
        owner = self._owners(relation)
        return tuple(
            name
            for name in dict.fromkeys(listed)
            if (text := spelling(name)) not in barred and owner.get(text, object_) == object_
        )

    def _names(self, object_: str) -> list[str]:
        """Return the name and the aliases."""
        entity = self._graph.entity.get(object_) if self.there else None
        return [object_, *(entity.aliases if entity else ())]

    def _owners(self, relation: str) -> dict[str, str | None]:
        """Return spelling -> the one object of the relation's type that has it; None: several."""
        kind = self._graph.relation[relation].objects
        if kind not in self._owner:
            owner: dict[str, str | None] = {}
            for member in objects(self._graph, relation):
                for name in self._names(member):
                    text = spelling(name)
                    owner[text] = member if owner.get(text, member) == member else None
            self._owner[kind] = owner
        return self._owner[kind]
