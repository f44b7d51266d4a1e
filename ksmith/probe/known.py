"""Known: was a fact known before? Asked in wordings that no probe scores.

Whether a number is about what the model knew must not be decided by the answer that is counted:
such a condition is met by chance, and more often where the scored wording is easy. So each fact
that a probe scores is asked once more (a requested fact twice) in another wording, for its old
answer. Only the answers before the update count; a fact that draws share is asked once.

Of a user's own questions no wording but the file's is sure to be one that their model has met:
they are asked in that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from ksmith.graph import seen
from ksmith.graph.statements import worded
from ksmith.probe.asking import Asking
from ksmith.probe.options import level_of
from ksmith.records import Question, Request, Set, Statement, Wording

WORDINGS = 1
WORDINGS_OF_A_TARGET = 2


@dataclass(slots=True, kw_only=True)
class Mark:
    """What is remembered of the questions about one fact."""

    request: str  # of the first question to which the fact had an answer before; "" for none
    of: Set
    answer: str
    used: frozenset[str] = frozenset()  # templates that are scored


Marked = tuple[str, str, Set, str, frozenset[str]]  # a fact and its mark: what is soon sent


@final
class Marks:
    """The facts that are scored, in the order in which they come, and in which words."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._marks: dict[str, Mark] = {}
        self._alone: dict[str, frozenset[str]] = {}  # a template by itself, kept once
        self._nothing: frozenset[str] = frozenset()

    def add(self, question: Question) -> None:
        """Remember a question; what belongs to a whole draw is no fact, and text scores none."""
        if not question.request or question.sampled:
            return
        used = self._used(question)
        old = self._marks.get(question.fact)
        if old is not None and old.request and used <= old.used:  # most add nothing
            return
        mark = Mark(request="", of=question.set, answer="", used=used)
        if question.right_before is not None:
            mark.request = question.request
            mark.answer = question.candidates[question.right_before]
        self._join(question.fact, mark)

    def items(self) -> list[Marked]:
        """Return all marks, by fact: for another `merge`."""
        marks = self._marks.items()
        return [(fact, mark.request, mark.of, mark.answer, mark.used) for fact, mark in marks]

    def merge(self, marks: Iterable[Marked]) -> None:
        """Remember what came after all that is remembered."""
        for fact, request, of, answer, used in marks:
            self._join(fact, Mark(request=request, of=of, answer=answer, used=used))

    def _join(self, fact: str, mark: Mark) -> None:
        old = self._marks.get(fact)
        if old is None:
            self._marks[fact] = mark
            return
        if not old.request:
            old.request, old.of, old.answer = mark.request, mark.of, mark.answer
        if not mark.used <= old.used:
            old.used |= mark.used

    def _used(self, question: Question) -> frozenset[str]:
        """Return the wordings of the fact that this question ends in, if it scores one."""
        if question.wording == "novel":
            return self._nothing
        prompt = f" {question.prompt}"
        pinned = self._asking.wording.get(question.fact, "")
        if pinned and prompt.endswith(f" {pinned.replace('{}', question.subject, 1)}"):
            alone = self._alone.get(pinned)
            return alone or self._alone.setdefault(pinned, frozenset((pinned,)))
        return frozenset(
            template
            for template in _templates(self._asking, question.fact)[1]
            if prompt.endswith(f" {template.replace('{}', question.subject, 1)}")
        )

    def questions(self, requests: Sequence[Request]) -> Iterator[Question]:
        """Yield the questions, requested facts first, the others as they came.

        A fact without a wording to spare is not asked, and is then in no `known` slice.
        """
        for request in requests:
            mark = self._marks.get(request.fact)
            used = mark.used if mark else self._nothing
            spare = _spare(self._asking, _of_target(self._asking, request), used)
            for number, statement in enumerate(spare[:WORDINGS_OF_A_TARGET]):
                yield _question(self._asking, request, number, "target", statement)
        by_id = {request.id: request for request in requests}
        requested = {request.fact for request in requests}
        numbers = dict.fromkeys(by_id, WORDINGS_OF_A_TARGET)
        for fact, mark in self._marks.items():
            if fact in requested or not mark.request:  # a new consequence had no answer
                continue
            spare = _spare(self._asking, _before(self._asking, fact, mark.answer), mark.used)
            for statement in spare[:WORDINGS]:
                number = numbers[mark.request]
                numbers[mark.request] += 1
                yield _question(self._asking, by_id[mark.request], number, mark.of, statement)


def _question(
    asking: Asking, request: Request, number: int, of: Set, statement: Statement
) -> Question:
    """Return the question, whose right answer is the one before the update at every step."""
    fact = asking.graph.fact[statement.fact]
    return Question(
        id=f"{request.id}/known/{number}",
        draw=request.draw,
        request=request.id,
        probe="known",
        set=of,
        prompt=statement.prompt,
        candidates=(statement.object,),
        right=0,
        right_before=0,
        rival=None,
        subject=asking.graph.whose(statement.fact, statement.subject),
        fact=statement.fact,
        level=level_of(asking.graph, statement.subject),
        stored=fact.stored,
        wording=statement.wording,
        generate=False,
    )


def _templates(asking: Asking, name: str) -> tuple[Wording, Sequence[str]]:
    """Return the words of a fact in training; of one that it never states, those of others."""
    fact = asking.graph.fact.get(name)
    if fact is None:
        return "unseen", []
    templates = worded(asking.graph, fact.subject, fact.relation)
    wording: Wording = "seen" if templates["seen"] else "unseen"
    return wording, templates[wording]


def _of_target(asking: Asking, request: Request) -> list[Statement]:
    if asking.graph.source == "qa":
        return _before(asking, request.fact, request.old)
    return seen(asking.graph, request)


def _before(asking: Asking, name: str, answer: str) -> list[Statement]:
    fact = asking.graph.fact[name]
    wording, templates = _templates(asking, name)
    return [
        Statement(
            subject=fact.subject,
            relation=fact.relation,
            object=answer,
            template=template,
            wording=wording,
        )
        for template in templates
    ]


def _spare(
    asking: Asking, statements: Sequence[Statement], used: frozenset[str]
) -> list[Statement]:
    """Return those that nobody scores, also not after another sentence, in a drawn order.

    Of a user's own questions all: there is one.
    """
    own = asking.graph.source == "qa"
    spare = [s for s in statements if own or s.template not in used]
    if not spare:
        return []
    return asking.chance("known", spare[0].fact).sample(spare, len(spare))
