"""The forget, retain and holdout sets of a draw, as statements to be completed.

Forget: the old answers of what is requested, in the request's own words and in words that
training never showed of the fact. Retain: facts that the draw leaves as they are and that no
method may train on to keep (`aside`), so that what is measured is not what was practised.
Trained: facts that a method may train on to keep them; a trial knows whether its own did.
Holdout: facts that no model saw. Of what stays it is told whether it is near the forget set (see
`graph/near.py`); where a sample of it has few that are, more of them are asked about, apart from
it.

Beside each answer stand wrong ones: a user's own, where a file of questions has them, else other
objects of the type, none of them true, before or after.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from types import MappingProxyType
from typing import NamedTuple

from ksmith.graph import KnowledgeGraph, paraphrases, retain, statement
from ksmith.graph.chance import Chance
from ksmith.graph.knowledge import Record
from ksmith.graph.near import Near, Surroundings
from ksmith.probe.aliases import Aliases
from ksmith.probe.draw import Draw
from ksmith.probe.options import Pools, others
from ksmith.records import Json, Request, Statement, derived_seed

STAYS = ("retain", "near", "trained")  # sets that an update should leave as they are
WRONG = 5  # wrong answers, as TOFU has
REWORDED = 2  # wordings of a forgotten fact beside the request's own
LOOKED = 2000  # further facts that are looked at for near ones
LEAST = 20  # facts of a set that a draw is asked about, however many draws there are


class Item(NamedTuple):
    """One statement of a set."""

    draw: int
    set: str  # forget, retain, near (more of what is near), trained, holdout
    statement: Statement
    subject: str  # whom it is about, as `KnowledgeGraph.whose` says
    names: tuple[str, ...]  # by which the answer may be written
    wrong: tuple[str, ...]
    reworded: str = (
        ""  # the answer in other words, which TOFU's ratio weighs wrong ones against
    )
    near: bool | None = None  # of what stays: is it near the forget set? None: nobody can say


def items(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    settings: Mapping[str, Json],
    seed: int,
    holdout: Sequence[Statement] = (),
    task: Mapping[str, Json] = MappingProxyType({}),
) -> list[Item]:
    """Return the statements of all draws, in order.

    Args:
        graph: before the change.
        requests: of all draws.
        settings: `memory_facts`, as in settings/probe.py.
        seed: of every sample that is drawn here.
        holdout: statements that no model saw; empty: there is no holdout set.
        task: `forget` and `level`, as in settings/task.py: by those what is near is told.
    """
    draws: dict[int, list[Request]] = {}
    for request in requests:
        draws.setdefault(request.draw, []).append(request)
    pools, facts = Pools(graph, seed), int(settings["memory_facts"])
    near_by = Surroundings(graph, task.get("forget", "facts"), task.get("level"))
    asking = _Asking(pools, Aliases(graph), near_by, seed)
    unseen = Chance(seed, "memory", "holdout").sample(holdout, facts)
    room = min(facts, max(LEAST, ceil(facts / max(1, len(draws)))))
    found: list[Item] = []
    for number, mine in sorted(draws.items()):
        draw = Draw(graph=graph, number=number, requests=tuple(mine))
        near = asking.surroundings.near(mine)
        stays = _retained(graph, pools, draw, seed)
        kept = list(islice(stays, room))
        sets = {
            "forget": list(_forgotten(graph, mine)),
            "retain": kept,
            "near": list(_nearer(near, kept, stays)) if near else [],
            "trained": _trained(draw, room, seed),
            "holdout": unseen,
        }
        found += asking.items(draw, sets, near)
    return found


def _trained(draw: Draw, n: int, seed: int) -> list[Statement]:
    """Return the first facts of the draw's retain set, worded as those that are in none.

    Those that have a turn in any unlearner's training, if it takes the rest of the graph.
    """
    drawn = retain(draw.graph, draw.requests, n, derived_seed(seed, "retain", draw.number))
    return [statement(draw.graph, one.subject, one.relation, one.object) for one in drawn]


def _nearer(
    near: Near, kept: Sequence[Statement], rest: Iterator[Statement]
) -> Iterator[Statement]:
    """Yield more of what is near, where a sample of all that stays has little of it."""
    lacks = max(0, LEAST - sum(map(near.holds, kept)))
    yield from islice(filter(near.holds, islice(rest, LOOKED)), lacks)


@dataclass(frozen=True, slots=True)
class _Asking:
    """What the items of all draws are made with."""

    pools: Pools
    aliases: Aliases
    surroundings: Surroundings
    seed: int

    def items(
        self, draw: Draw, sets: Mapping[str, Sequence[Statement]], near: Near | None
    ) -> Iterator[Item]:
        """Yield the items of a draw, set by set."""
        new = {request.fact: request.targets for request in draw.requests}
        for name, statements in sets.items():
            for one in statements:
                barred = (one.subject, *new.get(one.fact, ()))
                names = self.aliases.of(one.relation, one.object, {*barred})
                wrong, reworded = _own(draw.graph.record.get(one.fact), one, barred)
                yield Item(
                    draw=draw.number,
                    set=name,
                    statement=one,
                    subject=draw.graph.whose(one.fact, one.subject),
                    names=(one.object, *names),
                    wrong=wrong or _wrong(self.pools, draw, one, barred, self.seed),
                    reworded=reworded,
                    near=near.holds(one) if near and name in STAYS else None,
                )


def _own(
    record: Record | None, one: Statement, barred: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Return the wrong answers of a user's own file and the right one in their words, if any.

    Wrong answers of other questions are worded as the answer is, and are weighed against it.
    """
    right = {one.object, *barred}
    wrong = [name for name in (record.wrong if record else ()) if name not in right]
    if record is None or not wrong:
        return (), ""
    return tuple(dict.fromkeys(wrong))[:WRONG], record.reworded


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
