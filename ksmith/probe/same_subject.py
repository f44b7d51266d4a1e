"""Same subject: what else is true of the subject, which CounterFact's metrics do not see."""

from collections.abc import Iterator

from ksmith import graph as graphs
from ksmith.probe.asking import Answers, Asking, Draw
from ksmith.records import Question


def same_subject(asking: Asking, draw: Draw) -> Iterator[Question]:
    """Yield at most `settings.same_subject` questions a request: are its other facts kept?

    None is about a fact that any request of the draw changes. The rival is any other object of
    that relation's type.
    """
    for request in draw.requests:
        statements = graphs.same_subject(
            asking.graph,
            request,
            asking.settings["same_subject"],
            asking.seed,
            exclude=draw.change.touched,
        )
        for number, statement in enumerate(statements):
            true = statement.object
            rival = asking.rival(statement.relation, true, statement.fact)
            yield asking.question(
                request,
                "same_subject",
                number,
                statement=asking.worded(statement),
                of="neighbour",
                answers=Answers(after=true, before=true, rival=rival),
                ranked=False,
            )
