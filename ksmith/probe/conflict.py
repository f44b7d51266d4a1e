"""Conflict: the requested fact after a sentence that asserts the old object, or the new one."""

from collections.abc import Iterator

from ksmith.graph.statements import worded
from ksmith.graph.text import stated
from ksmith.probe.asking import Asking, Form
from ksmith.probe.draw import Part
from ksmith.probe.efficacy import new_for_old, requested
from ksmith.records import Context, Question, Request, Statement, Wording


def conflict(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield each wording twice, after either sentence: the new answer is right both times.

    The two differ in `context` and in the end of their id, `.old` and `.new`, alone: options
    stand in one order. The sentence words the fact in another way than the question does, so
    that the question isn't answered by repeating what was read.
    """
    for request in part.requests:
        answers = new_for_old(request)
        for number, statement in enumerate(asking.in_words(requested(request))):
            options = asking.options(part, "conflict", statement, answers)
            for context, sentence in _sentences(asking, request, statement):
                yield asking.question(
                    part,
                    request,
                    "conflict",
                    f"{number}.{context}",
                    statement=statement,
                    of="target",
                    answers=answers,
                    form=Form(options=options, context=context, before=sentence),
                )


def _sentences(
    asking: Asking, request: Request, statement: Statement
) -> list[tuple[Context, str]]:
    """Return the sentence with either object, in words that training uses if it can be."""
    templates = worded(asking.graph, request.subject, request.relation)
    used = (request.template, statement.template)
    kinds: tuple[Wording, ...] = ("seen", "unseen", "novel")
    for wording in kinds:
        free = [template for template in templates[wording] if template not in used]
        if free:
            template = asking.chance("conflict", request.fact).choice(free)
            prompt = template.replace("{}", request.subject, 1)
            return [("old", stated(prompt, request.old)), ("new", stated(prompt, request.new))]
    return []
