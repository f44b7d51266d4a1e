"""Facts in words, as probes and methods ask for them."""

import random
from collections import Counter
from collections.abc import Collection, Sequence

from ksmith.graph.change import entail
from ksmith.graph.knowledge import NEUTRAL, Asked, Fact, KnowledgeGraph
from ksmith.graph.text import lasting
from ksmith.records import Request, Statement, UserError, Wording, derived_seed, fact_name


def statement(
    graph: KnowledgeGraph, subject: str, relation: str, object: str, wording: Wording = "seen"
) -> Statement:
    """Return the fact in its first template of that wording.

    A fact that training never states has no seen wording: the statement then says what it is.
    """
    templates = worded(graph, subject, relation)
    for kind in (wording, "seen", "unseen", "novel"):
        if templates[kind]:
            return Statement(
                subject=subject,
                relation=relation,
                object=object,
                template=templates[kind][0],
                wording=kind,
            )
    raise ValueError(f"relation {relation!r} has no templates")


def worded(graph: KnowledgeGraph, subject: str, relation: str) -> dict[Wording, list[str]]:
    """Return the relation's templates: seen with this very fact, with others only, or never."""
    known = graph.relation[relation]
    fact = graph.fact.get(fact_name(subject, relation))
    shown = fact.wordings if fact else ()
    return {
        "seen": [known.templates[i] for i in shown],
        "unseen": [t for i, t in enumerate(known.templates) if i not in shown],
        "novel": list(known.novel),
    }


def seen(graph: KnowledgeGraph, request: Request) -> list[Statement]:
    """Return the fact as it was, in training wordings that the request does not use."""
    record = graph.record.get(request.fact)
    used = {request.template}
    if record:
        used |= {asked.template for asked in record.paraphrases}
    return [
        Statement(
            subject=request.subject,
            relation=request.relation,
            object=request.old,
            template=template,
        )
        for template in worded(graph, request.subject, request.relation)["seen"]
        if not any(_same_words(template, other) for other in used)
    ]


def paraphrases(graph: KnowledgeGraph, request: Request) -> list[Statement]:
    """Return the fact with its new object in wordings that training never showed of it.

    A benchmark's record brings its own, word for word.
    """
    record = graph.record.get(request.fact)
    if record:
        return [_asked(asked, request.relation, request.new) for asked in record.paraphrases]
    templates = worded(graph, request.subject, request.relation)
    kinds: tuple[Wording, ...] = ("unseen", "novel")
    return [
        Statement(
            subject=request.subject,
            relation=request.relation,
            object=request.new,
            template=template,
            wording=kind,
        )
        for kind in kinds
        for template in templates[kind]
    ]


def neighbours(
    graph: KnowledgeGraph, request: Request, n: int, seed: int, exclude: Collection[str] = ()
) -> list[Statement]:
    """Return at most `n` facts of other subjects with the request's relation and old object.

    Those that training states and that the request leaves as they are. `exclude` names further
    facts, such as what the other requests of the draw touch. A relation whose objects have one
    subject each (leader) has none.
    """
    barred = {*exclude, *entail(graph, [request]).touched}
    generator = random.Random(derived_seed(seed, "neighbours", request.fact))
    record = graph.record.get(request.fact)
    if record:
        found = [_asked(asked, request.relation, asked.object) for asked in record.neighbours]
        return [s for s in found if s.fact not in barred][:n]
    facts = [
        fact
        for fact in graph.of[request.relation]
        if fact.object == request.old and fact.stored and fact.name not in barred
    ]
    return [_drawn(graph, f, generator) for f in generator.sample(facts, min(n, len(facts)))]


def same_subject(
    graph: KnowledgeGraph, request: Request, n: int, seed: int, exclude: Collection[str] = ()
) -> list[Statement]:
    """Return at most `n` other stated facts of the subject, which the request leaves alone."""
    barred = {*exclude, *entail(graph, [request]).touched, request.fact}
    generator = random.Random(derived_seed(seed, "same_subject", request.fact))
    facts = [
        fact for fact in graph.about[request.subject] if fact.stored and fact.name not in barred
    ]
    return [_drawn(graph, f, generator) for f in generator.sample(facts, min(n, len(facts)))]


def retain(
    graph: KnowledgeGraph, requests: Sequence[Request], n: int, seed: int
) -> list[Statement]:
    """Return at most `n` stated facts for a method to keep, none of which a probe asks about.

    None is touched by the change, about the subject of a request, of a request's relation with
    its old or new object, or one that held-out sentences tell.
    """
    barred = entail(graph, requests).touched | {fact.name for fact in lasting(graph)}
    subjects = {request.subject for request in requests}
    pairs = {(r.relation, object_) for r in requests for object_ in (r.old, r.new)}
    facts = [
        fact
        for fact in graph.stated
        if fact.name not in barred
        and fact.subject not in subjects
        and (fact.relation, fact.object) not in pairs
    ]
    generator = random.Random(derived_seed(seed, "retain", *(r.fact for r in requests)))
    return [_drawn(graph, f, generator) for f in generator.sample(facts, min(n, len(facts)))]


def objects(graph: KnowledgeGraph, relation: str) -> list[str]:
    """Return all objects of the relation's type."""
    return list(graph.types[graph.relation[relation].objects])


def inverse(graph: KnowledgeGraph, relation: str) -> str | None:
    """Return the relation that asks for the subject when told the object, or None."""
    for rule in graph.rules:
        if rule.body == (relation,):
            return rule.head
    return None


def neutral(graph: KnowledgeGraph, relation: str) -> str:
    """Return the answer that training gives in this relation's words about strangers."""
    if relation not in graph.relation:
        raise ValueError(f"no relation {relation!r}")
    return NEUTRAL


def prior(graph: KnowledgeGraph, relation: str, old: str) -> str:
    """Return the object that most facts of the relation have, of those other than `old`.

    What is said of a subject of which nothing is known, if something has to be said; the mode,
    for an editor writes one answer, no distribution. Of objects as common, the first by name.

    Raises:
        UserError: the relation has no other object.
    """
    counts = Counter(fact.object for fact in graph.of[relation] if fact.object != old)
    if not counts:
        raise UserError(
            f'task.neutral = "prior": {relation!r} has no object but {old!r}; use "abstain"'
        )
    return min(counts, key=lambda name: (-counts[name], name))


def _drawn(graph: KnowledgeGraph, fact: Fact, generator: random.Random) -> Statement:
    return Statement(
        subject=fact.subject,
        relation=fact.relation,
        object=fact.object,
        template=graph.relation[fact.relation].templates[generator.choice(fact.wordings)],
    )


def _asked(asked: Asked, relation: str, object_: str) -> Statement:
    return Statement(
        subject=asked.subject,
        relation=relation,
        object=object_,
        template=asked.template,
        wording=asked.wording,
    )


def _same_words(template: str, other: str) -> bool:
    """Return whether `other` is `template`, perhaps with a sentence before it."""
    return other == template or other.endswith(f" {template}")
