"""Reverse: the inverse of a requested fact, from object to subject."""

from collections.abc import Iterator

from ksmith.graph import Changed
from ksmith.probe.asking import Answers, Asking, Form
from ksmith.probe.draw import Part, backward
from ksmith.records import Question, Request


def reverse(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield, where the relation has an inverse with one answer, what the objects lead back to.

    The new object: to the subject, from now on. The old one: to the subject before, and now to
    nothing; only measures of what is left of the old answer apply. Unlearning has the second
    kind alone. Other inverses are open: they have more answers than one.
    """
    for request in part.requests:
        number = 0
        for object_, fact in backward(asking.graph, request):
            changed = part.draw.change.entailed.get(fact)
            if changed is None or not _of(request, object_, changed):
                continue
            for question in entailed(asking, part, request, ("reverse", number), changed):
                yield question
                number += 1


def _of(request: Request, object_: str, changed: Changed) -> bool:
    """Return whether the change is this request's; another may take up the old object."""
    return changed.new == (request.subject if object_ == request.new else None)


def entailed(
    asking: Asking, part: Part, request: Request, called: tuple[str, int], changed: Changed
) -> Iterator[Question]:
    """Yield the questions about a fact that follows from a request, numbered from `called`.

    It is worded as training words this fact, or if it never does, as it words others; then,
    with `settings.reworded`, as training words none. The rival is the old answer; where there
    was none, any other object of the type.
    """
    probe, number = called
    plain = asking.stated(changed.subject, changed.relation, changed.new or changed.old or "")
    rival = changed.old or asking.rival(plain, plain.fact)
    answers = Answers(after=changed.new, before=changed.old, rival=rival)
    for statement in asking.in_words(plain) if asking.settings["reworded"] else [plain]:
        options = asking.options(part, probe, statement, answers)
        yield asking.question(
            part,
            request,
            probe,
            number,
            statement=statement,
            of="entailed",
            answers=answers,
            form=Form(hop=changed.hop, options=options),
        )
        number += 1
