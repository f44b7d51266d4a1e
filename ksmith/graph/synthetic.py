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

Several domains are as many such forests, of the same shape, each in its own words: what is said
above of places, by role, holds of companies, creatures and schools too (`domains`). Where asked
for, there are relations with many objects, and nodes with other names:

    several       part_of -> contains, author -> wrote, and author, badge -> cover, so that a new
                  leader entails covers at hop 3
    aliases       also_called -> alias_of

A share of what requests may ask for can be held out: such a fact is made like the others, is in
no text, and nothing follows from it. A model that never saw the forget set is like one that
never saw these.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ksmith.graph import wording
from ksmith.graph.cast import LEVELS, Cast, Size, casts, fitting
from ksmith.graph.domains import MANY, Domain, domain
from ksmith.graph.knowledge import Entity, Fact, KnowledgeGraph, Relation
from ksmith.graph.rules import Key, Rule, Triple, closure
from ksmith.records import Json, UserError, derived_seed

SHOWN = 5  # of the eight templates of a relation: each fact's exposure, whatever its level
HELD = 0.3  # of the carrier sentences are never trained on
OBJECTS = (6, 12)  # of each type: fewest and most
SUBJECTS = 3  # an object has at least so many in a small graph, so that facts have neighbours
EDITABLE = (*wording.EDITABLE, "author")  # roles


def build(settings: Mapping[str, Json]) -> KnowledgeGraph:
    """Return the graph of `settings`: seed, facts (stated in training, about), stored.

    And, where they are not left out, domains, several and aliases.

    Raises:
        UserError: too few facts for a hierarchy.
    """
    seed = settings["seed"]
    domains = [domain(name) for name in settings.get("domains", ["places"])]
    size = _size(settings, len(domains))
    cast = casts(size, len(domains), random.Random(derived_seed(seed, "graph", "cast")))
    carriers = wording.carriers()
    random.Random(derived_seed(seed, "graph", "carriers")).shuffle(carriers)
    cut = round(HELD * len(carriers))
    out = settings.get("holdout", 0.0)
    parts = [_part(d, c, size, seed, out) for d, c in zip(domains, cast, strict=True)]
    if out and not any(part.holdout for part in parts):
        raise UserError(_none_held_out(parts, out))
    return KnowledgeGraph(
        source="synthetic",
        settings=dict(settings),
        types={name: objects for part in parts for name, objects in part.types.items()},
        entities=tuple(entity for part in parts for entity in part.entities),
        relations=tuple(relation for part in parts for relation in part.relations),
        rules=tuple(rule for part in parts for rule in part.rules),
        facts=tuple(fact for part in parts for fact in part.facts),
        leads=tuple(carriers[cut:]),
        held=tuple(carriers[:cut]),
        holdout=tuple(fact for part in parts for fact in part.holdout),
        strangers=tuple(name for part in cast for name in part.strangers),
        typed=True,
    )


def _size(settings: Mapping[str, Json], domains: int) -> Size:
    size = Size(
        nodes=0,
        stored=settings["stored"],
        several=settings.get("several", False),
        aliased=settings.get("aliases", 0.0),
    )
    given = f"graph.facts = {settings['facts']}"
    if domains > 1:
        given += f", {settings['facts'] // domains} for each of {domains} domains"
    return fitting(settings["facts"] // domains, size, given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a graph has of one domain."""

    types: Mapping[str, tuple[str, ...]]
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    rules: tuple[Rule, ...]
    facts: tuple[Fact, ...]
    holdout: tuple[Fact, ...]


def _part(about: Domain, cast: Cast, size: Size, seed: int, share: float) -> Part:
    """Return the part of one domain; the same generators make the same shape of each."""
    aliases = bool(size.aliases)
    named = about.relations(several=size.several, aliases=aliases)
    rules = about.rules(several=size.several, aliases=aliases)
    pools = _pools(about, size.nodes)
    attributes = random.Random(derived_seed(seed, "graph", "attributes"))
    declared = _declared(cast, pools, named, attributes)
    out = _held_out(
        declared, named, share, random.Random(derived_seed(seed, "graph", "holdout"))
    )
    declared = [triple for triple in declared if triple not in out]
    exposure = random.Random(derived_seed(seed, "graph", "exposure"))
    types = {**pools, about.node: tuple(cast.nodes), about.agent: tuple(cast.agents)}
    if size.several:
        types[about.work] = tuple(cast.works)
    if aliases:
        types[f"{about.node} alias"] = tuple(cast.aliases.values())
    return Part(
        types=types,
        entities=_entities(about, cast),
        relations=tuple(named.values()),
        rules=rules,
        facts=_facts(declared, rules, named, size.stored, exposure),
        holdout=tuple(Fact(subject=s, relation=r, object=o) for s, r, o in out),
    )


def _held_out(
    declared: Sequence[Triple],
    named: Mapping[str, Relation],
    share: float,
    generator: random.Random,
) -> dict[Triple, None]:
    """Return the facts that are held out: of each relation that can be asked for, a share."""
    found: dict[Triple, None] = {}
    for role in EDITABLE:
        if role in named:
            group = [triple for triple in declared if triple[1] == named[role].name]
            drawn = set(generator.sample(group, round(share * len(group))))
            found |= dict.fromkeys(triple for triple in group if triple in drawn)
    return found


def _none_held_out(parts: Sequence[Part], share: float) -> str:
    """Return why a share holds out nothing: it is one of each relation, rounded."""
    asked = Counter(fact.relation for part in parts for fact in part.facts if fact.editable)
    most = max(asked.values())
    return (
        f"graph.holdout = {share:g}: leaves no holdout set: it is a share of the facts of each "
        f"relation that can be asked for, and of the {most} that the largest has it is less than "
        f"half a fact; {1 / most:.2g} is one, or leave it out"
    )


def _pools(about: Domain, nodes: int) -> dict[str, tuple[str, ...]]:
    """Return type -> its objects: as many of each type, so that types differ in nothing."""
    least, most = OBJECTS
    size = min(most, max(least, nodes // SUBJECTS))
    return {name: pool[:size] for name, pool in about.pools.items()}


def _declared(
    cast: Cast,
    pools: Mapping[str, Sequence[str]],
    named: Mapping[str, Relation],
    generator: random.Random,
) -> list[Triple]:
    """Return the base facts, in a fixed order."""
    triples: list[Triple] = []
    for role, relation in named.items():
        subjects = _subjects(role, cast)
        if subjects:
            objects = _balanced(pools[relation.objects], len(subjects), generator)
            pairs: Iterable[tuple[str, str]] = zip(subjects, objects, strict=True)
        else:
            pairs = _links(role, cast, generator)
        triples += [(subject, relation.name, object_) for subject, object_ in pairs]
    return triples


def _subjects(role: str, cast: Cast) -> list[str]:
    """Return who has a declared object of that role that is a plain word."""
    if role in wording.OWN:
        return cast.nodes
    if role == "craft":
        return cast.agents
    levels = {"language": "root", "currency": "intermediate"}
    return cast.places[levels[role]] if role in levels else []


def _balanced(pool: Sequence[str], count: int, generator: random.Random) -> list[str]:
    """Return `count` objects in random order, each of `pool` about equally often.

    Balanced, so that the old object of a request has as many other subjects as any.
    """
    drawn = [pool[i % len(pool)] for i in range(count)]
    generator.shuffle(drawn)
    return drawn


def _links(role: str, cast: Cast, generator: random.Random) -> Iterable[tuple[str, str]]:
    """Return the declared pairs of that role whose object has a name of its own; perhaps none."""
    if role == "deputy":
        nodes = generator.sample(cast.nodes, len(cast.reserve))
        return zip(nodes, cast.reserve, strict=True)
    if role == "ally":
        return _allies(cast, generator)
    if role == "author":
        return _authors(cast, generator)
    plain = {"leader": cast.leaders, "part_of": cast.parent, "also_called": cast.aliases}
    return plain[role].items() if role in plain else ()


def _allies(cast: Cast, generator: random.Random) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for level in LEVELS:
        order = generator.sample(cast.places[level], len(cast.places[level]))
        pairs += zip(order[::2], order[1::2], strict=False)
    return pairs


def _authors(cast: Cast, generator: random.Random) -> list[tuple[str, str]]:
    """Return (work, author): an author has one at least, two in the mean."""
    authors = generator.sample(cast.agents, (len(cast.works) + 1) // 2)
    more = generator.choices(authors, k=len(cast.works) - len(authors))
    return list(zip(cast.works, [*authors, *more], strict=True))


def _facts(
    declared: Sequence[Triple],
    rules: Sequence[Rule],
    named: Mapping[str, Relation],
    stored: float,
    generator: random.Random,
) -> tuple[Fact, ...]:
    """Return the closure of `declared`; a share `stored` of each relation's derived is told.

    Where a subject has many objects, all of them are told, in the same words, or none.
    """
    base = set(declared)
    derived = sorted(set(closure(declared, rules)) - base)
    by_relation: dict[str, dict[Key, None]] = {r.name: {} for r in named.values()}
    for triple in derived:
        by_relation[triple[1]][triple[:2]] = None
    shown: set[Key] = set()
    for group in by_relation.values():
        shown |= set(generator.sample(list(group), round(stored * len(group))))
    templates = {relation.name: len(relation.templates) for relation in named.values()}
    editable = {named[role].name for role in EDITABLE if role in named}
    many = {named[role].name for role in MANY if role in named}
    wordings: dict[Key, tuple[int, ...]] = {}
    facts: list[Fact] = []
    for triple in [*declared, *derived]:
        subject, relation, object_ = triple
        key = (subject, relation)
        if relation not in many or key not in wordings:
            drawn = generator.sample(range(templates[relation]), SHOWN)
            wordings[key] = tuple(sorted(drawn))
        facts.append(
            Fact(
                subject=subject,
                relation=relation,
                object=object_,
                base=triple in base,
                editable=triple in base and relation in editable,
                wordings=wordings[key] if triple in base or key in shown else (),
            )
        )
    return tuple(facts)


def _entities(about: Domain, cast: Cast) -> tuple[Entity, ...]:
    nodes = [
        Entity(
            name=node,
            type=about.node,
            level=level,
            depth=depth,
            domain=about.name,
            aliases=(cast.aliases[node],) if node in cast.aliases else (),
        )
        for depth, level in enumerate(LEVELS)
        for node in cast.places[level]
    ]
    others = [(about.agent, cast.agents), (about.work, cast.works)]
    return (
        *nodes,
        *(
            Entity(name=n, type=noun, domain=about.name)
            for noun, names in others
            for n in names
        ),
    )
