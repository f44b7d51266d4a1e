"""What an edit is to leave as it is: what a model says of the subject's other relations.

A method is told prompts, no answers: what the model said before is what is kept. Which relations
there are for a subject goes by its type, so no fact is told either; what follows from an edit is
told by the rules alone, never by what they conclude here.
"""

from collections.abc import Mapping, Sequence

from ksmith.graph.chance import Chance
from ksmith.graph.knowledge import KnowledgeGraph, set_aside
from ksmith.graph.statements import worded
from ksmith.records import Request, UserError, fact_name

MOST = 16  # prompts a request: each is a row more in every step of a search


def kept(
    graph: KnowledgeGraph, batches: Sequence[Sequence[Request]], seed: int
) -> dict[str, list[str]]:
    """Return the name of each request's fact -> templates about its subject, at most `MOST`.

    One for each relation that subjects of its type have, but for those that its batch changes of
    this subject, those that a rule concludes from them, and those of facts that are set aside:
    of these the method knows nothing, and they show what it keeps unasked. Templates are ones
    that training shows, if it can be not with this very subject, as probes ask.

    Raises:
        UserError: there is none for any request.
    """
    relations = _by_type(graph)
    found: dict[str, list[str]] = {}
    for batch in batches:
        changed: dict[str, set[str]] = {}
        for request in batch:
            changed.setdefault(request.subject, set()).add(request.relation)
        for request in batch:
            moving = _following(graph, changed[request.subject])
            of_type = relations.get(graph.entity[request.subject].type, ())
            names = [name for name in of_type if name not in moving]
            found[request.fact] = _templates(graph, request, names, seed)
    if found and not any(found.values()):
        request = next(request for batch in batches for request in batch)
        raise UserError(
            f'keep = "relations": {request.subject!r} and the others have no relation that '
            f'{request.relation!r} leaves alone; keep may be "essence" or "relations"'
        )
    return found


def _by_type(graph: KnowledgeGraph) -> Mapping[str, Sequence[str]]:
    """Return type of subjects -> relations that training states of some of them."""
    found: dict[str, dict[str, None]] = {}
    for fact in graph.stated:
        found.setdefault(graph.entity[fact.subject].type, {})[fact.relation] = None
    return {kind: sorted(names) for kind, names in found.items()}


def _following(graph: KnowledgeGraph, changed: set[str]) -> set[str]:
    """Return relations with all that rules may conclude from them, about whatever subject."""
    found, left = set(changed), list(changed)
    while left:
        relation = left.pop()
        heads = {rule.head for rule in graph.rules if relation in rule.body} - found
        found |= heads
        left += heads
    return found


def _templates(
    graph: KnowledgeGraph, request: Request, relations: Sequence[str], seed: int
) -> list[str]:
    subject = request.subject
    chance = Chance(seed, "kept", request.fact)
    free = [name for name in relations if not set_aside(fact_name(subject, name))]
    made: list[str] = []
    for relation in chance.sample(free, MOST):
        shown = worded(graph, subject, relation)
        made.append(chance.choice(shown["unseen"] or shown["seen"]))
    return made
