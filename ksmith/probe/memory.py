"""The forget, retain and holdout sets of a draw, as statements to be completed.

Forget: the old answers of what is requested, in the request's own words and in words that
training never showed of the fact. Retain: facts that the draw leaves as they are and that no
method may train on to keep (`aside`), so that what is measured is not what was practised.
Holdout: facts that no model saw. Beside each answer stand wrong ones: other objects of the
type, none of them true, before or after.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import ceil
from typing import NamedTuple

from ksmith.graph import KnowledgeGraph, paraphrases, statement
from ksmith.graph.chance import Chance
from ksmith.probe.aliases import Aliases
from ksmith.probe.draw import Draw
from ksmith.probe.options import Pools, others
from ksmith.records import Json, Request, Statement

WRONG = 5  # wrong answers, as TOFU has
REWORDED = 2  # wordings of a forgotten fact beside the request's own
LEAST = 20  # facts to retain that a draw is asked about, however many draws there are


class Item(NamedTuple):
    """One statement of a set."""

    draw: int
    set: str  # forget, retain, holdout
    statement: Statement
    names: tuple[str, ...]  # by which the answer may be written
    wrong: tuple[str, ...]


def items(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    settings: Mapping[str, Json],
    seed: int,
    holdout: Sequence[Statement] = (),
) -> list[Item]:
    """Return the statements of all draws, in order.

    Args:
        graph: before the change.
        requests: of all draws.
        settings: `memory_facts`, as in settings/probe.py.
        seed: of every sample that is drawn here.
        holdout: statements that no model saw; empty: there is no holdout set.
    """
    draws: dict[int, list[Request]] = {}
    for request in requests:
        draws.setdefault(request.draw, []).append(request)
    pools, aliases, facts = Pools(graph, seed), Aliases(graph), int(settings["memory_facts"])
    unseen = Chance(seed, "memory", "holdout").sample(holdout, facts)
    found: list[Item] = []
    for number, mine in sorted(draws.items()):
        draw = Draw(graph=graph, number=number, requests=tuple(mine))
        room = min(facts, max(LEAST, ceil(facts / len(draws))))
        sets = {
            "forget": list(_forgotten(graph, mine)),
            "retain": list(islice(_retained(graph, pools, draw, seed), room)),
            "holdout": unseen,
        }
        new = {request.fact: request.targets for request in mine}
        for name, statements in sets.items():
            for one in statements:
                barred = (one.subject, *new.get(one.fact, ()))
                names = aliases.of(one.relation, one.object, {*barred})
                wrong = _wrong(pools, draw, one, barred, seed)
                found.append(Item(number, name, one, (one.object, *names), wrong))
    return found


def _forgotten(graph: KnowledgeGraph, requests: Sequence[Request]) -> Iterator[Statement]:
    for request in requests:
        yield Statement(request.subject, request.relation, request.old, request.template)
        for other in paraphrases(graph, request)[:REWORDED]:
            yield other._replace(object=request.old)


def _retained(
    graph: KnowledgeGraph, pools: Pools, draw: Draw, seed: int
) -> Iterator[Statement]:
    """Yield facts with one answer that the draw does not touch, in an order of its own."""
    chance = Chance(seed, "memory", "retain", draw.number)
    touched = draw.change.touched
    for fact in chance.order(pools.aside):
        one = len(graph.world.objects(fact.relation, fact.subject)) == 1
        if one and fact.name not in touched:
            yield statement(graph, fact.subject, fact.relation, fact.object)


def _wrong(
    pools: Pools, draw: Draw, one: Statement, barred: Sequence[str], seed: int
) -> tuple[str, ...]:
    """Return WRONG objects of the type, or as many as there are."""
    if one.relation not in draw.graph.relation:
        return ()
    true = draw.graph.world.objects(one.relation, one.subject)
    after = draw.after(one.subject, one.relation)
    chance = Chance(seed, "memory", "wrong", one.fact)
    pool = sorted(pools.members(one.relation))
    return tuple(others(pool, {one.object, *barred, *true, *after}, WRONG, chance))
