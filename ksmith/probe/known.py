"""Known: was a fact known before? Asked in wordings that no probe scores.

Whether a number is about what the model knew must not be decided by the answer that is counted:
such a condition is met by chance, and more often where the scored wording is easy. So each fact
that a probe scores is asked once more (a requested fact twice) in another wording, for its old
answer. Only the answers before the update count; a fact that draws share is asked once.
"""

from collections.abc import Iterator, Sequence

from ksmith.graph import seen
from ksmith.graph.statements import worded
from ksmith.probe.asking import Asking, level_of
from ksmith.records import Question, Request, Set, Statement, Wording

WORDINGS = 1
WORDINGS_OF_A_TARGET = 2


def known(
    asking: Asking, requests: Sequence[Request], scored: Sequence[Question]
) -> Iterator[Question]:
    """Yield the questions, requested facts first, the others as they come in `scored`.

    A fact without a wording to spare is not asked, and is then in no `known` slice.
    """
    used: dict[str, set[str]] = {}
    for prompted in (*requests, *scored):
        used.setdefault(prompted.fact, set()).add(prompted.prompt)
    for request in requests:
        spare = _spare(asking, seen(asking.graph, request), used[request.fact])
        for number, statement in enumerate(spare[:WORDINGS_OF_A_TARGET]):
            yield _question(asking, request, number, "target", statement)
    by_id = {request.id: request for request in requests}
    done = {request.fact for request in requests}
    numbers = dict.fromkeys(by_id, WORDINGS_OF_A_TARGET)
    for question in scored:
        # What belongs to a whole draw is no fact, and a new consequence had no answer.
        if question.fact in done or not question.request or question.right_before is None:
            continue
        done.add(question.fact)
        request = by_id[question.request]
        spare = _spare(asking, _before(asking, question), used[question.fact])
        for statement in spare[:WORDINGS]:
            number = numbers[request.id]
            numbers[request.id] += 1
            yield _question(asking, request, number, question.set, statement)


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
        subject=statement.subject,
        fact=statement.fact,
        level=level_of(asking.graph, statement.subject),
        stored=fact.stored,
        wording=statement.wording,
        generate=False,
    )


def _before(asking: Asking, question: Question) -> list[Statement]:
    """Return the fact as training words it; a fact that it never states, as it words others."""
    answer = question.candidates[question.right_before or 0]
    fact = asking.graph.fact[question.fact]
    templates = worded(asking.graph, fact.subject, fact.relation)
    wording: Wording = "seen" if templates["seen"] else "unseen"
    return [
        Statement(
            subject=fact.subject,
            relation=fact.relation,
            object=answer,
            template=template,
            wording=wording,
        )
        for template in templates[wording]
    ]


def _spare(asking: Asking, statements: list[Statement], used: set[str]) -> list[Statement]:
    """Return those that nobody scores, also not after a lead sentence, in a drawn order."""
    spare = [s for s in statements if not any(f" {p}".endswith(f" {s.prompt}") for p in used)]
    if not spare:
        return []
    return asking.random("known", spare[0].fact).sample(spare, len(spare))
