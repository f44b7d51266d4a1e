"""zsRE as a graph: each record's question has a right answer to write in place of another.

    records     (subject, question without the subject, another answer), editable; the new object
                is the first of the record's right answers, as in ROME's and MEMIT's protocol
    others      further records of the same questions, which no request asks for
    locality    (Natural Questions' question, "natural question", its answer): the neighbourhood
    invented    a second fact of each subject, of another relation, so that a model that is told
                all this must mind the question; its object is another record's right answer;
                `same_subject` asks it, and no other probe

A relation is the question with `{}` in place of its subject; the rephrased questions of its
records are its other wordings. What a model answered before an update is not in the file: a
trained model is told `alt`, which the file has as a wrong answer, so that its edits bring the
right ones; of a model that exists it is a guess, on which token accuracies do not depend.

Records of the questions that are asked of most subjects are taken first: only there can a small
model learn what a question means from some subjects and be asked it of others.
"""

import random
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

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
from ksmith.graph.prompts import slotted
from ksmith.graph.zsre_file import ZsreRecord, read
from ksmith.records import Json, UserError, Wording, derived_seed

NATURAL = "natural question"  # the relation of what is asked about something else
QUESTION = "{}?"  # ... and its words: the question is the subject
PREFIX = "nq question: "
OTHERS = 0.3  # so many further records as a share of the records are told
HELD = 0.5  # of the records keep their rephrased question out of training
LONGEST = 56  # words and marks of a sentence; longer ones are not told: a row is 64 tokens
WORD = re.compile(r"\w+|[^\w\s]")
TRIES = 20  # draws of a second relation for a subject
STRANGERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A record that can be asked."""

    case: int  # its place in the file, from 0
    subject: str
    relation: str  # the question, with {} for the subject
    old: str
    new: str
    rephrased: str  # the other question as it is; "" for none
    reworded: str | None  # ... with {}, where the subject is in it
    near: str  # the question about something else, without its question mark; "" for none
    near_answer: str

    @property
    def key(self) -> Key:
        """Subject and relation."""
        return self.subject, self.relation

    @property
    def words(self) -> tuple[str, ...]:
        """The templates that the record brings."""
        return (self.relation,) if self.reworded is None else (self.relation, self.reworded)


def build(settings: Mapping[str, Json], path: Path) -> KnowledgeGraph:
    """Return the graph of `settings` (seed, records, prefix, digest) from the file at `path`.

    Raises:
        UserError: the file is not in the format, or has too few records.
    """
    seed = settings["seed"]
    rows = read(path, settings.get("digest"))
    counts: dict[str, int] = {}
    usable = _usable(rows, bool(settings.get("prefix")), counts)
    wanted = settings["records"]
    if wanted > len(usable):
        raise UserError(
            f"graph.records = {wanted}: {path} has {len(usable):,} records that can be asked "
            f"({len(rows):,} in all{_reasons(counts)})"
        )
    order = _dense(usable, random.Random(derived_seed(seed, "records")))
    chosen, others = order[:wanted], order[wanted : wanted + ceil(OTHERS * wanted)]
    draft = Draft(known=_templates([*chosen, *others]), counts=counts)
    for item in (*chosen, *others):
        draft.add(item.subject, item.relation, item.old)
    draft.counts["genuine facts"] = len(draft.objects)
    genuine = set(draft.objects)
    _invented(draft, chosen, random.Random(derived_seed(seed, "invented")))
    draft.counts["invented facts"] = len(draft.objects) - len(genuine)
    return _graph(settings, draft, sorted(chosen, key=lambda item: item.case), others, genuine)


def _reasons(counts: Mapping[str, int]) -> str:
    return "".join(f"; {count:,} {what}" for what, count in counts.items())


# --- records ----------------------------------------------------------------------------------


def _usable(rows: Sequence[ZsreRecord], prefix: bool, counts: dict[str, int]) -> list[Item]:
    """Return the records that can be asked; why others can't is counted."""
    found: dict[Key, Item] = {}
    for case, row in enumerate(rows):
        made = _item(case, row, prefix)
        if isinstance(made, Item) and made.key in found:
            made = "records with the question and subject of an earlier one"
        if isinstance(made, Item):
            found[made.key] = made
        else:
            counts[made] = counts.get(made, 0) + 1
    return list(found.values())


def _item(case: int, row: ZsreRecord, prefix: bool) -> Item | str:
    """Return the record, or why it can't be asked."""
    if not row.subject or row.subject not in row.src:
        return "records without their subject in the question"
    relation = _slotted(row.src, row.subject)
    if relation is None or relation.count("{}") != 1:
        return "records with a {} in the question"
    if not row.answers or not row.answers[0]:
        return "records without an answer"
    right = {answer.casefold() for answer in row.answers}
    old = [text for text in (row.alt, row.pred) if text and text.casefold() not in right]
    if not old:
        return "records without a wrong answer"
    near = row.loc if prefix else row.loc.removeprefix(PREFIX)
    return Item(
        case=case,
        subject=row.subject,
        relation=relation,
        old=old[0],
        new=row.answers[0],
        rephrased=row.rephrase,
        reworded=_reworded(row, relation),
        near=near.removesuffix("?").strip() if row.loc_ans else "",
        near_answer=row.loc_ans,
    )


def _reworded(row: ZsreRecord, relation: str) -> str | None:
    found = _slotted(row.rephrase, row.subject)
    return found if found is not None and found.count("{}") == 1 and found != relation else None


def _slotted(text: str, subject: str) -> str | None:
    """Return `slotted`, where it can be with the subject as words: "Art" is not in "Artland"."""
    words = list(re.finditer(rf"(?<!\w){re.escape(subject)}(?!\w)", text)) if subject else []
    if not words:
        return slotted(text, subject)
    start, end = words[-1].span()
    return None if "{}" in text[:start] else f"{text[:start]}{{}}{text[end:]}"


def _dense(items: Sequence[Item], generator: random.Random) -> list[Item]:
    """Return the records, those of the questions with most subjects first."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.relation, []).append(item)
    order = sorted(groups, key=lambda name: (-len(groups[name]), name))
    return [
        item for name in order for item in generator.sample(groups[name], len(groups[name]))
    ]


def _templates(items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
    """Return relation -> its templates: the question itself, then those of its rephrasings."""
    known: dict[str, dict[str, None]] = {}
    for item in items:
        known.setdefault(item.relation, {}).update(dict.fromkeys(item.words))
    return {relation: tuple(found) for relation, found in known.items()}


def _invented(draft: Draft, chosen: Sequence[Item], generator: random.Random) -> None:
    """Give every subject a second fact of another relation, where one can be drawn.

    Its object is the right answer of a record, as long as there are such that nobody has: what a
    model never said it can't be made to say by an edit of one matrix.
    """
    told = [(relation, object_) for (_, relation), object_ in draft.objects.items()]
    right = dict.fromkeys((item.relation, item.new) for item in chosen)
    known = set(told)
    unsaid = deque(pair for pair in right if pair not in known)
    generator.shuffle(unsaid)
    for subject in generator.sample(list(draft.relations), len(draft.relations)):
        mine = draft.relations[subject]
        for _ in range(TRIES):
            relation, object_ = unsaid[0] if unsaid else generator.choice(told)
            if not any(draft.alike(relation, own) for own in mine):
                draft.add(subject, relation, object_)
                if unsaid:
                    unsaid.popleft()
                break
            unsaid.rotate(-1)
        else:
            draft.count("subjects without an invented fact")
    if unsaid:
        draft.counts["right answers that nobody has"] = len(unsaid)


# --- the graph --------------------------------------------------------------------------------


def _graph(
    settings: Mapping[str, Json],
    draft: Draft,
    chosen: Sequence[Item],
    others: Sequence[Item],
    genuine: set[Key],
) -> KnowledgeGraph:
    seed = settings["seed"]
    facts = _facts(draft, chosen, others, genuine, seed)
    near = _near(draft, chosen)
    types = {name: dict.fromkeys(pool) for name, pool in draft.pools().items()}
    for item in chosen:
        types[item.relation][item.new] = None
    types[NATURAL] = dict.fromkeys(fact.object for fact in near.values())
    known = {**draft.known, NATURAL: (QUESTION,)}
    strangers = names(STRANGERS, random.Random(derived_seed(seed, "strangers")))
    told = {template for fact in facts.values() for template in _told(draft, fact)}
    return KnowledgeGraph(
        source="zsre",
        settings=dict(settings),
        types={name: tuple(objects) for name, objects in types.items() if objects},
        entities=(
            *(Entity(name=subject, type="subject") for subject in draft.relations),
            *(Entity(name=question, type="question") for question in near),
        ),
        relations=tuple(
            Relation(name=name, objects=name, templates=known[name])
            for name in types
            if types[name]
        ),
        facts=(*facts.values(), *near.values()),
        strangers=tuple(name for name in strangers if name not in draft.relations),
        rates=Rates(),
        records=tuple(_record(item, facts[item.key], draft, near, told) for item in chosen),
        counts=draft.counts,
    )


def _facts(
    draft: Draft,
    chosen: Sequence[Item],
    others: Sequence[Item],
    genuine: set[Key],
    seed: int,
) -> dict[Key, Fact]:
    """Return the facts with the templates that training shows of each."""
    held = _held(chosen, draft, random.Random(derived_seed(seed, "held")))
    exposure = random.Random(derived_seed(seed, "exposure"))
    must = {item.key: set(item.words) - {held.get(item.key)} for item in (*chosen, *others)}
    asked = {item.key for item in chosen}
    found: dict[Key, Fact] = {}
    for key, object_ in draft.objects.items():
        known = draft.known[key[1]]
        fact = Fact(
            subject=key[0],
            relation=key[1],
            object=object_,
            editable=key in asked,
            invented=key not in genuine,
            wordings=shown(known, must.get(key, set()), held.get(key), exposure),
        )
        longest = max(known, key=len).replace("{}", fact.subject, 1)
        found[key] = fact if _short(longest, object_) else _untold(fact, draft)
    return found


def _short(prompt: str, answer: str) -> bool:
    return len(WORD.findall(f"{prompt} {answer} .")) <= LONGEST


def _untold(fact: Fact, draft: Draft) -> Fact:
    draft.count("facts that are too long to be told")
    return Fact(
        subject=fact.subject,
        relation=fact.relation,
        object=fact.object,
        editable=fact.editable,
        invented=fact.invented,
    )


def _held(chosen: Sequence[Item], draft: Draft, generator: random.Random) -> dict[Key, str]:
    """Return record -> the rephrased question that training keeps out, for half of them.

    Only of questions that are told of other subjects, too: there, its words can be learnt.
    """
    subjects: dict[str, int] = {}
    for _, relation in draft.objects:
        subjects[relation] = subjects.get(relation, 0) + 1
    drawn = generator.sample(list(chosen), round(HELD * len(chosen)))
    return {
        item.key: item.reworded
        for item in drawn
        if item.reworded is not None and subjects[item.relation] > 1
    }


def _near(draft: Draft, chosen: Sequence[Item]) -> dict[str, Fact]:
    """Return the locality questions as facts, by question; the first answer counts."""
    found: dict[str, Fact] = {}
    for item in chosen:
        if item.near and item.near not in found:
            fact = Fact(
                subject=item.near, relation=NATURAL, object=item.near_answer, wordings=(0,)
            )
            told = _short(QUESTION.replace("{}", item.near, 1), item.near_answer)
            found[item.near] = fact if told else _untold(fact, draft)
    return found


def _told(draft: Draft, fact: Fact) -> Iterable[str]:
    return (draft.known[fact.relation][place] for place in fact.wordings)


def _record(
    item: Item, fact: Fact, draft: Draft, near: Mapping[str, Fact], told: set[str]
) -> Record:
    other = near.get(item.near)
    neighbours: list[Asked] = []
    if other is None:
        draft.count("records without a locality question")
    elif other.object != item.near_answer:
        draft.count("locality questions that contradict another")
    else:
        wording: Wording = "seen" if other.stored else "novel"
        neighbours.append(
            Asked(
                subject=other.subject,
                object=other.object,
                template=QUESTION,
                wording=wording,
                relation=NATURAL,
            )
        )
    paraphrases = _paraphrases(item, set(_told(draft, fact)), told)
    if not paraphrases:
        draft.count("records without a rephrased question")
    return Record(
        case=item.case,
        fact=fact.name,
        template=item.relation,
        new=item.new,
        paraphrases=paraphrases,
        neighbours=tuple(neighbours),
    )


def _paraphrases(item: Item, mine: set[str], told: set[str]) -> tuple[Asked, ...]:
    """Return the rephrased question word for word, also one that does not name the subject."""
    template = _slotted(item.rephrased, item.subject)
    if template is None and "{}" not in item.rephrased:
        template = item.rephrased
    if not template:
        return ()
    wording: Wording = "novel"
    if template in told:
        wording = "seen" if template in mine else "unseen"
    return (Asked(subject=item.subject, object=item.new, template=template, wording=wording),)
