"""Facts in words, as probes and methods ask for them."""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice

from ksmith.graph.chance import Chance
from ksmith.graph.change import entail
from ksmith.graph.knowledge import NEUTRAL, Asked, Change, Fact, KnowledgeGraph
from ksmith.records import Request, Statement, UserError, Wording, fact_name


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


def worded(
    graph: KnowledgeGraph, subject: str, relation: str
) -> Mapping[Wording, tuple[str, ...]]:
    """Return the relation's templates: seen with this very fact, with others only, or never."""
    fact = graph.fact.get(fact_name(subject, relation))
    return graph.worded(relation, fact.wordings if fact else ())


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


def asked_in(graph: KnowledgeGraph, request: Request) -> list[Statement]:
    """Return the fact in every wording that probes may ask in and training never showed of it."""
    own = paraphrases(graph, request)
    return own if request.fact not in graph.record else [*own, *_unshown(graph, request)]


def paraphrases(graph: KnowledgeGraph, request: Request) -> list[Statement]:
    """Return the fact with its new object in wordings that training never showed of it.

    A benchmark's record brings its own, word for word.
    """
    record = graph.record.get(request.fact)
    if record:
        return [_asked(asked, request.relation, request.new) for asked in record.paraphrases]
    return _unshown(graph, request)


def _unshown(graph: KnowledgeGraph, request: Request) -> list[Statement]:
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
    graph: KnowledgeGraph,
    request: Request,
    n: int,
    seed: int,
    exclude: Collection[str] = (),
    change: Change | None = None,
) -> list[Statement]:
    """Return at most `n` facts of other subjects with the request's relation and old object.

    Those that training states and that the request leaves as they are. `exclude` names further
    facts, such as what the other requests of the draw touch; `change` is what this request does
    by itself, where that is known. A relation whose objects have one subject each (leader) has
    none.
    """
    touched = (change or entail(graph, [request])).touched
    chance = Chance(seed, "neighbours", request.fact)
    record = graph.record.get(request.fact)
    if record:
        found = [_asked(asked, request.relation, asked.object) for asked in record.neighbours]
        return [s for s in found if s.fact not in exclude and s.fact not in touched][:n]

    def kept(fact: Fact) -> bool:
        return (name := fact.name) not in touched and name not in exclude

    facts = graph.sharing.get((request.relation, request.old), ())
    return [_drawn(graph, fact, chance) for fact in picked(facts, n, chance, kept)]


def same_subject(
    graph: KnowledgeGraph,
    request: Request,
    n: int,
    seed: int,
    exclude: Collection[str] = (),
    change: Change | None = None,
) -> list[Statement]:
    """Return at most `n` other stated facts of the subject, which the request leaves alone.

    Facts with one answer: of a father of four, no one child is right. `exclude` and `change` are
    as for `neighbours`.
    """
    touched = (change or entail(graph, [request])).touched
    chance = Chance(seed, "same_subject", request.fact)
    facts = [
        fact
        for fact in graph.about[request.subject]
        if fact.stored
        and (name := fact.name) != request.fact
        and name not in touched
        and name not in exclude
        and len(graph.world.objects(fact.relation, fact.subject)) == 1
    ]
    return [_drawn(graph, fact, chance) for fact in chance.sample(facts, n)]


def picked(
    facts: Sequence[Fact], n: int, chance: Chance, allowed: Callable[[Fact], bool]
) -> list[Fact]:
    """Return at most `n` of the facts that are allowed, each with the same chance.

    No more are looked at than it takes: there may be thousands, for every request.
    """
    return list(islice(filter(allowed, chance.order(facts)), n))


def retain(
    graph: KnowledgeGraph,
    requests: Sequence[Request],
    n: int | None,
    seed: int,
    *,
    near: bool = True,
) -> list[Statement]:
    """Return stated facts for a method to keep, in a drawn order: at most `n`, or all.

    None is touched by the change, set aside, or one that held-out sentences tell. With `near`
    false, none is about the subject of a request or of a request's relation with its old or new
    object either. Of more, the first are those of fewer.
    """
    place = graph.passing_place
    changed = list(_changed(graph, requests))
    barred = sorted(
        {
            place[fact.triple]
            for fact in (changed if near else [*changed, *_near(graph, requests)])
            if fact.triple in place
        }
    )
    left = range(len(place) - len(barred))
    # The i-th of the facts that are left comes after those of the barred that stand before it.
    steps = [index - before for before, index in enumerate(barred)]
    names = sorted(request.fact for request in requests)
    drawn = Chance(seed, "retain", *names).sample(left, len(left) if n is None else n)
    return [
        _drawn(graph, fact, Chance(seed, "retain", "wording", fact.name))
        for fact in (graph.passing[i + bisect_right(steps, i)] for i in drawn)
    ]


def _changed(graph: KnowledgeGraph, requests: Sequence[Request]) -> Iterator[Fact]:
    """Yield the facts that the requests touch; looked up, as there may be many draws."""
    change = entail(graph, requests)
    for changed in (
        *change.target.values(),
        *change.entailed.values(),
        *change.several.values(),
    ):
        about = graph.about.get(changed.subject, ())
        yield from (fact for fact in about if fact.relation == changed.relation)


def _near(graph: KnowledgeGraph, requests: Sequence[Request]) -> Iterator[Fact]:
    """Yield the facts that probes of what is near ask about."""
    for request in requests:
        yield from graph.about[request.subject]
        for object_ in (request.old, request.new):
            yield from graph.having.get((request.relation, object_), ())


def holdout(graph: KnowledgeGraph) -> list[Statement]:
    """Return the facts that are true and that no model saw, each in a wording as requests have.

    They are of the kind that requests ask for, and made as those are: what a model that was
    trained on the graph's text says of them is what it says of facts it never met.
    """
    return [
        Statement(
            subject=fact.subject,
            relation=fact.relation,
            object=fact.object,
            template=_any_wording(graph, fact),
            wording="unseen",
        )
        for fact in graph.holdout
    ]


def _any_wording(graph: KnowledgeGraph, fact: Fact) -> str:
    if record := graph.record.get(fact.name):
        return record.template
    templates = graph.relation[fact.relation].templates
    return templates[
        Chance("holdout", fact.name).choice(fact.wordings or range(len(templates)))
    ]


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


def _drawn(graph: KnowledgeGraph, fact: Fact, generator: random.Random | Chance) -> Statement:
    return Statement(
        subject=fact.subject,
        relation=fact.relation,
        object=fact.object,
        template=graph.relation[fact.relation].templates[generator.choice(fact.wordings)],
    )


def _asked(asked: Asked, relation: str, object_: str) -> Statement:
    return Statement(
        subject=asked.subject,
        relation=asked.relation or relation,
        object=object_,
        template=asked.template,
        wording=asked.wording,
    )


def _same_words(template: str, other: str) -> bool:
    """Return whether `other` is `template`, perhaps with a sentence before it."""
    return other == template or other.endswith(f" {template}")
