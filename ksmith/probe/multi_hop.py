"""Multi-hop: what follows from a request, near and far, stored and derived."""

from collections.abc import Iterator
from itertools import zip_longest

from ksmith.graph import Changed
from ksmith.probe.asking import Asking
from ksmith.probe.draw import Part
from ksmith.probe.reverse import entailed
from ksmith.records import Question, Request


def multi_hop(asking: Asking, part: Part) -> Iterator[Question]:
    """Yield questions about at most `settings.hops` facts a request that it entails.

    The right answer is what the whole draw makes true. A fact belongs to the first request that
    entails it by itself; those that the probe "reverse" asks are left out.
    """
    draw = part.draw
    for request in part.requests:
        own = {
            fact: draw.change.entailed[fact]
            for fact in draw.alone(request).entailed
            if draw.owner.get(fact) == request.id
        }
        number = 0
        for changed in _spread(asking, request, own):
            for question in entailed(asking, part, request, ("multi_hop", number), changed):
                yield question
                number += 1


def _spread(asking: Asking, request: Request, own: dict[str, Changed]) -> list[Changed]:
    """Return at most `settings.hops` of them, each hop, stored and derived, in turn."""
    groups: dict[tuple[int, bool], list[Changed]] = {}
    for _, changed in sorted(own.items()):
        groups.setdefault((changed.hop, changed.stored), []).append(changed)
    chance = asking.chance("multi_hop", request.fact)
    shuffled = [chance.sample(group, len(group)) for _, group in sorted(groups.items())]
    turns = zip_longest(*shuffled)
    found = [changed for turn in turns for changed in turn if changed is not None]
    return found[: asking.settings["hops"]]
