"""Reverse: the inverse of a requested fact, from object to subject."""

from collections.abc import Iterator

from ksmith.graph import Changed, KnowledgeGraph, inverse
from ksmith.probe.asking import Answers, Asking, Draw
from ksmith.records import Question, Request, fact_name


def reverse(asking: Asking, draw: Draw) -> Iterator[Question]:
    """Yield, where the relation has an inverse with one answer, what the objects lead back to.

    The new object: to the subject, from now on. The old one: to the subject before, and now to
    nothing; only measures of what is left of the old answer apply. Unlearning has the second
    kind alone. Other inverses are open: they have more answers than one.
    """
    for request in draw.requests:
        number = 0
        for object_, fact in backward(asking.graph, request):
            changed = draw.change.entailed.get(fact)
            if changed is None or not _of(request, object_, changed):
                continue
            yield entailed(asking, request, "reverse", number, changed)
            number += 1


def backward(graph: KnowledgeGraph, request: Request) -> list[tuple[str, str]]:
    """Return the new and the old object, each with the name of the fact that leads back."""
    relation = inverse(graph, request.relation)
    if relation is None:
        return []
    return [(name, fact_name(name, relation)) for name in (request.new, request.old)]


def _of(request: Request, object_: str, changed: Changed) -> bool:
    """Return whether the change is this request's; another may take up the old object."""
    return changed.new == (request.subject if object_ == request.new else None)


def entailed(
    asking: Asking, request: Request, probe: str, number: int, changed: Changed
) -> Question:
    """Return the question about a fact that follows from a request.

    It is worded as training words this fact, or if it never does, as it words others. The rival
    is the old answer; where there was none, any other object of the type.
    """
    answer = changed.new or changed.old or ""
    statement = asking.stated(changed.subject, changed.relation, answer)
    rival = changed.old or asking.rival(changed.relation, answer, statement.fact)
    return asking.question(
        request,
        probe,
        number,
        statement=statement,
        of="entailed",
        answers=Answers(after=changed.new, before=changed.old, rival=rival),
        hop=changed.hop,
    )
