"""Neighborhood: other subjects with the same relation and the same old object."""

from collections.abc import Iterator

from ksmith.graph import neighbours
from ksmith.probe.asking import UNRANKED, Answers, Asking
from ksmith.probe.draw import Part
from ksmith.records import Question


def neighborhood(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield at most `settings.neighbors` questions a request: is the answer still the old one?

    None is about a fact that any request of the draw changes.
    """
    for request in part.requests:
        statements = asking.beside(neighbours, part, request, asking.settings["neighbors"])
        for number, statement in enumerate(statements):
            # A benchmark's prompts are asked word for word.
            own = request.fact in asking.graph.record
            yield asking.question(
                part,
                request,
                "neighborhood",
                number,
                statement=statement if own else asking.worded(statement),
                of="neighbour",
                answers=Answers(
                    after=statement.object, before=statement.object, rival=request.new
                ),
                form=UNRANKED,
            )
