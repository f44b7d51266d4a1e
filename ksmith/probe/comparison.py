"""Comparison: is the statement with the new object preferred to the one with the old?"""

from collections.abc import Iterator

from ksmith.graph import Fact
from ksmith.graph.statements import picked
from ksmith.graph.text import stated
from ksmith.probe.asking import Asking, Form
from ksmith.probe.draw import Part
from ksmith.probe.efficacy import new_for_old, requested
from ksmith.records import Question, Request


def comparison(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield whole statements to choose among, and the question after both alternatives.

    Statements, in the request's words and in words held out, are candidates after an empty
    prompt: with the new object, with the old one, and with two that are neither. The open form
    comes after two true sentences about others, one of whom has the new object and one the old,
    so that both are equally at hand; there is none where one of the objects is nobody else's.
    """
    for request in part.requests:
        for number, question in enumerate(_statements(asking, part, request)):
            yield question._replace(id=f"{request.id}/comparison/{number}")


def _statements(asking: Asking, part: Part, request: Request) -> Iterator[Question]:
    answers = new_for_old(request)
    plain = requested(request)
    for statement in asking.in_words(plain):
        form = Form(
            ranked=False, options=asking.options(part, "comparison", statement, answers)
        )
        question = asking.question(
            part,
            request,
            "comparison",
            "",
            statement=statement,
            of="target",
            answers=answers,
            form=form,
        )
        texts = tuple(stated(statement.prompt, name) for name in question.candidates)
        yield question._replace(
            prompt="",
            candidates=texts,
            aliases=(),
            aliases_before=(),
            generate=False,
        )
    before = _alternatives(asking, part, request)
    if before:
        options = asking.options(part, "comparison", plain, answers)
        yield asking.question(
            part,
            request,
            "comparison",
            "",
            statement=plain,
            of="target",
            answers=answers,
            form=Form(options=options, before=before),
        )


def _alternatives(asking: Asking, part: Part, request: Request) -> str:
    """Return a sentence each about others who have the new and the old object, in any order."""
    graph, draw = asking.graph, part.draw
    touched, near = draw.change.touched, draw.alone(request).touched

    def allowed(fact: Fact) -> bool:
        return (name := fact.name) not in touched and name not in near and not fact.invented

    chance = asking.chance("comparison", request.fact)
    said: list[str] = []
    for object_ in (request.new, request.old):
        facts = graph.sharing.get((request.relation, object_), ())
        for fact in picked(facts, 1, chance, allowed):
            statement = asking.stated(fact.subject, fact.relation, fact.object)
            said.append(stated(statement.prompt, fact.object))
    return " ".join(chance.sample(said, 2)) if len(said) == 2 else ""
