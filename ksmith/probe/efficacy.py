"""Efficacy: the request's own prompt."""

from collections.abc import Iterator

from ksmith.probe.asking import Answers, Asking
from ksmith.probe.draw import Part
from ksmith.records import Question, Request, Statement


def efficacy(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield one question a request: is the new answer given, word for word as requested?"""
    for request in part.requests:
        yield asking.question(
            part,
            request,
            "efficacy",
            0,
            statement=requested(request),
            of="target",
            answers=new_for_old(request),
        )


def requested(request: Request) -> Statement:
    """Return the fact with its new object in the words of the request."""
    return Statement(
        subject=request.subject,
        relation=request.relation,
        object=request.new,
        template=request.template,
    )


def new_for_old(request: Request) -> Answers:
    """Return the answers to a question about the requested fact itself.

    Of a uniform target none is right: what counts is how alike they are.
    """
    if request.others:
        return Answers(after=None, before=request.old, rival=None)
    return Answers(after=request.new, before=request.old, rival=request.old)
