"""Which of the facts that a file states hold by themselves, and which follow from the others.

A file says both that Leopold is the father of Wolfgang and that Wolfgang is the child of Leopold.
Were both declared, the second would stay true when the first is changed. So a fact that follows
from others by a rule is derived, though it is stated: it goes when they go.

Facts are taken in one order, each declared unless those before it entail it. What is to be edited
must be declared, what an edit is to reach must be derived, hence:

    1. functional relations that no composition concludes about
    2. other relations out of which compositions conclude about functional ones
    3. functional relations that compositions conclude about
    4. the rest

Mined rules have exceptions. What they conclude about a functional relation is a default: a fact
of the file overrides it, and is declared where a rule would give its subject another object.
What would follow from that other object is no reason to declare more: once it is overridden,
nothing does. Where rules give several objects to a subject of which the file says none, they
contradict each other, and conclude nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ksmith.graph.rules import Key, Rule, Rulebook, Triple, World, closure, declared_keys


@dataclass(frozen=True, slots=True)
class Basis:
    """The facts of a file, told apart, and what rules add to them."""

    declared: frozenset[Triple]
    added: tuple[Triple, ...]  # in no file, in a fixed order
    blocked: tuple[Key, ...]  # of which rules would conclude several things: they conclude none


def basis(
    facts: Sequence[Triple], rules: Sequence[Rule], functional: AbstractSet[str]
) -> Basis:
    """Return which of `facts` are declared; their closure under `rules` has all of them.

    Of a functional relation each subject must have one object in `facts`, and rules about one
    must be defaults.
    """
    told = set(facts)
    own = {triple[:2]: triple[2] for triple in facts if triple[1] in functional}
    book = Rulebook(rules, told)
    declared = dict.fromkeys(_needed(_ordered(facts, rules, functional), rules))
    blocked: dict[Key, None] = {}
    while True:
        world, against = _guarded(book, declared, blocked, own)
        wrong = [t for t in facts if t not in declared and (t not in world or t[:2] in against)]
        several = [] if wrong else _several(world, functional, blocked)
        if not wrong and not several:
            break
        declared |= dict.fromkeys(wrong)
        blocked |= dict.fromkeys(several)
    world = closure(declared, rules, blocked, told)
    added = sorted(triple for triple in world if triple not in told)
    return Basis(frozenset(declared), tuple(added), tuple(blocked))


def _guarded(
    book: Rulebook,
    declared: Collection[Triple],
    blocked: Collection[Key],
    own: Mapping[Key, str],
) -> tuple[World, set[Key]]:
    """Return what follows where nothing contradicts `own`, and of which keys something would."""
    keys = declared_keys(declared).union(blocked)
    world, against = World(declared), set[Key]()
    queue = list(declared)
    for triple in queue:  # grows while it is walked
        for head in book.consequences(world, triple, keys):
            if own.get(head[:2], head[2]) != head[2]:
                against.add(head[:2])
            elif world.add(head):
                queue.append(head)
    return world, against


def _several(world: World, functional: AbstractSet[str], blocked: Collection[Key]) -> list[Key]:
    """Return, in a fixed order, the keys of functional relations with more objects than one."""
    seen: dict[Key, str] = {}
    found: set[Key] = set()
    for subject, relation, object_ in world:
        if relation in functional and seen.setdefault((subject, relation), object_) != object_:
            found.add((subject, relation))
    return sorted(found.difference(blocked))


def _ordered(
    facts: Iterable[Triple], rules: Iterable[Rule], functional: AbstractSet[str]
) -> list[Triple]:
    composed = [rule for rule in rules if len(rule.body) == 2]
    reached = {rule.head for rule in composed} & functional
    used = {name for rule in composed if rule.head in functional for name in rule.body}

    def stage(triple: Triple) -> int:
        relation = triple[1]
        if relation in functional:
            return 3 if relation in reached else 1
        return 2 if relation in used else 4

    return sorted(facts, key=stage)


def _needed(facts: Collection[Triple], rules: Iterable[Rule]) -> list[Triple]:
    """Return those of `facts` that the ones before do not entail within `facts`."""
    told, world = set(facts), World()
    book = Rulebook(rules, told)
    declared: list[Triple] = []
    for triple in facts:
        if not world.add(triple):
            continue
        declared.append(triple)
        fresh = [triple]
        for one in fresh:  # grows while it is walked
            heads = book.consequences(world, one, ())
            fresh += [head for head in heads if head in told and world.add(head)]
    return declared
