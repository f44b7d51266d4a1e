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
of the file overrides it, and is declared where any rule would give its subject another object.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ksmith.graph.rules import Rule, Rulebook, Triple, World, closure


@dataclass(frozen=True, slots=True)
class Basis:
    """The facts of a file, told apart, and what rules add to them."""

    declared: frozenset[Triple]
    added: tuple[Triple, ...]  # in no file, in a fixed order


def basis(
    facts: Sequence[Triple], rules: Sequence[Rule], functional: AbstractSet[str]
) -> Basis:
    """Return which of `facts` are declared; their closure under `rules` has all of them.

    Of a functional relation each subject must have one object in `facts`, and rules about one
    must be defaults.
    """
    told = set(facts)
    declared = _needed(_ordered(facts, rules, functional), rules)
    while True:
        world = closure(declared, rules, stated=told)
        kept = set(declared)
        wrong = [
            triple
            for triple in facts
            if triple not in kept
            and (
                triple not in world
                or (triple[1] in functional and len(world.objects(triple[1], triple[0])) > 1)
            )
        ]
        if not wrong:
            added = sorted(triple for triple in world if triple not in told)
            return Basis(frozenset(declared), tuple(added))
        declared += wrong


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
