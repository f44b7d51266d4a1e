"""Same subject: what else is true of the subject, which CounterFact's metrics do not see."""

from collections.abc import Iterator

from ksmith import graph as graphs
from ksmith.probe.asking import UNRANKED, Answers, Asking
from ksmith.probe.draw import Part
from ksmith.records import Question


def same_subject(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield at most `settings.same_subject` questions a request: are its other facts kept?

    None is about a fact that any request of the draw changes. The rival is any other object of
    that relation's type.
    """
    for request in part.requests:
        statements = asking.beside(
            graphs.same_subject, part, request, asking.settings["same_subject"]
        )
        for number, statement in enumerate(statements):
            true = statement.object
            rival = asking.rival(statement, statement.fact)
            yield asking.question(
                part,
                request,
                "same_subject",
                number,
                statement=asking.worded(statement),
                of="neighbour",
                answers=Answers(after=true, before=true, rival=rival),
                form=UNRANKED,
            )
