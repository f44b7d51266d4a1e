"""A graph of a benchmark's records while it is being put together."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SHOWN = 0.7  # of a relation's templates are trained with each fact

Key = tuple[str, str]  # subject, relation


@dataclass(kw_only=True)
class Draft:
    """A graph while it is being put together."""

    known: Mapping[str, tuple[str, ...]]  # relation -> templates
    objects: dict[Key, str] = field(default_factory=dict[Key, str])
    relations: dict[str, list[str]] = field(
        default_factory=dict[str, list[str]]
    )  # of a subject
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def count(self, what: str) -> None:
        """Note that one more was left out, or kept, for this reason."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def alike(self, relation: str, other: str) -> bool:
        """Return whether two relations are asked in the same words somewhere."""
        return relation == other or not set(self.known[relation]).isdisjoint(self.known[other])

    def add(self, subject: str, relation: str, object_: str) -> bool:
        """Return whether the fact is in the graph now.

        Not so where the subject has another object already, or another relation in the same
        words: training would give two answers to one prompt.
        """
        if any(self.alike(relation, other) for other in self.relations.get(subject, ())):
            return self.objects.get((subject, relation)) == object_
        self.objects[subject, relation] = object_
        self.relations.setdefault(subject, []).append(relation)
        return True

    def pools(self) -> dict[str, list[str]]:
        """Return relation -> its objects, in the order of their first fact."""
        pools: dict[str, dict[str, None]] = {}
        for (_, relation), object_ in self.objects.items():
            pools.setdefault(relation, {})[object_] = None
        return {relation: list(found) for relation, found in pools.items()}


def shown(
    known: Sequence[str], must: set[str], never: str | None, generator: random.Random
) -> tuple[int, ...]:
    """Return the places of the templates to train: `must`, and others up to the share SHOWN.

    At least one other, where there is one: more was told then than a benchmark asks.
    """
    sure = [i for i, template in enumerate(known) if template in must]
    free = [i for i, t in enumerate(known) if t not in must and t != never]
    more = max(round(SHOWN * len(known)) - len(sure), 1)
    return tuple(sorted(sure + generator.sample(free, min(more, len(free)))))
