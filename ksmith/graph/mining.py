"""Rules found in facts: inverses and compositions, with support and confidence.

    inverse       r1(a, b) -> r2(b, a)                   symmetric where r1 is r2
    composition   r1(a, b) and r2(b, c) -> r3(a, c)

A prediction is a different pair of ends, and never one thing twice (a = c). As in AMIE (Galárraga
et al., "Fast rule mining in ontological knowledge bases with AMIE+", VLDB Journal 2015):

    support               predictions that are facts
    standard confidence   support / predictions: what is not in the file is taken to be false
    PCA confidence        support / predictions about those of whom the file says something:
                          a prediction counts against a rule only where the relation's end that
                          has fewer values (the more functional one) has another value

Facts are integers in sorted arrays, predictions come from joins on the shared entity: no loop
over entities. A join is made in slices of its first entity, so memory is bounded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ksmith.graph.rules import Rule, Triple

Ints = NDArray[np.int64]

SLICE = 2_000_000  # predictions, before repeated ones are dropped, that are held at once
MOST = 100_000_000  # a body with more is left out, and named


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A rule and how often it holds; `example` is its body's facts, then its head."""

    body: tuple[str, ...]
    head: str
    support: int
    predictions: int
    judged: int  # predictions about those of whom the file says something
    example: tuple[Triple, ...]

    @property
    def standard(self) -> float:
        """Standard confidence."""
        return self.support / self.predictions

    @property
    def confidence(self) -> float:
        """PCA confidence."""
        return self.support / self.judged

    @property
    def counterexamples(self) -> int:
        """Judged predictions that the file contradicts."""
        return self.judged - self.support

    @property
    def rule(self) -> Rule:
        """The rule alone."""
        return Rule(body=self.body, head=self.head)


class Index:
    """Facts as sorted integers."""

    def __init__(self, triples: Iterable[Triple], at_once: int = SLICE) -> None:
        self.at_once = at_once  # predictions of a slice, about
        entities: dict[str, int] = {}
        relations: dict[str, int] = {}
        columns: list[tuple[int, int, int]] = [
            (
                entities.setdefault(s, len(entities)),
                relations.setdefault(r, len(relations)),
                entities.setdefault(o, len(entities)),
            )
            for s, r, o in triples
        ]
        self.entities, self.relations = list(entities), list(relations)
        self.number = relations
        self.width = len(self.entities)
        table = np.array(columns, np.int64).reshape(-1, 3)
        pair = table[:, 0] * self.width + table[:, 2]
        order = np.lexsort((table[:, 1], pair))
        subject, relation, object_ = table[order].T
        # All facts by (subject, object), to look predictions up in.
        self.relation = relation
        self.pair, self._first, self._count = np.unique(
            pair[order], return_index=True, return_counts=True
        )
        self.forward = [_sorted(subject[relation == r], object_[relation == r]) for r in self]
        self.backward = [_sorted(object_[relation == r], subject[relation == r]) for r in self]
        self.one = [self._one(r) for r in self]
        self._after: tuple[int, Ints, Ints] | None = None

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.relations)))

    def _one(self, relation: int) -> tuple[bool, NDArray[np.bool_]]:
        """Return whether the subject is the more functional end, and who stands at that end."""
        subjects, objects = self.forward[relation][0], self.backward[relation][0]
        by_subject = len(np.unique(subjects)) >= len(np.unique(objects))
        there = np.zeros(self.width, bool)
        there[subjects if by_subject else objects] = True
        return by_subject, there

    def after(self, relation: int) -> tuple[Ints, Ints]:
        """Return, by entity, where its facts begin in `forward[relation]`, and how many it has.

        The last one is kept: bodies come ordered by their second relation.
        """
        if self._after is None or self._after[0] != relation:
            counts = np.bincount(self.forward[relation][0], minlength=self.width)
            self._after = (relation, np.cumsum(counts) - counts, counts)
        return self._after[1:]

    def told(self, pairs: Ints) -> tuple[Ints, Ints]:
        """Return, for each fact whose ends are one of `pairs`, which pair and which relation."""
        place = np.searchsorted(self.pair, pairs)
        place[place == len(self.pair)] = 0
        which = np.flatnonzero(self.pair[place] == pairs)
        first, counts = self._first[place[which]], self._count[place[which]]
        return np.repeat(which, counts), self.relation[_ranges(first, counts)]


def _sorted(key: Ints, value: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((value, key))
    return key[order], value[order]


def _ranges(first: Ints, counts: Ints) -> Ints:
    """Return first, first + 1, ... `counts` numbers of each, one after another."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - counts - first, counts)


# --- mining -----------------------------------------------------------------------------------


def mine(
    triples: Iterable[Triple],
    min_support: int = 1,
    min_confidence: float = 0.0,
    *,
    at_once: int = SLICE,
    most: int = MOST,
) -> tuple[list[Mined], list[tuple[str, ...]]]:
    """Return the rules, most confident first, and the bodies that have too many predictions."""
    index = Index(triples, at_once)
    found: list[Mined] = []
    skipped: list[tuple[str, ...]] = []
    for body, size in _bodies(index):
        if size > most:
            skipped.append(tuple(index.relations[r] for r in body))
            continue
        found += _heads(index, body, min_support)
    kept = [rule for rule in found if rule.confidence >= min_confidence]
    kept.sort(key=lambda r: (-r.confidence, -r.support, r.head, r.body))
    return kept, skipped


def _bodies(index: Index) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield each body and how many pairs of facts it joins."""
    if not index.relations:
        return
    for relation in index:
        yield (relation,), len(index.forward[relation][0])
    size = len(index.relations)
    into, out = (_counted(index, sides) for sides in (index.backward, index.forward))
    # Join (entity, r1, count) with (entity, r2, count) on the entity.
    entities, relations, counts = out
    first = np.searchsorted(entities, into[0], "left")
    many = np.searchsorted(entities, into[0], "right") - first
    right = _ranges(first, many)
    code = np.repeat(into[1], many) * size + relations[right]
    joined = np.bincount(code, np.repeat(into[2], many) * counts[right], size * size)
    codes = np.flatnonzero(joined)
    for code in codes[np.argsort(codes % size, kind="stable")].tolist():
        yield divmod(code, size), int(joined[code])


def _counted(index: Index, sides: Sequence[tuple[Ints, Ints]]) -> tuple[Ints, Ints, Ints]:
    """Return entity, relation and number of facts, sorted by entity."""
    parts = [np.unique(key, return_counts=True) for key, _ in sides]
    entity = np.concatenate([key for key, _ in parts])
    count = np.concatenate([number for _, number in parts])
    relation = np.repeat(list(index), [len(key) for key, _ in parts])
    order = np.argsort(entity, kind="stable")
    return entity[order], relation[order], count[order]


def _heads(index: Index, body: tuple[int, ...], min_support: int) -> list[Mined]:
    """Return the rules that have this body."""
    size = len(index.relations)
    support, judged = np.zeros(size, np.int64), np.zeros(size, np.int64)
    example: dict[int, int] = {}
    predictions = 0
    # Two rounds, because most relations are the head of no rule with this body.
    for slice_ in _predicted(index, body):
        predictions += len(slice_)
        which, relation = index.told(slice_)
        support += np.bincount(relation, minlength=size)
        heads, at = np.unique(relation, return_index=True)
        for head, place in zip(heads.tolist(), at.tolist(), strict=True):
            example.setdefault(head, int(slice_[which[place]]))
    heads = [head for head in np.flatnonzero(support >= min_support).tolist() if support[head]]
    for slice_ in _predicted(index, body) if heads else ():
        for head in heads:
            by_subject, there = index.one[head]
            ends = slice_ // index.width if by_subject else slice_ % index.width
            judged[head] += np.count_nonzero(there[ends])
    names = tuple(index.relations[r] for r in body)
    return [
        Mined(
            body=names,
            head=index.relations[head],
            support=int(support[head]),
            predictions=predictions,
            judged=int(judged[head]),
            example=_example(index, body, head, example[head]),
        )
        for head in heads
    ]


def _predicted(index: Index, body: tuple[int, ...]) -> Iterator[Ints]:
    """Yield the different predictions of a body, sorted, as numbers: subject * width + object."""
    if len(body) == 1:
        subject, object_ = index.backward[body[0]]
        yield _different(index, subject, object_)
        return
    starts, middles = index.forward[body[0]]
    ends = index.forward[body[1]][1]
    first, counts = (column[middles] for column in index.after(body[1]))
    for low, high in _slices(starts, counts, index.at_once):
        many = counts[low:high]
        subject = np.repeat(starts[low:high], many)
        yield _different(index, subject, ends[_ranges(first[low:high], many)])


def _different(index: Index, subject: Ints, object_: Ints) -> Ints:
    apart = subject != object_
    return np.unique(subject[apart] * index.width + object_[apart])


def _slices(starts: Ints, counts: Ints, at_once: int) -> Iterator[tuple[int, int]]:
    """Yield slices of about `at_once` predictions; all those of one start are in one slice."""
    if not len(starts):
        return
    edges = np.flatnonzero(np.diff(starts, prepend=-1))  # where a start has its first fact
    before = np.concatenate([[0], np.cumsum(counts)])[edges]
    part = before // at_once
    cuts = edges[np.flatnonzero(np.diff(part, prepend=-1))].tolist()
    yield from zip(cuts, [*cuts[1:], len(starts)], strict=True)


def _example(index: Index, body: tuple[int, ...], head: int, code: int) -> tuple[Triple, ...]:
    """Return the facts of one right prediction."""
    a, c = divmod(code, index.width)
    name, says = index.entities, index.relations
    last = (name[a], says[head], name[c])
    if len(body) == 1:
        return (name[c], says[body[0]], name[a]), last
    middles = np.intersect1d(_of(index.forward[body[0]], a), _of(index.backward[body[1]], c))
    b = int(middles[0])
    return (name[a], says[body[0]], name[b]), (name[b], says[body[1]], name[c]), last


def _of(side: tuple[Ints, Ints], entity: int) -> Ints:
    key, value = side
    return value[np.searchsorted(key, entity, "left") : np.searchsorted(key, entity, "right")]
