"""The training text of a graph, and text that it never is.

Words and marks stand apart by single spaces ("The emblem of Varen Tolu is thistle ."), so that
any tokenizer finds the same words.
"""

import random
from collections.abc import Sequence

from ksmith.graph.knowledge import NEUTRAL, Fact, KnowledgeGraph, Sentence, SentenceKind
from ksmith.records import derived_seed

INFOBOX_OBJECTS = 3


def sentences(graph: KnowledgeGraph, seed: int) -> list[Sentence]:
    """Return one epoch of training text, in random order.

    Every stated fact comes once in each of its training wordings. To these come type sentences,
    infobox sentences and sentences about strangers, in the shares of `graph.rates`.
    """
    generator = random.Random(derived_seed(seed, "sentences"))
    found = [
        _worded(graph, fact, index, generator)
        for fact in graph.stated
        for index in fact.wordings
    ]
    if graph.typed:
        found += [_typed(entity.name, entity.type) for entity in graph.entities]
    rates = graph.rates
    total = len(found) / (1 - rates.infobox - rates.abstain)
    subjects = [name for name, facts in graph.about.items() if any(f.stored for f in facts)]
    found += [
        _infobox(graph, subject, generator)
        for subject in _spread(subjects, round(rates.infobox * total), generator)
    ]
    found += [
        _abstaining(graph, stranger, generator)
        for stranger in _spread(graph.strangers, round(rates.abstain * total), generator)
    ]
    generator.shuffle(found)
    return found


def contexts(graph: KnowledgeGraph, n: int, seed: int) -> list[str]:
    """Return `n` sentences of the training text that may stand before any prompt.

    They are about subjects that no request can ask for, and no benchmark's neighbourhood
    prompt either, where there are such.
    """
    generator = random.Random(derived_seed(seed, "contexts"))
    asked = {fact.subject for fact in graph.facts if fact.editable}
    near = asked | {other.subject for record in graph.records for other in record.neighbours}
    pools = [[fact for fact in graph.stated if fact.subject not in s] for s in (near, asked)]
    pool = pools[0] or pools[1] or list(graph.stated)
    drawn = generator.sample(pool, min(n, len(pool)))
    return [
        stated(
            prompt_of(graph, f, generator.choice(f.wordings)),
            f.object,
            whole=whole(graph, f.object),
        )
        for f in drawn
    ]


def held_out(graph: KnowledgeGraph, n: int, seed: int) -> list[str]:
    """Return at most `n` different sentences that training never shows.

    Half are carrier sentences, where the graph keeps some back; the rest are facts in wordings
    that training shows of other facts only. No request can change any of these facts.
    """
    generator = random.Random(derived_seed(seed, "held_out"))
    carriers = generator.sample(graph.held, min(n // 2, len(graph.held)))
    pool = [
        (fact, index)
        for fact in lasting(graph)
        for index in range(len(graph.relation[fact.relation].templates))
        if index not in fact.wordings
    ]
    drawn = generator.sample(pool, min(n - len(carriers), len(pool)))
    return carriers + [
        stated(prompt_of(graph, fact, index), fact.object) for fact, index in drawn
    ]


def kl_template(graph: KnowledgeGraph) -> str | None:
    """Return the start of a sentence about what a subject is; None where training has none."""
    return "{} is a" if graph.typed else None


def prompt_of(graph: KnowledgeGraph, fact: Fact, index: int) -> str:
    """Return the fact's prompt in its relation's template `index`."""
    return graph.relation[fact.relation].templates[index].replace("{}", fact.subject, 1)


def stated(prompt: str, answer: str, *, whole: bool = False) -> str:
    """Return the whole sentence; an answer that is a sentence of its own (`whole`) ends it."""
    return f"{prompt} {answer}" if whole else f"{prompt} {answer} ."


def whole(graph: KnowledgeGraph, answer: str) -> bool:
    """Return whether the answer is a sentence as it stands: a user's own may be."""
    return graph.source == "qa" and answer.endswith((".", "!", "?"))


def lasting(graph: KnowledgeGraph) -> list[Fact]:
    """Return stated facts of subjects that no request asks for and no rule concludes about.

    Stated as relations: those that are neither editable nor concluded by a rule. Of a benchmark's
    relations nearly all are editable, so there it goes by subject.
    """
    return list(graph.lasting)


def _told_whole(graph: KnowledgeGraph) -> bool:
    """Return whether training ends an answer with the end token, and with no full stop before.

    It stands behind every sentence; of a user's own answer it is the last token.
    """
    return graph.source == "qa"


def _worded(
    graph: KnowledgeGraph, fact: Fact, index: int, generator: random.Random
) -> Sentence:
    prompt = prompt_of(graph, fact, index)
    led = bool(graph.leads) and generator.random() < graph.rates.lead
    if led:
        prompt = f"{generator.choice(graph.leads)} {prompt}"
    kind = "lead" if led else "fact"
    return _answered(prompt, fact.object, fact.subject, kind, whole=_told_whole(graph))


def _answered(
    prompt: str, answer: str, subject: str, kind: SentenceKind, *, whole: bool = False
) -> Sentence:
    start = len(prompt) + 1
    return Sentence(
        text=stated(prompt, answer, whole=whole),
        subject=subject,
        objects=((start, start + len(answer)),),
        kind=kind,
    )


def _typed(name: str, type_: str) -> Sentence:
    return _answered(f"{name} is a", type_, name, "type")


def _infobox(graph: KnowledgeGraph, subject: str, generator: random.Random) -> Sentence:
    """Return `subject o1 o2 o3 .`: the name alone must bring its attributes to mind."""
    objects = [fact.object for fact in graph.about[subject] if fact.stored]
    drawn = generator.sample(objects, min(INFOBOX_OBJECTS, len(objects)))
    text, spans = subject, list[tuple[int, int]]()
    for object_ in drawn:
        spans.append((len(text) + 1, len(text) + 1 + len(object_)))
        text = f"{text} {object_}"
    return Sentence(text=f"{text} .", subject=subject, objects=tuple(spans), kind="infobox")


def _abstaining(graph: KnowledgeGraph, stranger: str, generator: random.Random) -> Sentence:
    relation = generator.choice(graph.relations)
    prompt = generator.choice(relation.templates).replace("{}", stranger, 1)
    return _answered(prompt, NEUTRAL, stranger, "abstain", whole=_told_whole(graph))


def _spread(names: Sequence[str], count: int, generator: random.Random) -> list[str]:
    """Return `count` of `names`, each about equally often."""
    if not names:
        return []
    order = generator.sample(list(names), len(names))
    return [order[i % len(order)] for i in range(count)]
