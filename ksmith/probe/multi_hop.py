"""Multi-hop: what follows from a request, near and far, stored and derived."""

from collections.abc import Iterator
from itertools import zip_longest

from ksmith.graph import Changed, entail
from ksmith.probe.asking import Asking, Draw
from ksmith.probe.reverse import backward, entailed
from ksmith.records import Question, Request


def multi_hop(asking: Asking, draw: Draw) -> Iterator[Question]:
    """Yield at most `settings.hops` questions a request about facts that it entails.

    The right answer is what the whole draw makes true. A fact belongs to the first request that
    entails it by itself; those that the probe "reverse" asks are left out.
    """
    taken = {fact for request in draw.requests for _, fact in backward(asking.graph, request)}
    for request in draw.requests:
        alone = draw.change if len(draw.requests) == 1 else entail(asking.graph, [request])
        own = {
            fact: draw.change.entailed[fact]
            for fact in alone.entailed
            if fact in draw.change.entailed and fact not in taken
        }
        taken |= own.keys()
        for number, changed in enumerate(_spread(asking, request, own)):
            yield entailed(asking, request, "multi_hop", number, changed)


def _spread(asking: Asking, request: Request, own: dict[str, Changed]) -> list[Changed]:
    """Return at most `settings.hops` of them, each hop, stored and derived, in turn."""
    groups: dict[tuple[int, bool], list[Changed]] = {}
    for _, changed in sorted(own.items()):
        groups.setdefault((changed.hop, changed.stored), []).append(changed)
    generator = asking.random("multi_hop", request.fact)
    shuffled = [generator.sample(group, len(group)) for _, group in sorted(groups.items())]
    turns = zip_longest(*shuffled)
    found = [changed for turn in turns for changed in turn if changed is not None]
    return found[: asking.settings["hops"]]
