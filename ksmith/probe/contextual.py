"""Contextual: facts that have nothing to do with the change, and must stay as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ksmith.graph import Fact
from ksmith.probe.asking import Answers, Asking, Form
from ksmith.probe.draw import Draw, Part
from ksmith.records import Question, Request, Statement


def contextual(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield questions about at most `settings.contextual` unrelated facts a request.

    Unrelated is a fact whose subject is more than `settings.distance` steps from every request
    of the draw, or of another domain than all of them; that no request touches; whose relation
    and object are those of none; and that no method may keep by training on it.
    """
    for request in part.requests:
        number = 0
        for fact in _unrelated(asking, part.draw, request):
            plain = asking.stated(fact.subject, fact.relation, fact.object)
            for statement in asking.in_words(plain):
                yield _question(asking, part, request, number, statement)
                number += 1


def _question(
    asking: Asking, part: Part, request: Request, number: int, statement: Statement
) -> Question:
    true = statement.object
    answers = Answers(after=true, before=true, rival=None)
    options = asking.options(part, "contextual", statement, answers)
    rival = next((name for name in options if name != true), None)
    answers = replace(answers, rival=rival or asking.rival(statement, statement.fact))
    return asking.question(
        part,
        request,
        "contextual",
        number,
        statement=statement,
        of="unrelated",
        answers=answers,
        form=Form(ranked=False, options=options),
    )


def _unrelated(asking: Asking, draw: Draw, request: Request) -> Sequence[Fact]:
    generator = asking.random("contextual", draw.number, request.fact)
    n = asking.settings["contextual"]
    few = generator.sample(asking.pools.aside, min(len(asking.pools.aside), 4 * n))
    found = [fact for fact in few if _is_unrelated(asking, draw, fact)]
    if len(found) >= n or len(few) == len(asking.pools.aside):
        return found[:n]
    if draw.number not in asking.unrelated:
        asking.unrelated.clear()  # draws come one after another
        asking.unrelated[draw.number] = [
            fact for fact in asking.pools.aside if _is_unrelated(asking, draw, fact)
        ]
    pool = asking.unrelated[draw.number]
    return generator.sample(pool, min(n, len(pool)))


def _is_unrelated(asking: Asking, draw: Draw, fact: Fact) -> bool:
    if fact.name in draw.change.touched or (fact.relation, fact.object) in draw.pairs:
        return False
    if len(asking.graph.world.objects(fact.relation, fact.subject)) > 1:
        return False  # no one answer is right
    entity = asking.graph.entity.get(fact.subject)
    domain = entity.domain if entity else None
    if domain is not None and domain not in draw.domains:
        return True
    steps = draw.distance.get(fact.subject)
    return steps is None or steps > asking.settings["distance"]
