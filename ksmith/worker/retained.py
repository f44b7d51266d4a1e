"""What unlearners train on to keep, and so what a trial must not take for kept by itself."""

from collections.abc import Iterator, Sequence
from typing import Any

from ksmith import graph, settings
from ksmith.records import Json, Request, Statement, UserError, derived_seed, digest
from ksmith.settings.unlearning import Unlearning


def retained(
    known: graph.KnowledgeGraph,
    hp: Any,
    draws: Sequence[Sequence[Request]],
    seed: int,
) -> list[list[Statement]]:
    """Return the retain set of each draw, in the order in which facts have their turn.

    No more than can have one. Of a sequence it is what no batch of the draw is about. Editors
    have none, and no more have unlearners whose retain loss weighs nothing.

    Raises:
        UserError: a draw leaves nothing to retain.
    """
    if not isinstance(hp, Unlearning) or not hp.retain_weight:
        return [[] for _ in draws]
    turns = hp.steps * hp.batch
    most = turns if hp.retain is None else min(hp.retain, turns)
    found = [
        graph.retain(known, draw, most, derived_seed(seed, "retain", i), near=hp.retain_near)
        for i, draw in enumerate(draws)
    ]
    if most and not all(found):
        raise UserError(graph.nothing_left(draws[found.index([])]))
    return found


def told(kept: Sequence[Statement]) -> dict[str, Json]:
    """Return what an update says of a retain set: how many facts, and their digest."""
    return {"facts": len(kept), "digest": digest([list(statement) for statement in kept])}


def trained(
    known: graph.KnowledgeGraph,
    recipe: dict[str, Any],
    draws: Sequence[Sequence[Request]],
) -> Iterator[tuple[int, str]]:
    """Yield draw and fact of all that the update of a trial was trained on to keep."""
    table = recipe["method"]
    own = settings.declared(settings.METHODS[table["name"]])
    hp = settings.method(table["name"], {k: v for k, v in table.items() if k in own})
    for number, kept in enumerate(retained(known, hp, draws, recipe["seed"])):
        yield from ((number, statement.fact) for statement in kept)
