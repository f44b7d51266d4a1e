"""A generated hierarchy of places, whose facts and entailments are all known.

Places form a forest: roots, intermediates, leaves, each child with one parent (`part_of`).
Every place has the same own attributes with the same objects, a leader, and an ally on its own
level, so that level is not confounded with relation, number of candidates or exposure. What
differs by level is what the hierarchy means: how many places inherit from it.

    inverse       leader -> leads, ally -> ally
    composition   leader, craft -> leader_craft      ally, export -> import
                  leads, emblem -> badge             part_of, colour -> banner
    inheritance   part_of, language -> language (declared at roots)
                  part_of, currency -> currency (declared at intermediates)

So a new emblem entails a badge (hop 1), a new leader entails who leads what and the leader's
craft (hop 1) and two badges (hop 2), a new export entails an import on any level, a new colour
the banners of the children; crops and sports entail nothing, the control.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ksmith.graph import wording
from ksmith.graph.knowledge import Entity, Fact, KnowledgeGraph
from ksmith.graph.names import names
from ksmith.graph.rules import Triple, closure
from ksmith.records import Json, UserError, derived_seed

SHOWN = 5  # of the eight templates of a relation: each fact's exposure, whatever its level
LEVELS = ("root", "intermediate", "leaf")
SHARES = (0.25, 0.32)  # of places that are roots, and intermediates
HELD = 0.3  # of the carrier sentences are never trained on
MIN_PLACES = 6
OBJECTS = (6, 12)  # of each type: fewest and most
SUBJECTS = 3  # an object has at least so many in a small graph, so that facts have neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who and what there is, before any fact."""

    places: Mapping[str, list[str]]  # level -> names
    parent: Mapping[str, str]
    leaders: Mapping[str, str]  # place -> person
    reserve: list[str]  # persons who lead nothing
    strangers: list[str]

    @property
    def all_places(self) -> list[str]:
        """Every place, from the top."""
        return [place for level in LEVELS for place in self.places[level]]


def build(settings: Mapping[str, Json]) -> KnowledgeGraph:
    """Return the graph of `settings`: seed, facts (stated in training, about), stored.

    Raises:
        UserError: too few facts for a hierarchy.
    """
    seed, stored = settings["seed"], settings["stored"]
    count = _places(settings["facts"], stored)
    cast = _cast(count, random.Random(derived_seed(seed, "graph", "cast")))
    pools = _pools(count)
    declared = _declared(cast, pools, random.Random(derived_seed(seed, "graph", "attributes")))
    facts = _facts(declared, stored, random.Random(derived_seed(seed, "graph", "exposure")))
    carriers = wording.carriers()
    random.Random(derived_seed(seed, "graph", "carriers")).shuffle(carriers)
    cut = round(HELD * len(carriers))
    people = [*cast.leaders.values(), *cast.reserve]
    return KnowledgeGraph(
        source="synthetic",
        settings=dict(settings),
        types={**pools, "place": tuple(cast.all_places), "person": tuple(people)},
        entities=_entities(cast, people),
        relations=wording.RELATIONS,
        rules=wording.RULES,
        facts=facts,
        leads=tuple(carriers[cut:]),
        held=tuple(carriers[:cut]),
        strangers=tuple(cast.strangers),
        typed=True,
    )


def _sizes(places: int) -> tuple[int, int, int]:
    """Return how many roots, intermediates and leaves there are; each parent gets a child."""
    roots, middle = (max(2, round(share * places)) for share in SHARES)
    return roots, max(middle, roots), places - roots - max(middle, roots)


def _reserve(places: int) -> int:
    return max(2, places // 3)


def _stated(places: int, stored: float) -> int:
    """Return how many facts training states of a graph with `places`, about."""
    roots, middle, leaves = _sizes(places)
    reserve, pairs = _reserve(places), sum(size // 2 for size in (roots, middle, leaves))
    base = (
        places * (len(wording.OWN) + 2) + middle + leaves + pairs + 2 * reserve + roots + middle
    )
    derived = places * 3 + 3 * pairs + 2 * (middle + leaves) + leaves
    return base + round(stored * derived)


def _places(facts: int, stored: float) -> int:
    least = _stated(MIN_PLACES, stored)
    if facts < least:
        raise UserError(
            f"graph.facts = {facts}: a hierarchy with all its relations needs at least {least}"
        )
    low, high = MIN_PLACES, facts
    while low < high:  # the most places whose facts fit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _stated(middle, stored) <= facts else (low, middle - 1)
    return low


def _pools(places: int) -> dict[str, tuple[str, ...]]:
    """Return type -> its objects: as many of each type, so that types differ in nothing."""
    least, most = OBJECTS
    size = min(most, max(least, places // SUBJECTS))
    return {name: pool[:size] for name, pool in wording.POOLS.items()}


def _cast(count: int, generator: random.Random) -> Cast:
    reserve, strangers = _reserve(count), max(4, count // 4)
    pool = iter(names(2 * count + reserve + strangers, generator))
    places = {
        level: [next(pool) for _ in range(size)]
        for level, size in zip(LEVELS, _sizes(count), strict=True)
    }
    parent: dict[str, str] = {}
    for above, below in (("root", "intermediate"), ("intermediate", "leaf")):
        parent |= _adopted(places[above], places[below], generator)
    return Cast(
        places=places,
        parent=parent,
        leaders={place: next(pool) for level in LEVELS for place in places[level]},
        reserve=[next(pool) for _ in range(reserve)],
        strangers=list(pool),
    )


def _adopted(
    parents: Sequence[str], children: Sequence[str], generator: random.Random
) -> dict[str, str]:
    """Return child -> parent: every parent has a child, where there are enough."""
    more = generator.choices(parents, k=max(0, len(children) - len(parents)))
    return dict(zip(children, [*parents, *more], strict=False))


def _declared(
    cast: Cast, pools: Mapping[str, Sequence[str]], generator: random.Random
) -> list[Triple]:
    """Return the base facts, in a fixed order."""
    triples: list[Triple] = []
    for relation in wording.RELATIONS:
        subjects = _subjects(relation.name, cast)
        if relation.name in _LINKS:
            triples += _links(relation.name, cast, generator)
        elif subjects:
            objects = _balanced(pools[relation.objects], len(subjects), generator)
            triples += [
                (subject, relation.name, object_)
                for subject, object_ in zip(subjects, objects, strict=True)
            ]
    return triples


_LINKS = ("leader", "deputy", "part_of", "ally")  # facts whose object is an entity


def _subjects(relation: str, cast: Cast) -> list[str]:
    """Return who has a declared object of `relation` that is a plain word."""
    if relation in wording.OWN:
        return cast.all_places
    if relation == "craft":
        return [*cast.leaders.values(), *cast.reserve]
    levels = {"language": "root", "currency": "intermediate"}
    return cast.places[levels[relation]] if relation in levels else []


def _balanced(pool: Sequence[str], count: int, generator: random.Random) -> list[str]:
    """Return `count` objects in random order, each of `pool` about equally often.

    Balanced, so that the old object of a request has as many other subjects as any.
    """
    drawn = [pool[i % len(pool)] for i in range(count)]
    generator.shuffle(drawn)
    return drawn


def _links(relation: str, cast: Cast, generator: random.Random) -> Iterable[Triple]:
    if relation == "leader":
        return [(place, "leader", person) for place, person in cast.leaders.items()]
    if relation == "part_of":
        return [(child, "part_of", parent) for child, parent in cast.parent.items()]
    if relation == "deputy":
        places = generator.sample(cast.all_places, len(cast.reserve))
        return [(p, "deputy", person) for p, person in zip(places, cast.reserve, strict=True)]
    pairs: list[Triple] = []
    for level in LEVELS:
        order = generator.sample(cast.places[level], len(cast.places[level]))
        pairs += [(a, "ally", b) for a, b in zip(order[::2], order[1::2], strict=False)]
    return pairs


def _facts(
    declared: Sequence[Triple], stored: float, generator: random.Random
) -> tuple[Fact, ...]:
    """Return the closure of `declared`; a share `stored` of each relation's derived is told."""
    base = set(declared)
    derived = sorted(set(closure(declared, wording.RULES)) - base)
    shown: set[Triple] = set()
    for relation in wording.RELATIONS:
        group = [triple for triple in derived if triple[1] == relation.name]
        shown |= set(generator.sample(group, round(stored * len(group))))
    templates = {relation.name: len(relation.templates) for relation in wording.RELATIONS}
    facts: list[Fact] = []
    for triple in [*declared, *derived]:
        subject, relation_name, object_ = triple
        drawn = sorted(generator.sample(range(templates[relation_name]), SHOWN))
        facts.append(
            Fact(
                subject=subject,
                relation=relation_name,
                object=object_,
                base=triple in base,
                editable=triple in base and relation_name in wording.EDITABLE,
                wordings=tuple(drawn) if triple in base or triple in shown else (),
            )
        )
    return tuple(facts)


def _entities(cast: Cast, people: Iterable[str]) -> tuple[Entity, ...]:
    places = [
        Entity(name=place, type="place", level=level, depth=depth)
        for depth, level in enumerate(LEVELS)
        for place in cast.places[level]
    ]
    return (*places, *(Entity(name=person, type="person") for person in people))
