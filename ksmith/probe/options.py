"""The four options of a multiple choice: which, and in what order.

Beside the right and the old answer stand distractors: objects of the same relation and of the
right answer's level, each true of some other subject, none true of this one, neither before the
change nor after it. Where there are too few, there is no choice.

The order is balanced: of four questions in a row, each of the four (right, old, distractors)
stands once at each of A to D, a Latin square whose first row is drawn anew every four.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice, permutations
from typing import NamedTuple, final

from ksmith.graph import Fact, KnowledgeGraph, objects
from ksmith.graph.chance import Chance
from ksmith.graph.knowledge import aside
from ksmith.probe.draw import Draw
from ksmith.records import Statement, derived_seed

OPTIONS = 4
ROWS = tuple(permutations(range(OPTIONS)))


class Options(NamedTuple):
    """The options of a multiple choice."""

    names: Sequence[str]  # the right one, the old one where that is another, then distractors
    order: Sequence[int]  # which of these stands at A, at B, at C, at D


NO_OPTIONS = Options((), ())


def permutation_seed(seed: int) -> int:
    """Return the seed that all orders of options of a trial are drawn from."""
    return derived_seed(seed, "probe", "options")


@final
class Layout:
    """The orders of options in one part of a trial; it counts the questions of each probe."""

    def __init__(self, seed: int, part: int) -> None:
        self._names = (permutation_seed(seed), part)
        self._asked: dict[str, int] = {}
        self._row: dict[str, tuple[int, ...]] = {}

    def laid(self, probe: str, four: Sequence[str]) -> Options:
        """Return the four in the order that is next; where there are none, none."""
        return Options(four, self.order(probe)) if four else NO_OPTIONS

    def order(self, probe: str) -> tuple[int, ...]:
        """Return, place by place, which of the four stands there."""
        number = self._asked.get(probe, 0)
        self._asked[probe] = number + 1
        block, turn = divmod(number, OPTIONS)
        if turn == 0:
            self._row[probe] = Chance(*self._names, probe, block).choice(ROWS)
        row = self._row[probe]
        return row[turn:] + row[:turn]


@final
class Pools:
    """Objects and facts to choose among, each list made once."""

    def __init__(self, graph: KnowledgeGraph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._members: dict[str, frozenset[str]] = {}
        self._shuffled: dict[str, list[str]] = {}
        self._true: dict[str, dict[str | None, list[str]]] = {}

    @cached_property
    def aside(self) -> Sequence[Fact]:
        """The stated facts that no method may have trained on to keep others; none invented."""
        return [fact for fact in self._graph.stated if aside(fact) and not fact.invented]

    def members(self, relation: str) -> frozenset[str]:
        """Return all objects of the relation's type."""
        if relation not in self._members:
            self._members[relation] = frozenset(objects(self._graph, relation))
        return self._members[relation]

    def shuffled(self, relation: str) -> Sequence[str]:
        """Return all objects of the relation's type in an order of the relation's own."""
        if relation not in self._shuffled:
            names = objects(self._graph, relation)
            chance = Chance(self._seed, "probe", "candidates", relation)
            self._shuffled[relation] = chance.sample(names, len(names))
        return self._shuffled[relation]

    def true(self, relation: str, level: str | None) -> Sequence[str]:
        """Return the relation's objects of that level that some subject has."""
        if relation not in self._true:
            groups: dict[str | None, dict[str, None]] = {}
            for fact in self._graph.of[relation]:
                groups.setdefault(level_of(self._graph, fact.object), {})[fact.object] = None
            self._true[relation] = {name: list(found) for name, found in groups.items()}
        return self._true[relation].get(level, ())


def level_of(graph: KnowledgeGraph, name: str) -> str | None:
    """Return the level of an entity; None outside the hierarchy."""
    entity = graph.entity.get(name)
    return entity.level if entity else None


def choice(
    pools: Pools, draw: Draw, statement: Statement, answers: Sequence[str | None], seed: int
) -> Sequence[str]:
    """Return four objects: those of `answers` (after, before) of the type, then distractors.

    Empty where there are not four, or where the answers could both be right at once.
    """
    graph, subject, relation = draw.graph, statement.subject, statement.relation
    members = pools.members(relation)
    names = [name for name in dict.fromkeys(answers) if name is not None and name in members]
    before = graph.world.objects(relation, subject)
    after = draw.after(subject, relation)
    if not names or (len(names) > 1 and (names[0] in before or names[1] in after)):
        return []
    barred = {subject, *names, *before, *after}
    pool = pools.true(relation, level_of(graph, names[0]))
    chance = Chance(seed, "probe", "distractors", statement.prompt)
    found = others(pool, barred, OPTIONS - len(names), chance)
    return [*names, *found] if len(names) + len(found) == OPTIONS else []


def others(pool: Sequence[str], barred: Collection[str], n: int, chance: Chance) -> list[str]:
    """Return at most `n` of `pool`, which are all different, that are not barred."""
    return list(islice((name for name in chance.order(pool) if name not in barred), n))
