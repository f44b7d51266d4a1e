"""A user's own facts as a graph: what they are worded like, follow from and may become is found.

    read         rows of a file, names cleaned                        triple_file, triple_xml
    gather       one name an entity, functional relations, a sample   triple_facts
    mine         inverses and compositions, on all facts              mining, notation
    basis        which facts are declared, which follow from others   basis
    standing     levels, by depth in a hierarchy or by centrality     standing
    phrases      the user's templates, or general ones                phrases

What may be edited is declared, of a functional relation with objects enough. What rules add to
the file's facts is true, but never stated in training: mined rules have exceptions.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmith.graph import mining, notation, phrases, triple_file, wording
from ksmith.graph.basis import Basis, basis
from ksmith.graph.knowledge import Entity, Fact, KnowledgeGraph, Relation
from ksmith.graph.names import names
from ksmith.graph.phrases import Worded
from ksmith.graph.rules import Rule, Triple
from ksmith.graph.standing import Place, by_centrality, by_depth, hierarchy
from ksmith.graph.triple_facts import Told, functional, gather, pools, sample
from ksmith.records import Json, UserError, derived_seed, file_digest

SHOWN = 0.65  # of a relation's trained templates are shown of each fact
MIRROR = 0.5  # of min_confidence: from there an inverse binds what the file says both ways
HELD = 0.3  # of the sentences that may stand before a fact are never trained on
STRANGERS = 40
UNTYPED = "entity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file says before it is cut and worded."""

    told: Told
    functional: frozenset[str]
    mined: list[mining.Mined]  # all with the support asked for, whatever their confidence
    skipped: list[tuple[str, ...]]  # bodies that predict too much to be checked
    rules: tuple[Rule, ...]  # those in use


def build(
    settings: Mapping[str, Json], path: Path, templates: Path | None = None
) -> KnowledgeGraph:
    """Return the graph of `settings` from the files.

    Raises:
        UserError: what is wrong with a file or a setting, or no fact that may be edited.
    """
    found = explore(settings, path)
    told, seed = found.told, settings["seed"]
    own: Mapping[str, Worded] = {}
    if templates is not None:
        own = phrases.read(templates, settings.get("templates_digest"), told.aliases)
    hung = _hierarchy(settings, found)  # on the whole file: a sample may hide a cycle
    drawn = random.Random(derived_seed(seed, "triples", "sample"))
    chosen = sample(list(told.line), settings["facts"], drawn)
    there = {triple[1] for triple in chosen}
    worded = phrases.phrased(dict.fromkeys(triple[1] for triple in chosen), own)
    rules = tuple(r for r in found.rules if {*r.body, r.head} <= there)
    told.counts["relations in general words"] = len(there - own.keys())
    return _graph(
        settings,
        found,
        _Parts(
            chosen=chosen,
            rules=rules,
            basis=basis(chosen, rules, found.functional),
            worded=worded,
            places=_places(settings, chosen, found.functional, hung),
        ),
    )


def explore(settings: Mapping[str, Json], path: Path) -> Found:
    """Return what is found in the file.

    Raises:
        UserError: what is wrong with it, or with a setting that names its relations.
    """
    rows = triple_file.read(path, _columns(settings))
    if "digest" in settings and file_digest(path) != settings["digest"]:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    told = gather(rows, path, settings["longest"])
    one = functional(told, settings["functional_share"], settings["functional"])
    asked = list(settings["rules"])
    mined: list[mining.Mined] = []
    skipped: list[tuple[str, ...]] = []
    if asked not in (["none"], []):
        least = settings["min_support"] if asked == ["mined"] else 1
        mined, skipped = mining.mine(told.line, least)
    if skipped:
        told.counts["bodies of rules that predict too much"] = len(skipped)
    return Found(
        told=told,
        functional=one,
        mined=mined,
        skipped=skipped,
        rules=_rules(settings, told, mined, one),
    )


def _columns(settings: Mapping[str, Json]) -> dict[str, str | None]:
    return {part: settings.get(f"{part}_column") for part in triple_file.PARTS}


def _rules(
    settings: Mapping[str, Json],
    told: Told,
    mined: Sequence[mining.Mined],
    one: Collection[str],
) -> tuple[Rule, ...]:
    """Return the rules in use; about a functional relation they are defaults."""
    asked = list(settings["rules"])
    if asked == ["mined"]:
        least = settings["min_confidence"]
        pairs = [(rule.body, rule.head) for rule in mined if _in_use(rule, least, one)]
    elif asked == ["none"]:
        pairs = []
    else:
        listed = [notation.parse(text, told.aliases) for text in asked]
        pairs = [
            (tuple(told.aliases[name] for name in rule.body), told.aliases[rule.head])
            for rule in listed
        ]
    by = {(rule.body, rule.head): rule for rule in mined}
    return tuple(
        Rule(
            body=body,
            head=head,
            default=head in one,
            cut=len(body) - 1,
            loops=False,
            mirror=(body, head) in by and _is_mirror(by[body, head], settings),
            support=by[body, head].support if (body, head) in by else 0,
            confidence=round(by[body, head].confidence, 6) if (body, head) in by else None,
        )
        for body, head in dict.fromkeys(pairs)
    )


def _in_use(rule: mining.Mined, least: float, one: Collection[str]) -> bool:
    """Return whether a mined rule is sure enough to conclude, or at least a mirror.

    A mother has her child in her list or in nobody's, because lists are short: the rule is not
    sure enough to add to them. But where the file says both, the one fact is the other's image.
    Of compositions nothing of the kind can be said, and an image with one object would be no
    fact to edit.
    """
    if rule.confidence >= least:
        return True
    turned = len(rule.body) == 1 and rule.body[0] in one and rule.head not in one
    return turned and rule.confidence >= MIRROR * least


def _is_mirror(rule: mining.Mined, settings: Mapping[str, Json]) -> bool:
    mined = list(settings["rules"]) == ["mined"]
    return mined and rule.confidence < settings["min_confidence"]


def _hierarchy(settings: Mapping[str, Json], found: Found) -> str | None:
    """Return the relation that the user names as the hierarchy, checked."""
    if settings["levels"] != "depth" or settings["hierarchy"] is None:
        return None
    named = found.told.relation(settings["hierarchy"], "graph.hierarchy")
    hierarchy(list(found.told.line), named, found.functional)
    return named


def _places(
    settings: Mapping[str, Json],
    facts: Sequence[Triple],
    one: frozenset[str],
    named: str | None,
) -> Mapping[str, Place]:
    if settings["levels"] == "none":
        return {}
    if settings["levels"] == "centrality":
        return by_centrality(facts, settings["centrality"])
    if named is not None and all(triple[1] != named for triple in facts):
        return {}  # the sample has no fact of the hierarchy
    tree = hierarchy(facts, named, one)
    return {} if tree is None else by_depth(tree)


# --- putting it together ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    chosen: Sequence[Triple]
    rules: tuple[Rule, ...]
    basis: Basis
    worded: Mapping[str, Worded]
    places: Mapping[str, Place]


def _graph(settings: Mapping[str, Json], found: Found, parts: _Parts) -> KnowledgeGraph:
    seed, types = settings["seed"], found.told.types
    kinds, of = pools((*parts.chosen, *parts.basis.added), types)
    relations = tuple(
        Relation(
            name=name,
            objects=of[name],
            templates=worded.trained,
            novel=worded.novel,
            functional=name in found.functional,
        )
        for name, worded in parts.worded.items()
    )
    wide = {r.name for r in relations if len(kinds[r.objects]) >= settings["min_objects"]}
    facts = _facts(parts, wide & found.functional, seed)
    if not any(fact.editable for fact in facts):
        raise UserError(_nothing(settings, found, wide))
    entities = tuple(_entity(name, types, parts.places) for name in _named(parts.chosen))
    carriers = wording.carriers()
    random.Random(derived_seed(seed, "triples", "carriers")).shuffle(carriers)
    cut = round(HELD * len(carriers))
    strangers = names(STRANGERS, random.Random(derived_seed(seed, "triples", "strangers")))
    known = {entity.name for entity in entities}
    follow = len(parts.chosen) - len(parts.basis.declared)
    more = {
        "facts that follow from others": follow,
        "facts that rules add": len(parts.basis.added),
    }
    if parts.basis.blocked:
        more["questions to which rules give several answers"] = len(parts.basis.blocked)
    return KnowledgeGraph(
        source="triples",
        settings=dict(settings),
        types=kinds,
        entities=entities,
        relations=relations,
        rules=parts.rules,
        facts=facts,
        blocked=parts.basis.blocked,
        leads=tuple(carriers[cut:]),
        held=tuple(carriers[:cut]),
        strangers=tuple(name for name in strangers if name not in known),
        typed=all(name in types for name in known),
        counts=found.told.counts | more,
    )


def _facts(parts: _Parts, editable: Collection[str], seed: int) -> tuple[Fact, ...]:
    generator = random.Random(derived_seed(seed, "triples", "exposure"))
    told = [
        Fact(
            subject=subject,
            relation=relation,
            object=object_,
            base=(subject, relation, object_) in parts.basis.declared,
            editable=relation in editable
            and (subject, relation, object_) in parts.basis.declared,
            wordings=_shown(len(parts.worded[relation].trained), generator),
        )
        for subject, relation, object_ in parts.chosen
    ]
    added = [
        Fact(subject=subject, relation=relation, object=object_, base=False)
        for subject, relation, object_ in parts.basis.added
    ]
    return (*told, *added)


def _shown(templates: int, generator: random.Random) -> tuple[int, ...]:
    """Return the templates that training shows of a fact; where it can, two, and not all."""
    count = min(max(round(SHOWN * templates), 2), max(templates - 1, 1))
    return tuple(sorted(generator.sample(range(templates), count)))


def _named(facts: Sequence[Triple]) -> dict[str, None]:
    """Return all entities, in the order in which facts name them."""
    return dict.fromkeys(name for subject, _, object_ in facts for name in (subject, object_))


def _entity(name: str, types: Mapping[str, str], places: Mapping[str, Place]) -> Entity:
    place = places.get(name)
    kind = types.get(name, UNTYPED)
    if place is None:
        return Entity(name=name, type=kind)
    return Entity(name=name, type=kind, level=place.level, depth=place.depth)


def _nothing(settings: Mapping[str, Json], found: Found, wide: Collection[str]) -> str:
    """Return why no fact may be edited."""
    path, share = found.told.path, settings["functional_share"]
    if not found.functional:
        reason = (
            f"no relation has one object for {share:.0%} of its subjects (functional_share)"
        )
    elif not found.functional & set(wide):
        reason = (
            f"no functional relation has {settings['min_objects']} objects in the sample "
            "(min_objects, facts)"
        )
    else:
        reason = "all facts of functional relations follow from others (rules)"
    return f"{path}: no fact may be edited: {reason}"
