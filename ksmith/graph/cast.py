"""Who and what there is in a generated hierarchy, before any fact."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ksmith.graph.names import names
from ksmith.records import UserError

LEVELS = ("root", "intermediate", "leaf")
SHARES = (0.25, 0.32)  # of nodes that are roots, and intermediates
MIN_NODES = 6
PLAIN = 7  # declared facts of every node, and of every leader: own attributes, leader, craft


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many there are of everything in one domain."""

    nodes: int
    stored: float  # share of the derived facts that training states
    several: bool = False
    aliased: float = 0.0  # share of the nodes

    @property
    def levels(self) -> tuple[int, int, int]:
        """How many roots, intermediates and leaves; each parent gets a child."""
        roots, middle = (max(2, round(share * self.nodes)) for share in SHARES)
        return roots, max(middle, roots), self.nodes - roots - max(middle, roots)

    @property
    def reserve(self) -> int:
        """How many agents lead nothing."""
        return max(2, self.nodes // 3)

    @property
    def works(self) -> int:
        """How many works agents have written."""
        return self.nodes // 2 if self.several else 0

    @property
    def aliases(self) -> int:
        """How many nodes have another name."""
        return round(self.aliased * self.nodes)

    @property
    def strangers(self) -> int:
        """How many names are in no fact."""
        return max(4, self.nodes // 4)

    @property
    def stated(self) -> int:
        """How many facts training states, about."""
        roots, middle, leaves = self.levels
        pairs = sum(size // 2 for size in self.levels)
        base = self.nodes * PLAIN + middle + leaves + pairs + 2 * self.reserve + roots + middle
        derived = self.nodes * 3 + 3 * pairs + 2 * (middle + leaves) + leaves
        if self.several:
            leading = self.nodes / (self.nodes + self.reserve)
            base += self.works
            derived += middle + leaves + self.works + round(leading * self.works)
        return base + self.aliases + round(self.stored * (derived + self.aliases))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The names of one domain."""

    places: Mapping[str, list[str]]  # level -> nodes
    parent: Mapping[str, str]
    leaders: Mapping[str, str]  # node -> agent
    reserve: list[str]  # agents who lead nothing
    works: list[str]
    aliases: Mapping[str, str]  # node -> its other name
    strangers: list[str]

    @property
    def nodes(self) -> list[str]:
        """Every node, from the top."""
        return [node for level in LEVELS for node in self.places[level]]

    @property
    def agents(self) -> list[str]:
        """Everyone who leads or might."""
        return [*self.leaders.values(), *self.reserve]


def fitting(facts: int, size: Size, given: str) -> Size:
    """Return the largest size whose facts are at most `facts`; `given` says what was asked.

    Raises:
        UserError: too few facts for a hierarchy.
    """
    least = _of(size, MIN_NODES).stated
    if facts < least:
        raise UserError(f"{given}: a hierarchy with all its relations needs at least {least}")
    low, high = MIN_NODES, facts
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _of(size, middle).stated <= facts else (low, middle - 1)
    return _of(size, low)


def _of(size: Size, nodes: int) -> Size:
    return Size(nodes=nodes, stored=size.stored, several=size.several, aliased=size.aliased)


def casts(size: Size, domains: int, generator: random.Random) -> list[Cast]:
    """Return one cast for each domain: no name is in two, and who hangs on whom is the same."""
    each = 2 * size.nodes + size.reserve + size.strangers + size.works + size.aliases
    pool = iter(names(domains * each, generator))
    state = generator.getstate()
    found: list[Cast] = []
    for _ in range(domains):
        generator.setstate(state)
        found.append(_cast(size, pool, generator))
    return found


def _cast(size: Size, pool: Iterator[str], generator: random.Random) -> Cast:
    places = {
        level: [next(pool) for _ in range(count)]
        for level, count in zip(LEVELS, size.levels, strict=True)
    }
    parent: dict[str, str] = {}
    for above, below in (("root", "intermediate"), ("intermediate", "leaf")):
        parent |= _adopted(places[above], places[below], generator)
    nodes = [node for level in LEVELS for node in places[level]]
    leaders = {node: next(pool) for node in nodes}
    reserve = [next(pool) for _ in range(size.reserve)]
    strangers = [next(pool) for _ in range(size.strangers)]
    works = [next(pool) for _ in range(size.works)]
    aliased = generator.sample(nodes, size.aliases)
    return Cast(
        places=places,
        parent=parent,
        leaders=leaders,
        reserve=reserve,
        works=works,
        aliases={node: next(pool) for node in aliased},
        strangers=strangers,
    )


def _adopted(
    parents: Sequence[str], children: Sequence[str], generator: random.Random
) -> dict[str, str]:
    """Return child -> parent: every parent has a child, where there are enough."""
    more = generator.choices(parents, k=max(0, len(children) - len(parents)))
    return dict(zip(children, [*parents, *more], strict=False))
