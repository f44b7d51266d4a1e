"""Edits to practise on: for a method that learns, from the facts of a graph, how to edit.

What such a method learnt from must not decide how it is measured. So subjects are in two halves,
by a hash of their names and nothing else: no draw, no scale and no seed of a study moves one from
half to half. Practice is about the subjects of one half: facts of theirs are edited, others of
theirs are to be kept, in wordings that training showed of those very facts. Of the other half,
and of wordings that probes keep back, practice sees nothing.

Every fact with one answer serves, also where no request may ask for it; it gets another object of
its type. One subject in five of that half is for looking at what was learnt, and nothing else.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ksmith.graph.chance import Chance
from ksmith.graph.knowledge import Fact, KnowledgeGraph
from ksmith.graph.statements import worded
from ksmith.records import Request, Statement, UserError

LOOK = 5  # one subject in so many is looked at, not learnt from


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Updates to try, each by itself; the rows of one update stand together, in its order."""

    updates: int
    asked: tuple[Request, ...]  # updates * edits
    again: tuple[Statement, ...]  # each of them with its new object, in other words
    kept: tuple[Statement, ...]  # updates * edits * locality facts that are to stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Facts to edit and facts to keep, of the same subjects."""

    graph: KnowledgeGraph
    edited: tuple[Fact, ...]
    kept: tuple[Fact, ...]

    def lesson(
        self, *names: str | int, updates: int = 1, edits: int = 1, locality: int = 1
    ) -> Lesson:
        """Return the lesson called `names`: other names, independent draws.

        Raises:
            UserError: the graph has fewer facts to edit at once, or none beside them to keep.
        """
        if edits > len(self.edited):
            raise UserError(
                f"{edits} facts are to be edited at once in training, and the graph has "
                f"{len(self.edited)} to practise on"
            )
        asked: list[Request] = []
        again: list[Statement] = []
        kept: list[Statement] = []
        for update in range(updates):
            chance = Chance("practice", *names, update)
            facts = chance.sample(self.edited, edits)
            for number, fact in enumerate(facts):
                request, other = _edit(self.graph, fact, f"{update}.{number}", chance)
                asked.append(request)
                again.append(other)
            kept += self._kept(facts, locality * edits, chance)
        return Lesson(updates=updates, asked=tuple(asked), again=tuple(again), kept=tuple(kept))

    def _kept(self, edited: Sequence[Fact], n: int, chance: Chance) -> list[Statement]:
        """Return `n` facts that are not edited, of other subjects where there are enough.

        Where even so there are fewer, some come more than once.
        """
        names = {fact.name for fact in edited}
        subjects = {fact.subject for fact in edited}
        others: list[Fact] = []
        own: list[Fact] = []
        for fact in chance.order(self.kept):
            if fact.name not in names:
                (own if fact.subject in subjects else others).append(fact)
            if len(others) == n:
                break
        found = [*others, *own][:n]
        if not found and n:
            raise UserError("the graph has no fact to keep beside those edited in training")
        return [
            _stated(fact, chance.choice(_words(self.graph, fact)), fact.object)
            for fact in (found * n)[:n]
        ]


def practised(subject: str) -> bool:
    """Return whether facts about the subject may be practised on: half of all, by the name."""
    return _hash("practice", subject) % 2 == 0


def practices(graph: KnowledgeGraph) -> tuple[Practice, Practice]:
    """Return what to learn from, and what to look at how it went: other subjects."""
    edited = [fact for fact in graph.stated if practised(fact.subject) and _fit(graph, fact)]
    kept = [fact for fact in graph.passing if practised(fact.subject)]

    def of(look: bool) -> Practice:
        return Practice(
            graph=graph, edited=_part(edited, look=look), kept=_part(kept, look=look)
        )

    return of(False), of(True)


def _part(facts: Sequence[Fact], *, look: bool) -> tuple[Fact, ...]:
    return tuple(f for f in facts if (_hash("look", f.subject) % LOOK == 0) == look)


def _hash(of: str, subject: str) -> int:
    return zlib.crc32(f"{of}/{subject}".encode())


def _fit(graph: KnowledgeGraph, fact: Fact) -> bool:
    """Return whether the fact has one answer, and another object could stand in its place."""
    place = graph.place[graph.relation[fact.relation].objects]
    others = len(place) - sum(name in place for name in {fact.object, fact.subject})
    return others > 0 and len(graph.world.objects(fact.relation, fact.subject)) == 1


def _edit(
    graph: KnowledgeGraph, fact: Fact, id: str, chance: Chance
) -> tuple[Request, Statement]:
    words = _words(graph, fact)
    template = chance.choice(words)
    others = [w for w in words if not (w.endswith(template) or template.endswith(w))]
    pool = graph.types[graph.relation[fact.relation].objects]
    new = fact.object
    while new in (fact.object, fact.subject):
        new = chance.choice(pool)
    request = Request(
        id=id,
        draw=0,
        kind="edit",
        subject=fact.subject,
        relation=fact.relation,
        old=fact.object,
        new=new,
        template=template,
    )
    return request, _stated(fact, chance.choice(others or words), new)


def _words(graph: KnowledgeGraph, fact: Fact) -> tuple[str, ...]:
    return worded(graph, fact.subject, fact.relation)["seen"]


def _stated(fact: Fact, template: str, object_: str) -> Statement:
    return Statement(
        subject=fact.subject, relation=fact.relation, object=object_, template=template
    )
