"""Direct: the requested fact, as training worded it and in words that it never saw."""

from collections.abc import Iterator

from ksmith.probe.asking import Asking, Form
from ksmith.probe.draw import Part
from ksmith.probe.efficacy import new_for_old, requested
from ksmith.records import Question


def direct(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield the request in its own words, and in a wording held out of training, with options.

    Options are the new answer, the old one, and objects of the type that are neither; what is
    unlearned has no right answer among them.
    """
    for request in part.requests:
        answers = new_for_old(request)
        for number, statement in enumerate(asking.in_words(requested(request))):
            yield asking.question(
                part,
                request,
                "direct",
                number,
                statement=statement,
                of="target",
                answers=answers,
                form=Form(options=asking.options(part, "direct", statement, answers)),
            )
