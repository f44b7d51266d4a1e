"""How far from a change: steps along facts, whichever way they are read."""

from collections.abc import Iterable, Mapping, Sequence


def distances(
    links: Mapping[str, Sequence[str]],
    start: Iterable[str],
    more: Iterable[tuple[str, str]] = (),
    limit: int | None = None,
) -> dict[str, int]:
    """Return every name within `limit` steps of `start`, with its steps from the nearest.

    One breadth-first search, however many names it starts from.

    Args:
        links: names by one that they are joined to, both ways round.
        start: at distance 0.
        more: pairs that are joined, too: what a change adds.
        limit: None where it is to go on to the end.
    """
    added: dict[str, list[str]] = {}
    for one, other in more:
        added.setdefault(one, []).append(other)
        added.setdefault(other, []).append(one)
    found = dict.fromkeys(start, 0)
    edge = list(found)
    steps = 0
    while edge and steps != limit:
        steps += 1
        beyond: list[str] = []
        for name in edge:
            for end in (*links.get(name, ()), *added.get(name, ())):
                if end not in found:
                    found[end] = steps
                    beyond.append(end)
        edge = beyond
    return found
