"""Contextual: facts that have nothing to do with the change, and must stay as they are."""

from collections.abc import Iterator, Sequence
from itertools import islice

from ksmith.graph import Fact
from ksmith.probe.asking import Answers, Asking, Form
from ksmith.probe.draw import Draw, Part
from ksmith.probe.options import choice
from ksmith.records import Question, Request, Statement

KEPT = 50_000  # facts with their options that are remembered
TRIES = 4  # facts that are looked at for each that is asked, before all are


def contextual(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield questions about at most `settings.contextual` unrelated facts a request.

    Unrelated is a fact whose subject is more than `settings.distance` steps from every request
    of the draw, or of another domain than all of them; that no request touches; whose relation
    and object are those of none; and that no method may keep by training on it.
    """
    for request in part.requests:
        number = 0
        for fact in _unrelated(asking, part.draw, request):
            for statement, four in _kept(asking, part, fact):
                true = statement.object
                rival = four[1] if four else asking.rival(statement, fact.name)
                yield asking.question(
                    part,
                    request,
                    "contextual",
                    number,
                    statement=statement,
                    of="unrelated",
                    answers=Answers(after=true, before=true, rival=rival),
                    form=Form(ranked=False, options=asking.layout.laid("contextual", four)),
                )
                number += 1


def _kept(asking: Asking, part: Part, fact: Fact) -> Sequence[tuple[Statement, Sequence[str]]]:
    """Return the fact's wordings with the four to choose among: whatever the draw, as it stays."""
    found = asking.kept.get(fact.name)
    if found is None:
        plain = asking.stated(fact.subject, fact.relation, fact.object)
        pools, draw, seed = asking.pools, part.draw, asking.seed
        found = [(s, choice(pools, draw, s, [s.object], seed)) for s in asking.in_words(plain)]
        if len(asking.kept) >= KEPT:
            asking.kept.clear()
        asking.kept[fact.name] = found
    return found


def _unrelated(asking: Asking, draw: Draw, request: Request) -> Sequence[Fact]:
    chance = asking.chance("contextual", draw.number, request.fact)
    n = asking.settings["contextual"]
    few = islice(chance.order(asking.pools.aside), TRIES * n)
    found = list(islice((fact for fact in few if _is_unrelated(asking, draw, fact)), n))
    if len(found) == n or len(asking.pools.aside) <= TRIES * n:
        return found
    if draw.number not in asking.unrelated:
        asking.unrelated.clear()  # draws come one after another
        asking.unrelated[draw.number] = [
            fact for fact in asking.pools.aside if _is_unrelated(asking, draw, fact)
        ]
    pool = asking.unrelated[draw.number]
    return chance.sample(pool, n)


def _is_unrelated(asking: Asking, draw: Draw, fact: Fact) -> bool:
    if (fact.relation, fact.object) in draw.pairs or fact.name in draw.change.touched:
        return False
    if len(asking.graph.world.objects(fact.relation, fact.subject)) > 1:
        return False  # no one answer is right
    entity = asking.graph.entity.get(fact.subject)
    domain = entity.domain if entity else None
    if domain is not None and domain not in draw.domains:
        return True
    steps = draw.distance.get(fact.subject)
    return steps is None or steps > asking.settings["distance"]
