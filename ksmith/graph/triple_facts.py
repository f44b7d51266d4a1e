"""From the rows of a file to facts: one name an entity, no fact twice, and a sample of them."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from ksmith.graph.rules import Key, Triple
from ksmith.graph.triple_file import Row
from ksmith.records import UserError

WORD = re.compile(r"\w+|[^\w\s]")
HUB = 25  # facts that one entity brings into a sample: else it would be about that one alone


@dataclass(kw_only=True)
class Told:
    """The facts of a file."""

    path: Path
    line: dict[Triple, int] = field(default_factory=dict[Triple, int])  # in the file's order
    types: dict[str, str] = field(default_factory=dict[str, str])  # entity -> type
    aliases: dict[str, str] = field(default_factory=dict[str, str])  # name or id -> relation
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def relation(self, name: str, setting: str) -> str:
        """Return the relation of that name or id.

        Raises:
            UserError: there is none.
        """
        if name not in self.aliases:
            near = get_close_matches(name, self.aliases, n=1)
            there = (
                f"did you mean {near[0]!r}?" if near else ", ".join(sorted(self.aliases)[:20])
            )
            raise UserError(f"{setting}: no relation {name!r} in {self.path}; {there}")
        return self.aliases[name]


class Namer:
    """Gives every id one name, and no name to two ids."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._owner: dict[str, str | None] = {}
        self.shared = 0  # ids whose label another one has

    def name(self, label: str, id_: str | None) -> str:
        """Return the label, or `label (2)` where it means another one already."""
        if id_ is None:
            self._owner.setdefault(label, None)
            return label
        if id_ not in self._of:
            self._of[id_] = self._free(label, id_)
        return self._of[id_]

    def _free(self, label: str, id_: str) -> str:
        name, number = label, 1
        while self._owner.get(name) is not None:
            number += 1
            name = f"{label} ({number})"
        self.shared += number > 1
        self._owner[name] = id_
        return name

    @property
    def ids(self) -> Mapping[str, str]:
        """The name of each id."""
        return self._of


def gather(rows: Iterable[Row], path: Path, longest: int) -> Told:
    """Return the facts of `rows`, without repeated ones and those with names that are too long.

    Raises:
        UserError: nothing is left.
    """
    told = Told(path=path)
    entities, relations = Namer(), Namer()
    counts = Counter[str]()
    fit = Fit(longest)
    for row in rows:
        triple = (
            entities.name(row.subject, row.subject_id),
            relations.name(row.relation, row.relation_id),
            entities.name(row.object, row.object_id),
        )
        counts["facts in the file"] += 1
        if not (fit[triple[0]] and fit[triple[1]] and fit[triple[2]]):
            counts["facts with names that are too long"] += 1
        elif triple in told.line:
            counts["duplicate facts"] += 1
        else:
            told.line[triple] = row.line
            _note_types(told, triple, row)
    if not told.line:
        raise UserError(f"{path}: no fact whose names have at most {longest} words (longest)")
    there = {triple[1] for triple in told.line}
    told.aliases = {id_: name for id_, name in relations.ids.items() if name in there}
    told.aliases |= {name: name for name in there}
    counts["entities whose label another has"] = entities.shared
    told.counts = {what: count for what, count in counts.items() if count}
    return told


class Fit(dict[str, bool]):
    """Whether a name has few enough words and marks; each is counted once."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest

    def __missing__(self, name: str) -> bool:
        self[name] = len(WORD.findall(name)) <= self._longest
        return self[name]


def _note_types(told: Told, triple: Triple, row: Row) -> None:
    if row.subject_type is not None:
        told.types.setdefault(triple[0], row.subject_type)
    if row.object_type is not None:
        told.types.setdefault(triple[2], row.object_type)


# --- functional relations ---------------------------------------------------------------------


def functional(told: Told, share: float, declared: Sequence[str]) -> frozenset[str]:
    """Return the relations of which a subject has one object, and leave out what contradicts.

    Those declared, and those where at least `share` of the subjects have one object. The other
    subjects' facts of such a relation contradict each other: none of them is kept.

    Raises:
        UserError: a declared relation is not there, or has facts that contradict each other.
    """
    objects: dict[Key, list[Triple]] = {}
    for triple in told.line:
        objects.setdefault(triple[:2], []).append(triple)
    subjects, single = Counter[str](), Counter[str]()
    for (_, relation), facts in objects.items():
        subjects[relation] += 1
        single[relation] += len(facts) == 1
    sure = {told.relation(name, "graph.functional") for name in declared}
    found = {r for r in subjects if single[r] >= share * subjects[r]} | sure
    against = [facts for key, facts in objects.items() if key[1] in found and len(facts) > 1]
    for facts in against:
        if facts[0][1] in sure:
            raise UserError(_contradiction(told, facts))
        for triple in facts:
            del told.line[triple]
    if against:
        told.counts["contradictory facts"] = sum(map(len, against))
    return frozenset(found)


def _contradiction(told: Told, facts: Sequence[Triple]) -> str:
    (subject, relation, one), (_, _, other) = facts[:2]
    first, second = (told.line[triple] for triple in facts[:2])
    return (
        f"{told.path}: line {second}: {relation!r} of {subject!r} is {other!r}, and {one!r} in "
        f"line {first}; graph.functional says that it has one object"
    )


# --- a sample ---------------------------------------------------------------------------------


def sample(facts: Sequence[Triple], count: int, generator: random.Random) -> list[Triple]:
    """Return `count` facts, or all, in their order: what hangs together comes together.

    From a random fact on, breadth first: each entity that is met brings its facts, HUB of them
    at most. Where nothing more is met, another random fact is next.
    """
    if count >= len(facts):
        return list(facts)
    around: dict[str, list[int]] = {}
    for number, (subject, _, object_) in enumerate(facts):
        for name in {subject: None, object_: None}:
            around.setdefault(name, []).append(number)
    taken: dict[int, None] = {}
    for number in _walked(facts, around, generator):
        taken[number] = None
        if len(taken) == count:
            break
    return [facts[number] for number in sorted(taken)]


def _walked(
    facts: Sequence[Triple], around: Mapping[str, Sequence[int]], generator: random.Random
) -> Iterator[int]:
    """Yield all facts, some more than once, as they are met."""
    seen: set[str] = set()
    for start in generator.sample(range(len(facts)), len(facts)):
        queue = [start]
        for number in queue:  # grows while it is walked
            yield number
            for name in (facts[number][0], facts[number][2]):
                if name not in seen:
                    seen.add(name)
                    queue += generator.sample(around[name], min(HUB, len(around[name])))


def pools(
    facts: Iterable[Triple], types: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return type -> its objects, and relation -> the type of its objects.

    A type column says the type where all objects of a relation agree; else the relation's own
    objects are one. What rules conclude belongs to `facts`: a father whom no line calls one is
    an answer like any other.
    """
    objects: dict[str, dict[str, None]] = {}
    for _, relation, object_ in facts:
        objects.setdefault(relation, {})[object_] = None
    of: dict[str, str] = {}
    found: dict[str, dict[str, None]] = {}
    for relation, names in objects.items():
        kinds: AbstractSet[str | None] = {types.get(name) for name in names}
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        of[relation] = kind or f"object of {relation}"
        found.setdefault(of[relation], {}).update(names)
    return {kind: tuple(names) for kind, names in found.items()}, of
