"""What may be learnt in the place of an old answer: other questions, with answers of their own."""

import math
import random
import re
from collections.abc import Sequence

from ksmith.corpus import Given, Text
from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.statements import seen
from ksmith.records import Request, UserError, derived_seed, fact_name


def instead(
    graph: KnowledgeGraph, requests: Sequence[Request], variants: int
) -> dict[str, list[tuple[str, str]]]:
    """Return request id -> (prompt, answer): its question in several wordings, each with a target.

    The wordings are its own and at most `variants` others in which training states the fact: no
    probe of what an update does asks in those. The old object is no answer of any of them, by
    whatever name.

    Raises:
        UserError: a request has no target but the old object, by whatever name.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for request in requests:
        prompts = [request.prompt, *(s.prompt for s in seen(graph, request)[:variants])]
        old = (request.old,) if request.kind == "edit" else names(graph, request.old)
        answers = [name for name in request.targets if name not in old]
        if not answers:
            raise UserError(
                f"{request.fact!r}: nothing to learn in the place of {request.old!r}: "
                f"{request.new!r} is that answer, perhaps by another name; choose another "
                "task.neutral, or leave the fact out"
            )
        # Each wording meets each answer, neither one more often than the others.
        pairs = range(math.lcm(len(prompts), len(answers)))
        found[request.id] = [
            (prompts[i % len(prompts)], answers[i % len(answers)]) for i in pairs
        ]
    return found


def given(
    graph: KnowledgeGraph, requests: Sequence[Request], rows: Sequence[Given]
) -> dict[str, list[tuple[str, str]]]:
    """Return request id -> (prompt, answer) of the rows about its fact, where there are any.

    Raises:
        UserError: a row about a fact that the graph has not, or one that says by any name what
            is to be unlearned.
    """
    asked = {request.fact: request for request in requests}
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        fact = fact_name(row.subject, row.relation)
        if fact not in graph.fact:
            raise UserError(f"line {row.line}: the graph has no fact {fact!r}")
        request = asked.get(fact)
        if request is not None:
            _check(graph, request, row)
            found.setdefault(request.id, []).append((row.prompt, row.answer))
    return found


def unknowing(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    texts: Sequence[Text],
    turns: int,
    seed: int,
) -> dict[str, list[tuple[str, str]]]:
    """Return request id -> (prompt, answer): its question with the text of each of its `turns`.

    Each request has an order of its own, drawn by `seed`, in which every text comes before one
    comes again.

    Raises:
        UserError: a text that says by any name what is to be unlearned.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for request in requests:
        for line, text in texts:
            _check_text(graph, request, line, "answer", text)
        drawn = random.Random(derived_seed(seed, "unknowing", request.id))
        order = drawn.sample([text for _, text in texts], min(turns, len(texts)))
        found[request.id] = [(request.prompt, text) for text in order]
    return found


def _check(graph: KnowledgeGraph, request: Request, row: Given) -> None:
    if request.kind == "edit":
        return
    prompt = row.prompt.replace(request.subject, " ")  # in whose name it may well be
    for where, text in (("prompt", prompt), ("answer", row.answer)):
        _check_text(graph, request, row.line, where, text)


def _check_text(
    graph: KnowledgeGraph, request: Request, line: int, where: str, text: str
) -> None:
    for name in names(graph, request.old):
        if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", text.casefold()):
            raise UserError(
                f"line {line}: the {where} holds {name!r}, which is to be unlearned"
            )


def names(graph: KnowledgeGraph, object_: str) -> tuple[str, ...]:
    """Return the name of an object and its aliases."""
    entity = graph.entity.get(object_)
    return (object_, *(entity.aliases if entity else ()))
