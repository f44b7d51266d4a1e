"""CounterFact as a graph: its records are what may be edited, its other prompts are facts too.

    records         (subject, relation, true object), editable; prompts are asked word for word
    neighbourhood   other subjects with the true object
    attributes      other subjects with the new object
    invented        a second fact of each subject, of another relation, so that a model that is
                    told all this must mind the relation; "Hong Kong debuted on Bravo" is what
                    `same_subject` asks, and no other probe

Records are drawn from a few relations, those whose records share most facts: 300 records are
then 1,300 genuine facts instead of 3,000, which a small model learns in half the time.
"""

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ksmith.graph.counterfact_file import CounterFactRecord, read
from ksmith.graph.draft import Draft, Key, shown
from ksmith.graph.knowledge import (
    Asked,
    Entity,
    Fact,
    KnowledgeGraph,
    Rates,
    Record,
    Relation,
)
from ksmith.graph.names import names
from ksmith.graph.prompts import Parsed, ended, fitted, slotted, templates
from ksmith.records import Json, UserError, Wording, derived_seed

RELATIONS = 5  # from so many relations, if the file has enough of each
HELD = 0.5  # of the records keep one paraphrase, and its lead sentence, out of training
RATES = Rates(lead=0.3)
STRANGERS = 40


def build(settings: Mapping[str, Json], path: Path) -> KnowledgeGraph:
    """Return the graph of `settings` (seed, records, digest) from the file at `path`.

    Raises:
        UserError: the file is not in the format, or has too few records.
    """
    seed = settings["seed"]
    rows = read(path, settings.get("digest"))
    draft = Draft(known=templates(rows))
    usable = _consistent(rows, draft)
    if settings["records"] > len(usable):
        raise UserError(
            f"graph.records = {settings['records']}: {path} has {len(usable):,} records that "
            f"don't contradict each other ({len(rows):,} in all)"
        )
    generator = random.Random(derived_seed(seed, "records"))
    chosen = _chosen(usable, settings["records"], draft, generator)
    draft = Draft(known=draft.known, counts=draft.counts)
    _genuine(chosen, draft)
    genuine = list(draft.objects)
    _invented(draft, random.Random(derived_seed(seed, "invented")))
    return _graph(settings, draft, chosen, genuine)


def _consistent(rows: Sequence[CounterFactRecord], draft: Draft) -> list[CounterFactRecord]:
    """Return the records without those whose subject has an earlier one in the same words."""
    kept: list[CounterFactRecord] = []
    for row in rows:
        rewrite = row.requested_rewrite
        if (rewrite.subject, rewrite.relation_id) not in draft.objects and draft.add(
            rewrite.subject, rewrite.relation_id, rewrite.target_true.str
        ):
            kept.append(row)
        else:
            draft.count("conflicting records")
    return kept


def _chosen(
    rows: Sequence[CounterFactRecord], count: int, draft: Draft, generator: random.Random
) -> list[CounterFactRecord]:
    """Return `count` random records of few relations, where they suffice, in the file's order.

    Relations whose records share most of their facts come first.
    """
    groups: dict[str, list[CounterFactRecord]] = {}
    for row in rows:
        groups.setdefault(row.requested_rewrite.relation_id, []).append(row)
    part = math.ceil(count / RELATIONS)
    order = sorted(
        groups,
        key=lambda name: (len(groups[name]) < part, _facts_a_record(groups[name], draft), name),
    )
    shuffled = {name: generator.sample(groups[name], len(groups[name])) for name in order}
    first = [row for name in order for row in shuffled[name][:part]]
    rest = [row for name in order for row in shuffled[name][part:]]
    taken = {row.case_id for row in [*first, *rest][:count]}
    return [row for row in rows if row.case_id in taken]


def _facts_a_record(rows: Sequence[CounterFactRecord], draft: Draft) -> float:
    known = draft.known[rows[0].requested_rewrite.relation_id]
    texts = [
        text for row in rows for text in (*row.neighborhood_prompts, *row.attribute_prompts)
    ]
    subjects = {parsed.subject for text in texts if (parsed := fitted(text, known))}
    return len(subjects) / len(rows)


def _genuine(rows: Sequence[CounterFactRecord], draft: Draft) -> None:
    """Add what the records say: what may be edited first, so that it is never left out."""
    for row in rows:
        rewrite = row.requested_rewrite
        draft.add(rewrite.subject, rewrite.relation_id, rewrite.target_true.str)
    for row in rows:
        rewrite = row.requested_rewrite
        known = draft.known[rewrite.relation_id]
        prompts = [(text, rewrite.target_true.str) for text in row.neighborhood_prompts]
        prompts += [(text, rewrite.target_new.str) for text in row.attribute_prompts]
        for text, object_ in prompts:
            parsed = fitted(text, known)
            draft.count("prompts")
            if parsed is None:
                draft.count("prompts not parsed")
            elif not draft.add(parsed.subject, rewrite.relation_id, object_):
                draft.count("prompts that contradict another")


def _invented(draft: Draft, generator: random.Random) -> None:
    """Give every subject a second fact of another relation, where the file has one."""
    pools = draft.pools()
    for subject in list(draft.relations):
        mine = draft.relations[subject]
        others = [name for name in pools if not any(draft.alike(name, own) for own in mine)]
        if others:
            relation = generator.choice(others)
            draft.add(subject, relation, generator.choice(pools[relation]))
        else:
            draft.count("subjects without an invented fact")


def _graph(
    settings: Mapping[str, Json],
    draft: Draft,
    rows: Sequence[CounterFactRecord],
    genuine: Sequence[Key],
) -> KnowledgeGraph:
    seed = settings["seed"]
    held = _held(rows, draft, random.Random(derived_seed(seed, "held")))
    exposure = random.Random(derived_seed(seed, "exposure"))
    facts = _facts(draft, rows, held, genuine, exposure)
    types = {name: dict.fromkeys(pool) for name, pool in draft.pools().items()}
    for row in rows:
        rewrite = row.requested_rewrite
        types[rewrite.relation_id][rewrite.target_new.str] = None
    strangers = names(STRANGERS, random.Random(derived_seed(seed, "strangers")))
    draft.counts["genuine facts"] = len(genuine)
    draft.counts["invented facts"] = len(facts) - len(genuine)
    return KnowledgeGraph(
        source="counterfact",
        settings=dict(settings),
        types={name: tuple(objects) for name, objects in types.items()},
        entities=tuple(Entity(name=subject, type="subject") for subject in draft.relations),
        relations=tuple(
            Relation(name=name, objects=name, templates=draft.known[name]) for name in types
        ),
        facts=tuple(facts.values()),
        leads=_leads(rows, draft, held),
        strangers=tuple(name for name in strangers if name not in draft.relations),
        rates=RATES,
        records=tuple(_record(row, draft, facts) for row in rows),
        counts=draft.counts,
    )


def _reworded(row: CounterFactRecord, draft: Draft) -> list[Parsed | None]:
    rewrite = row.requested_rewrite
    known = draft.known[rewrite.relation_id]
    return [ended(text, rewrite.subject, known) for text in row.paraphrase_prompts]


def _held(
    rows: Sequence[CounterFactRecord], draft: Draft, generator: random.Random
) -> dict[int, Parsed]:
    """Return case -> the paraphrase that training keeps out, for half of the records.

    Only one whose template the record uses nowhere else.
    """
    held: dict[int, Parsed] = {}
    for row in generator.sample(list(rows), round(HELD * len(rows))):
        parsed = [item for item in _reworded(row, draft) if item is not None]
        used = [row.requested_rewrite.prompt, *(item.template for item in parsed)]
        free = [item for item in parsed if used.count(item.template) == 1]
        if free:
            held[row.case_id] = generator.choice(free)
    return held


def _leads(
    rows: Iterable[CounterFactRecord], draft: Draft, held: Mapping[int, Parsed]
) -> tuple[str, ...]:
    """Return the lead sentences of the paraphrases, without those held out."""
    out = {parsed.lead for parsed in held.values()} | {""}
    found = [
        parsed.lead for row in rows for parsed in _reworded(row, draft) if parsed is not None
    ]
    return tuple(dict.fromkeys(lead for lead in found if lead not in out))


def _facts(
    draft: Draft,
    rows: Iterable[CounterFactRecord],
    held: Mapping[int, Parsed],
    genuine: Collection[Key],
    generator: random.Random,
) -> dict[Key, Fact]:
    """Return the facts with the templates that training shows of each."""
    must: dict[Key, set[str]] = {}
    never: dict[Key, str] = {}
    for row in rows:
        rewrite = row.requested_rewrite
        key = (rewrite.subject, rewrite.relation_id)
        out = held[row.case_id].template if row.case_id in held else None
        said = {rewrite.prompt} | {item.template for item in _reworded(row, draft) if item}
        must[key] = said - {out}
        if out is not None:
            never[key] = out
    real = set(genuine)
    return {
        key: Fact(
            subject=key[0],
            relation=key[1],
            object=object_,
            editable=key in must,
            invented=key not in real,
            wordings=shown(
                draft.known[key[1]], must.get(key, set()), never.get(key), generator
            ),
        )
        for key, object_ in draft.objects.items()
    }


def _record(row: CounterFactRecord, draft: Draft, facts: Mapping[Key, Fact]) -> Record:
    rewrite = row.requested_rewrite
    fact = facts[rewrite.subject, rewrite.relation_id]
    known = draft.known[fact.relation]
    paraphrases = [
        _asked(text, parsed, fact, known, rewrite.target_new.str)
        for text, parsed in zip(row.paraphrase_prompts, _reworded(row, draft), strict=True)
    ]
    return Record(
        case=row.case_id,
        fact=fact.name,
        template=rewrite.prompt,
        new=rewrite.target_new.str,
        paraphrases=tuple(asked for asked in paraphrases if asked),
        neighbours=_others(row.neighborhood_prompts, fact, fact.object, known, facts),
        attributes=_others(row.attribute_prompts, fact, rewrite.target_new.str, known, facts),
        generation=row.generation_prompts,
    )


def _others(
    prompts: Sequence[str],
    fact: Fact,
    object_: str,
    known: Sequence[str],
    facts: Mapping[Key, Fact],
) -> tuple[Asked, ...]:
    """Return the prompts about other subjects that have the object, word for word."""
    found: list[Asked | None] = []
    for text in prompts:
        parsed = fitted(text, known)
        other = facts.get((parsed.subject, fact.relation)) if parsed else None
        if other is not None and other.object == object_ and other != fact:
            found.append(_asked(text, parsed, other, known, object_))
    return tuple(asked for asked in found if asked)


def _asked(
    text: str, parsed: Parsed | None, fact: Fact, known: Sequence[str], object_: str
) -> Asked | None:
    """Return the prompt word for word, or None where its own `{}` makes that impossible."""
    after = parsed.template.partition("{}")[2] if parsed else None
    template = slotted(text, fact.subject, after)
    if template is None:
        return None
    wording: Wording = "novel"
    if parsed:
        wording = "seen" if known.index(parsed.template) in fact.wordings else "unseen"
    return Asked(subject=fact.subject, object=object_, template=template, wording=wording)
