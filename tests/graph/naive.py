"""Entailment as it is defined, too slow and too simple to be wrong, and what it is asked."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import product
from zlib import crc32

from hypothesis import strategies as st

from ksmith.graph import (
    Entity,
    Fact,
    KnowledgeGraph,
    Relation,
    Rule,
    closure,
)
from ksmith.graph.rules import Key, Triple, declared_keys
from ksmith.records import Request

NODES = ("a", "b", "c", "d", "e")
NAMES = ("r0", "r1", "r2", "r3", "r4", "r5", "r6")
FEW = NAMES[:4]  # so that random rules meet
FUNCTIONAL = ("r0", "r1", "r2", "r4", "r5")
EVERY = product(NODES, NAMES, NODES)
SAID = frozenset(t for t in EVERY if crc32("".join(t).encode()) % 3)  # in training, where true


def naive(
    base: Iterable[Triple],
    rules: Collection[Rule],
    blocked: Collection[Key],
    stated: Collection[Triple] = SAID,
) -> set[Triple]:
    """Return the closure of `base`: try every rule on everything until nothing is new."""
    known = set(base)
    while True:
        found = {head for _, _, head in steps(rules, known, blocked, stated)}
        if found <= known:
            return known
        known |= found


def steps(
    rules: Collection[Rule],
    known: Collection[Triple],
    blocked: Collection[Key],
    stated: Collection[Triple],
) -> list[tuple[Rule, tuple[Triple, ...], Triple]]:
    """Return every rule application on `known`: the rule, what it uses, what it concludes."""
    found: list[tuple[Rule, tuple[Triple, ...], Triple]] = []
    for rule in rules:
        first = [triple for triple in known if triple[1] == rule.body[0]]
        if len(rule.body) == 1:
            found += [(rule, (one,), (one[2], rule.head, one[0])) for one in first]
            continue
        second = [triple for triple in known if triple[1] == rule.body[1]]
        found += [
            (rule, (one, two), (one[0], rule.head, two[2]))
            for one in first
            for two in second
            if one[2] == two[0] and not (rule.default and (one[0], rule.head) in blocked)
        ]
    return [step for step in found if not step[0].mirror or step[2] in stated]


@dataclass(kw_only=True)
class Brute:
    """The changed graph by an implementation that is too slow and too simple to be wrong."""

    base: frozenset[Triple]
    rules: tuple[Rule, ...]
    wanted: dict[Key, Request]
    stated: frozenset[Triple]
    removed: set[Triple] = field(default_factory=set[Triple])
    blocked: set[Key] = field(default_factory=set[Key])  # by requests and for them
    forbidden: set[Triple] = field(default_factory=set[Triple])
    cuts: set[tuple[Triple, Triple]] = field(default_factory=set[tuple[Triple, Triple]])

    @classmethod
    def of(
        cls, base: frozenset[Triple], rules: tuple[Rule, ...], requests: list[Request]
    ) -> "Brute":
        self = cls(
            base=base,
            rules=rules,
            wanted={(r.subject, r.relation): r for r in requests},
            stated=SAID & naive(base, rules, declared_keys(base)),
        )
        self.blocked |= self.wanted.keys()
        self.removed |= {(*key, r.old) for key, r in self.wanted.items()}
        self.forbidden |= self.removed
        return self

    @property
    def added(self) -> set[Triple]:
        return {(*key, r.new) for key, r in self.wanted.items() if r.kind == "edit"}

    @property
    def overridden(self) -> set[Key]:
        return declared_keys(self.base)

    @property
    def fixed(self) -> set[Triple]:
        """What is left when all that is declared is removed and every default overridden."""
        strict = [rule for rule in self.rules if not rule.default]
        return naive(self.added, strict, (), self.stated)

    @property
    def world(self) -> set[Triple]:
        left = (self.base - self.removed) | self.added
        return naive(left, self.rules, self.overridden | self.blocked, self.stated)

    def unwanted(self, world: set[Triple]) -> set[Triple]:
        """Return old answers, and what stands beside the answer of a request."""
        beside = {
            triple
            for triple in world - self.added
            if triple[:2] in self.wanted and triple[1] in FUNCTIONAL
        }
        return (world & self.forbidden) | beside

    def solve(self) -> bool:
        """Return whether the requests can hold together; if so, make them hold."""
        if self.unwanted(self.fixed):
            return False
        fixed = self.fixed
        while held := self.unwanted(world := self.world):
            self.forbidden |= held
            self.removed |= held & self.base
            used = steps(self.rules, world, self.overridden | self.blocked, self.stated)
            for rule, body, head in used:
                if head in held and rule.default:
                    self.blocked.add(head[:2])
                elif head in held:
                    cut = next(t for t in (body[rule.cut], *body) if t not in fixed)
                    self.forbidden.add(cut)
                    self.cuts.add((head, cut))
        return True

    def hops(self, before: set[Triple], after: set[Triple]) -> dict[Triple, int]:
        """Return every changed triple's hop: relax over all steps until nothing gets smaller."""
        gone, new = before - after, after - before
        cut = {t for _, t in self.cuts if t[:2] not in self.wanted}
        hops = dict.fromkeys(self.forbidden - cut, 0)
        relax(hops, self.cuts)
        near = dict.fromkeys(self.wanted, 0)
        for triple, hop in hops.items():
            if triple[:2] in self.blocked:
                near[triple[:2]] = min(hop, near.get(triple[:2], 99))
        hops = {t: near.get(t[:2], hops.get(t, 99)) for t in gone}
        relax(hops, self.edges(gone, before, self.overridden))
        ahead = {t: 0 if t in self.added else 99 for t in new}
        relax(ahead, self.edges(new, after, self.overridden | self.blocked))
        return hops | ahead

    def edges(
        self, changed: set[Triple], known: set[Triple], blocked: set[Key]
    ) -> set[tuple[Triple, Triple]]:
        found = steps(self.rules, known, blocked, self.stated)
        return {
            (one, head) for _, body, head in found for one in body if {one, head} <= changed
        }


def relax(hops: dict[Triple, int], edges: Collection[tuple[Triple, Triple]]) -> None:
    for _ in range(len(edges) + 1):
        for start, end in edges:
            hops[end] = min(hops.get(end, 99), hops.get(start, 99) + 1)


def graph_of(base: Collection[Triple], rules: tuple[Rule, ...]) -> KnowledgeGraph:
    facts = [*base, *sorted(set(closure(base, rules, stated=SAID)) - set(base))]
    return KnowledgeGraph(
        source="test",
        settings={},
        types={"node": NODES},
        entities=tuple(Entity(name=name, type="node") for name in NODES),
        relations=tuple(
            Relation(
                name=name, objects="node", templates=("{} x",), functional=name in FUNCTIONAL
            )
            for name in NAMES
        ),
        rules=rules,
        facts=tuple(
            Fact(
                subject=s,
                relation=r,
                object=o,
                base=(s, r, o) in base,
                wordings=(0,) if (s, r, o) in SAID else (),
            )
            for s, r, o in facts
        ),
    )


def asked(fact: Triple, new: str | None, number: int = 0) -> Request:
    subject, relation, old = fact
    return Request(
        id=f"0.{number}",
        draw=0,
        kind="unlearn" if new is None else "edit",
        subject=subject,
        relation=relation,
        old=old,
        new=new or "unknown",
        template="{} x",
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for _ in range(draw(st.integers(1, 4))):
        body = tuple(draw(st.lists(st.sampled_from(FEW), min_size=1, max_size=2)))
        head = draw(st.sampled_from(FEW))
        default = len(body) == 2 and head in FUNCTIONAL and draw(st.booleans())
        cut = draw(st.integers(0, len(body) - 1))
        mirror = len(body) == 1 and draw(st.booleans())
        found.append(Rule(body=body, head=head, default=default, cut=cut, mirror=mirror))
    return tuple(found)


@st.composite
def declared(
    draw: st.DrawFn, names: tuple[str, ...] = FEW, least: int = 1
) -> frozenset[Triple]:
    node = st.sampled_from(NODES)
    triples = draw(
        st.lists(st.tuples(node, st.sampled_from(names), node), min_size=least, max_size=10)
    )
    one = {(s, r): (s, r, o) for s, r, o in triples if r in FUNCTIONAL}
    return frozenset([*one.values(), *(t for t in triples if t[1] not in FUNCTIONAL)])
