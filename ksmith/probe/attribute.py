"""Attribute: other subjects that have the new object already; ROME's code asks of them, too."""

from collections.abc import Iterator

from ksmith.graph import attributes
from ksmith.probe.asking import Answers, Asking, Form
from ksmith.probe.draw import Part
from ksmith.records import Question


def attribute(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield at most `settings.neighbors` questions a request: is the answer still the new one?

    None is about a fact that any request of the draw changes.
    """
    for request in part.requests:
        statements = asking.beside(attributes, part, request, asking.settings["neighbors"])
        own = request.fact in asking.graph.record  # a benchmark's prompts, word for word
        for number, statement in enumerate(statements):
            new = statement.object
            yield asking.question(
                part,
                request,
                "attribute",
                number,
                statement=statement if own else asking.worded(statement),
                of="neighbour",
                answers=Answers(after=new, before=new, rival=request.old),
                form=Form(ranked=False),
            )
