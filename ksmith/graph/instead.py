"""What may be learnt in the place of an old answer: other questions, with answers of their own."""

import math
from collections.abc import Sequence

from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.statements import seen
from ksmith.records import Request


def instead(
    graph: KnowledgeGraph, requests: Sequence[Request], variants: int
) -> dict[str, list[tuple[str, str]]]:
    """Return request id -> (prompt, answer): its question in several wordings, each with a target.

    The wordings are its own and at most `variants` others in which training states the fact: no
    probe of what an update does asks in those. The old object is no answer of any of them, by
    whatever name.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for request in requests:
        prompts = [request.prompt, *(s.prompt for s in seen(graph, request)[:variants])]
        answers = [name for name in request.targets if name != request.old]
        # Each wording meets each answer, neither one more often than the others.
        pairs = range(math.lcm(len(prompts), len(answers)))
        found[request.id] = [
            (prompts[i % len(prompts)], answers[i % len(answers)]) for i in pairs
        ]
        assert request.kind == "edit" or not set(answers) & set(names(graph, request.old))
    return found


def names(graph: KnowledgeGraph, object_: str) -> tuple[str, ...]:
    """Return the name of an object and its aliases."""
    entity = graph.entity.get(object_)
    return (object_, *(entity.aliases if entity else ()))
