"""Paraphrase: the request in wordings that training never showed of this fact."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from ksmith.graph import paraphrases
from ksmith.probe.asking import Asking
from ksmith.probe.draw import Part
from ksmith.probe.efficacy import new_for_old
from ksmith.records import Question, Request, Statement


def paraphrase(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield at most `settings.paraphrases` questions a request, unseen and novel in turn."""
    for request in part.requests:
        statements = _in_turn(asking, request, paraphrases(asking.graph, request))
        for number, statement in enumerate(statements[: asking.settings["paraphrases"]]):
            yield asking.question(
                part,
                request,
                "paraphrase",
                number,
                statement=statement,
                of="target",
                answers=new_for_old(request),
            )


def _in_turn(
    asking: Asking, request: Request, statements: Sequence[Statement]
) -> list[Statement]:
    if request.fact in asking.graph.record:  # a benchmark's own keep their order
        return list(statements)
    unseen = [statement for statement in statements if statement.wording == "unseen"]
    novel = [statement for statement in statements if statement.wording != "unseen"]
    chance = asking.chance("paraphrase", request.fact)
    pairs = zip_longest(chance.sample(unseen, len(unseen)), chance.sample(novel, len(novel)))
    return [statement for pair in pairs for statement in pair if statement is not None]
