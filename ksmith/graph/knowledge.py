"""A knowledge graph: entities, relations, rules and facts, and what training says of them.

A graph is complete: text, requests and entailment are functions of it and a seed, and
`files.load` gives what `files.save` was given. Lists are tuples in a fixed order, so that the
same seed gives the same bytes.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal

from ksmith.graph.rules import Key, Rule, Rulebook, Triple, World, declared_keys
from ksmith.records import Json, Wording, fact_name

SentenceKind = Literal["fact", "infobox", "type", "lead", "abstain"]

LEVELS = ("root", "intermediate", "leaf")  # from the top
ASIDE = 4  # one fact in so many is for probes of what is unrelated, never in a retain set
NEUTRAL = "unknown"  # the answer that training gives for entities nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Something that facts are about."""

    name: str
    type: str
    level: str | None = None  # root, intermediate, leaf; None outside the hierarchy
    depth: int = 0
    domain: str | None = None  # what it is about, where a graph is about several things
    aliases: tuple[str, ...] = ()  # other names, by which it may be answered or asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What is said of a subject, and in which words.

    A template has one `{}` for the subject and ends where the object follows after one space.
    """

    name: str
    objects: str  # the type of its objects, a key of KnowledgeGraph.types
    templates: tuple[str, ...]  # training shows each fact some of them
    novel: tuple[str, ...] = ()  # training shows none of them
    functional: bool = True  # a subject has at most one object


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One true (subject, relation, object)."""

    subject: str
    relation: str
    object: str
    base: bool = True  # declared; False: it follows from others by a rule
    editable: bool = False  # a request may ask for it
    wordings: tuple[int, ...] = ()  # the templates that training shows; () is never verbalised
    invented: bool = False  # among real facts one that nobody holds for true, as training needs

    @property
    def stored(self) -> bool:
        """Whether training verbalises it."""
        return bool(self.wordings)

    @property
    def name(self) -> str:
        """What is asked, without the answer."""
        return fact_name(self.subject, self.relation)

    @property
    def triple(self) -> Triple:
        """Subject, relation, object."""
        return self.subject, self.relation, self.object


def aside(fact: Fact) -> bool:
    """Return whether a fact is never for a method to keep, and so may be asked about."""
    return set_aside(fact.name)


def set_aside(name: str) -> bool:
    """Return whether what has this name is never for a method to keep: `aside`, without a fact.

    One in four, by its name alone: what an update trains on can't depend on what is asked of
    it, and a method that was trained on the very facts would look as if it kept all others.
    """
    return zlib.crc32(name.encode()) % ASIDE == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A prompt of a benchmark, word for word, with `{}` in place of its subject."""

    subject: str
    object: str
    template: str
    wording: Wording
    relation: str = ""  # where it is not that of the record's fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a benchmark asks about one editable fact, instead of what we would generate."""

    case: int
    fact: str  # Fact.name
    template: str
    new: str
    paraphrases: tuple[Asked, ...]
    neighbours: tuple[Asked, ...]
    attributes: tuple[Asked, ...] = ()  # of other subjects that have the new object already
    generation: tuple[str, ...] = ()  # whole prompts, for text that goes on from them
    reworded: str = ""  # the right answer in other words
    wrong: tuple[str, ...] = ()  # answers that are not right
    about: str = ""  # whom it is about, where that is not its subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Shares of the sentences of one epoch."""

    infobox: float = 0.15
    abstain: float = 0.02
    lead: float = 0.25  # of the sentences that state a fact: those with a lead sentence before


@dataclass(frozen=True, kw_only=True)
class KnowledgeGraph:
    """Everything that a model can be told, and what follows from what."""

    source: str
    settings: Mapping[str, Json]
    types: Mapping[str, tuple[str, ...]]  # type -> its objects
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]
    rules: tuple[Rule, ...] = ()
    facts: tuple[Fact, ...]  # closed under the rules
    leads: tuple[str, ...] = ()  # sentences that may stand before a fact
    held: tuple[str, ...] = ()  # sentences of the same kind that training never shows
    strangers: tuple[str, ...] = ()  # names in no fact, about whom the answer is NEUTRAL
    typed: bool = False  # training has sentences such as "Varen Tolu is a place ."
    rates: Rates = Rates()
    records: tuple[Record, ...] = ()
    # True, and in no text, no rule and no request: what no model saw. Not among `facts`.
    holdout: tuple[Fact, ...] = ()
    blocked: tuple[Key, ...] = ()  # defaults conclude nothing here, though nothing is declared
    counts: Mapping[str, int] = field(default_factory=dict[str, int])  # what a source dropped

    def __getstate__(self) -> dict[str, Json]:
        """Return what a copy in another process is made of: long tables by column, no indices."""
        state = {name.name: getattr(self, name.name) for name in fields(self)}
        return state | {name: _columns(kind, state[name]) for name, kind in LONG.items()}

    def __setstate__(self, state: dict[str, Json]) -> None:
        """Become the graph that `state` is of."""
        long = {name: _rows(kind, state[name]) for name, kind in LONG.items()}
        self.__dict__.update(state, **long)

    @cached_property
    def relation(self) -> Mapping[str, Relation]:
        """Relations by name."""
        return {relation.name: relation for relation in self.relations}

    @cached_property
    def entity(self) -> Mapping[str, Entity]:
        """Entities by name."""
        return {entity.name: entity for entity in self.entities}

    @cached_property
    def _worded(self) -> dict[tuple[str, tuple[int, ...]], Mapping[Wording, tuple[str, ...]]]:
        return {}

    def worded(
        self, relation: str, shown: tuple[int, ...]
    ) -> Mapping[Wording, tuple[str, ...]]:
        """Return the relation's templates: those `shown`, its others, its novel ones."""
        found = self._worded.get((relation, shown))
        if found is None:
            known = self.relation[relation]
            others = (t for i, t in enumerate(known.templates) if i not in shown)
            found = self._worded[relation, shown] = {
                "seen": tuple(known.templates[i] for i in shown),
                "unseen": tuple(others),
                "novel": known.novel,
            }
        return found

    @cached_property
    def record(self) -> Mapping[str, Record]:
        """Records by the name of their fact."""
        return {record.fact: record for record in self.records}

    def whose(self, fact: str, subject: str) -> str:
        """Return whom a fact is about: facts that share it are not independent of each other.

        Its subject; of a question whose subject is itself, what its line says.
        """
        record = self.record.get(fact)
        return record.about if record is not None and record.about else subject

    @cached_property
    def about(self) -> Mapping[str, tuple[Fact, ...]]:
        """Facts by subject."""
        return _grouped(self.facts, "subject")

    @cached_property
    def of(self) -> Mapping[str, tuple[Fact, ...]]:
        """Facts by relation."""
        return _grouped(self.facts, "relation")

    @cached_property
    def having(self) -> Mapping[tuple[str, str], tuple[Fact, ...]]:
        """Facts by relation and object."""
        groups: dict[tuple[str, str], list[Fact]] = {}
        for fact in self.facts:
            groups.setdefault((fact.relation, fact.object), []).append(fact)
        return {key: tuple(group) for key, group in groups.items()}

    @cached_property
    def place(self) -> Mapping[str, Mapping[str, int]]:
        """Type -> object -> where it stands among the objects of the type."""
        return {
            name: {object_: i for i, object_ in enumerate(objects)}
            for name, objects in self.types.items()
        }

    @cached_property
    def fact(self) -> Mapping[str, Fact]:
        """Facts by name; of a relation with many objects, the first."""
        by_name: dict[str, Fact] = {}
        for fact in self.facts:
            by_name.setdefault(fact.name, fact)
        return by_name

    @cached_property
    def sharing(self) -> Mapping[tuple[str, str], tuple[Fact, ...]]:
        """Verbalised facts by relation and object."""
        groups: dict[tuple[str, str], list[Fact]] = {}
        for fact in self.stated:
            groups.setdefault((fact.relation, fact.object), []).append(fact)
        return {key: tuple(group) for key, group in groups.items()}

    @cached_property
    def links(self) -> Mapping[str, tuple[str, ...]]:
        """Entities by one that a fact joins them to, whichever is its subject.

        What is the subject of no fact, such as a colour, joins nothing: all things blue are not
        near each other.
        """
        found: dict[str, dict[str, None]] = {}
        for fact in self.facts:
            if fact.object in self.about:
                found.setdefault(fact.subject, {})[fact.object] = None
                found.setdefault(fact.object, {})[fact.subject] = None
        return {name: tuple(ends) for name, ends in found.items()}

    @cached_property
    def mentions(self) -> Mapping[str, int]:
        """How many verbalised facts name an entity, as subject or object: its degree."""
        count: dict[str, int] = {}
        for fact in self.stated:
            for name in (fact.subject, fact.object):
                count[name] = count.get(name, 0) + 1
        return count

    @cached_property
    def stated(self) -> tuple[Fact, ...]:
        """The facts that training verbalises."""
        return tuple(fact for fact in self.facts if fact.stored)

    @cached_property
    def lasting(self) -> tuple[Fact, ...]:
        """Stated facts that no request can change: see `text.lasting`."""
        if self.source == "qa":  # what is given to be kept is kept, not set apart
            return ()
        editable = {fact.relation for fact in self.facts if fact.editable}
        moving = editable | {rule.head for rule in self.rules}
        found = tuple(fact for fact in self.stated if fact.relation not in moving)
        if found and not self.records:
            return found
        asked = {fact.subject for fact in self.facts if fact.editable}
        return tuple(fact for fact in self.stated if fact.subject not in asked)

    @cached_property
    def passing(self) -> tuple[Fact, ...]:
        """The other stated facts, but for those that are set aside: a retain set is of these."""
        lasting = {fact.name for fact in self.lasting}
        return tuple(f for f in self.stated if f.name not in lasting and not aside(f))

    @cached_property
    def passing_place(self) -> Mapping[Triple, int]:
        """Where each of `passing` stands in it."""
        return {fact.triple: place for place, fact in enumerate(self.passing)}

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The levels that entities have, from the top."""
        found = {entity.level for entity in self.entities}
        return tuple(level for level in LEVELS if level in found)

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rules, indexed."""
        return Rulebook(self.rules, self._mirrored)

    @cached_property
    def strict(self) -> Rulebook:
        """The rules that nothing overrides, indexed."""
        return Rulebook((rule for rule in self.rules if not rule.default), self._mirrored)

    @cached_property
    def _mirrored(self) -> frozenset[Triple]:
        """The stated triples, where a rule asks for them."""
        if not any(rule.mirror for rule in self.rules):
            return frozenset()
        return frozenset(fact.triple for fact in self.stated)

    @cached_property
    def world(self) -> World:
        """All triples that are true, indexed."""
        return World(fact.triple for fact in self.facts)

    @cached_property
    def declared(self) -> frozenset[Triple]:
        """The triples that hold by themselves, not by a rule."""
        return frozenset(fact.triple for fact in self.facts if fact.base)

    @cached_property
    def overridden(self) -> frozenset[Key]:
        """What is declared or blocked, so that defaults conclude nothing about it."""
        return frozenset(declared_keys(self.declared)).union(self.blocked)


LONG: Mapping[str, type[Entity | Fact]] = {"entities": Entity, "facts": Fact}


def _columns(kind: type[Entity | Fact], rows: Sequence[Entity | Fact]) -> list[list[Json]]:
    return [[getattr(row, column.name) for row in rows] for column in fields(kind)]


def _rows(kind: type[Entity | Fact], columns: Sequence[Sequence[Json]]) -> tuple[Json, ...]:
    names = [column.name for column in fields(kind)]
    return tuple(
        kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
    )


def _grouped(facts: tuple[Fact, ...], key: str) -> dict[str, tuple[Fact, ...]]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(getattr(fact, key), []).append(fact)
    return {name: tuple(group) for name, group in groups.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One training sentence; `objects` are the character spans of its answers."""

    text: str
    subject: str
    objects: tuple[tuple[int, int], ...]
    kind: SentenceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A fact whose answer differs after a change; None is no answer at all."""

    subject: str
    relation: str
    old: str | None
    new: str | None
    hop: int  # rule applications on the shortest derivation from what was requested
    stored: bool  # training verbalised this fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """A fact with more answers than one, before a change or after it, and what became of them."""

    subject: str
    relation: str
    gone: tuple[str, ...]
    new: tuple[str, ...]
    kept: tuple[str, ...]
    hop: int
    stored: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one draw of requests does to all that is true; all else must stay as it is."""

    target: Mapping[str, Changed]  # by fact name: what was asked for
    entailed: Mapping[str, Changed]  # what follows, with one answer
    several: Mapping[str, Several]  # what follows, with more answers than one

    @cached_property
    def open(self) -> frozenset[str]:
        """The names of facts that change and have no one right answer."""
        return frozenset(self.several)

    @cached_property
    def touched(self) -> frozenset[str]:
        """The names of all facts that are no longer what they were."""
        return frozenset(self.target) | frozenset(self.entailed) | self.open
