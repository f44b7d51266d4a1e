"""Efficacy: the request's own prompt."""

from collections.abc import Iterator

from ksmith.probe.asking import Answers, Asking, Draw
from ksmith.records import Question, Statement


def efficacy(asking: Asking, draw: Draw) -> Iterator[Question]:
    """Yield one question a request: is the new answer given, word for word as requested?"""
    for request in draw.requests:
        yield asking.question(
            request,
            "efficacy",
            0,
            statement=Statement(
                subject=request.subject,
                relation=request.relation,
                object=request.new,
                template=request.template,
            ),
            of="target",
            answers=Answers(after=request.new, before=request.old, rival=request.old),
        )
