"""Which facts a trial changes, and to what."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ksmith.graph.chance import Chance
from ksmith.graph.change import entail
from ksmith.graph.forget import PLURAL, Set, children, editable, ordered, part, sets
from ksmith.graph.instead import names
from ksmith.graph.knowledge import NEUTRAL, Fact, KnowledgeGraph
from ksmith.graph.statements import inverse, neutral, objects, prior
from ksmith.records import Json, Request, TaskKind, UserError, derived_seed

TARGETS = 24  # objects of a uniform target, at most: as many as a probe ranks answers among
NAMED = 12  # relations in a message
SHUFFLED = 1000  # of the free objects, at least so many: all of them, draw by draw, is slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What `task` says about requests."""

    kind: TaskKind
    level: str | None
    scale: int
    draws: int
    neutral: str = "abstain"
    sequence: bool = False  # `scale` facts, batch after batch
    forget: str = "facts"  # what `scale` counts
    relation: str | None = None
    share: float | None = None  # of all that there are, instead of `scale`

    @classmethod
    def of(cls, task: Mapping[str, Json]) -> "Asking":
        """Return the part of `task` that requests depend on: not the method."""
        level = task.get("level")
        return cls(
            kind=task["kind"],
            level=None if level in (None, "any") else level,
            scale=task.get("sequence") or task["scale"],  # a sequence is of as many facts
            draws=task["draws"],
            neutral=task.get("neutral", "abstain"),
            sequence=bool(task.get("sequence")),
            forget=task.get("forget", "facts"),
            relation=task.get("relation"),
            share=task.get("share"),
        )

    @property
    def stream(self) -> tuple[str | int, ...]:
        """What names the generator of the requests.

        Shares of one kind have one order: the first draw of 5 % is part of that of 20 %.
        """
        names = (self.level or "any", "share" if self.share is not None else self.scale)
        more = (self.forget, self.relation or "")
        return names if more == ("facts", "") else (*names, *more)


def requests(
    graph: KnowledgeGraph, task: Mapping[str, Json], seed: int, *, covariates: bool = True
) -> list[Request]:
    """Return `draws` disjoint draws, one after another.

    Each is of `scale` facts, or of `scale` entities, branches or relations with all facts of
    theirs that can be asked for, or of a share of them. They depend on the graph, what is drawn
    of it and the seed alone: every method, and both kinds of task, get the same facts. Questions
    do without covariates, which take the longest.

    Raises:
        UserError: fewer of them than asked for, a level or relation that the graph doesn't
            have, no hierarchy that has branches, a uniform target among one object, or an
            abstaining one of a fact that has this answer already.
    """
    asking = Asking.of(task)
    there = _available(graph, asking)
    generator = random.Random(derived_seed(seed, "requests", *asking.stream))
    order = ordered(there, generator)
    free = _free_objects(graph, {fact.relation for one in there for fact in one})
    found: list[Request] = []
    for draw, chosen in enumerate(_divided(order, asking)):
        new = _exclusive_objects(free, chosen, generator)
        drawn = _draw(graph, asking, draw, chosen, new, generator)
        if asking.kind == "unlearn":
            drawn = [replace(r, **_neutral(graph, asking, r, seed)) for r in drawn]
        if covariates:
            share = len(chosen) / len(graph.stated)
            both = zip(chosen, drawn, strict=True)
            drawn = [replace(r, covariates=_covariates(graph, f, r, share)) for f, r in both]
        found += drawn
    return found


def check(graph: KnowledgeGraph, task: Mapping[str, Json]) -> None:
    """Do nothing where there are facts enough for `task`.

    Raises:
        UserError: as `requests` would.
    """
    _available(graph, Asking.of(task))


def nothing_left(draw: Sequence[Request]) -> str:
    """Return that a draw leaves no fact for a method to keep."""
    return (
        f"draw {draw[0].draw} of {len(draw)} facts leaves none that may be trained on, so the "
        "retain set is empty: lower task.share or task.scale, or set the method's retain_weight "
        "to 0"
    )


def drawn_of(graph: KnowledgeGraph, task: Mapping[str, Json]) -> tuple[int, int, str]:
    """Return how many sets a draw of `task` has, of how many, and what they are called."""
    asking = Asking.of(task)
    there = len(sets(graph, asking.forget, asking.level, asking.relation))
    size = asking.scale if asking.share is None else part(asking.share, there)
    return size, there, editable(asking.forget, there)


def _divided(order: Sequence[Set], asking: Asking) -> Iterator[Sequence[Fact]]:
    """Yield the facts of each draw.

    A sequence is of so many facts, whole sets one after another but for the last: its other
    facts are the first of the next draw.
    """
    if asking.sequence:
        order = [(fact,) for one in order for fact in one]
    size = asking.scale if asking.share is None else part(asking.share, len(order))
    for start in range(0, asking.draws * size, size):
        yield [fact for one in order[start : start + size] for fact in one]


def _available(graph: KnowledgeGraph, asking: Asking) -> list[Set]:
    """Return what there is to draw from."""
    _check_named(graph, asking)
    there = sets(graph, asking.forget, asking.level, asking.relation)
    if asking.kind == "unlearn":
        _check_objects(graph, asking.neutral, {f.relation for one in there for f in one})
        _check_abstaining(graph, asking.neutral, there)
    if asking.kind == "edit":
        _check_answers(graph, there)
    kind = "facts" if asking.sequence else asking.forget
    has = sum(map(len, there)) if asking.sequence else len(there)
    size = asking.scale if asking.share is None else part(asking.share, has)
    if asking.draws * size > has:
        raise UserError(_too_few(graph, asking, kind, size, has))
    return there


def _too_few(graph: KnowledgeGraph, asking: Asking, kind: str, size: int, has: int) -> str:
    of = f" of {asking.relation!r}" if asking.relation is not None else ""
    where = f" at level {asking.level!r}" if asking.level else ""
    name = "sequence" if asking.sequence else "scale" if asking.share is None else "share"
    sizes = [name for name in ("records", "facts") if name in graph.settings]
    more = f", or raise graph.{sizes[0]}" if sizes else ""
    return (
        f"too few {PLURAL[kind]}: {asking.draws} draws of {size} need {asking.draws * size} "
        f"different ones, and the graph has {has} {editable(kind, has)}{of}{where}; lower "
        f"task.draws or task.{name}{more}"
    )


def _check_named(graph: KnowledgeGraph, asking: Asking) -> None:
    """Do nothing where the graph has the level and the relation, and branches where asked."""
    if graph.source == "qa" and asking.forget != "facts":
        raise UserError(
            f'task.forget = "{asking.forget}": questions and answers are drawn one by one; use '
            '"facts"'
        )
    if asking.level is not None and asking.level not in graph.levels:
        there = f"it has {', '.join(graph.levels)}" if graph.levels else "it has no levels"
        raise UserError(
            f"task.level = {asking.level!r}: not a level of the graph source "
            f"{graph.source!r}; {there}"
        )
    editable = dict.fromkeys(fact.relation for fact in graph.facts if fact.editable)
    if asking.relation is not None and asking.relation not in editable:
        raise UserError(
            f"task.relation = {asking.relation!r}: no relation whose facts can be asked for; "
            f"there are {_some(editable)}"
        )
    if asking.forget == "branch" and not children(graph):
        raise UserError(
            f'task.forget = "branch": the graph source {graph.source!r} has no hierarchy here; '
            'use "entity"'
        )


def _some(names: Iterable[str]) -> str:
    """Return the names, of many the first."""
    every = list(names)
    more = len(every) - NAMED
    return ", ".join(every[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_objects(graph: KnowledgeGraph, target: str, relations: Iterable[str]) -> None:
    """Do nothing where there are objects enough for the neutral target."""
    for relation in sorted(relations) if target != "abstain" else ():
        said = [fact.object for fact in graph.of[relation]]
        there = objects(graph, relation) if target == "uniform" else said
        if len(set(there)) == 1:
            raise UserError(
                f'task.neutral = "{target}": {relation!r} has no object but {there[0]!r}; '
                'use "abstain"'
            )


def _check_abstaining(graph: KnowledgeGraph, target: str, there: Iterable[Set]) -> None:
    """Do nothing where no fact has the abstaining answer already: it could not be forgotten."""
    for fact in (fact for one in there for fact in one) if target == "abstain" else ():
        if NEUTRAL in names(graph, fact.object):
            raise UserError(
                f'task.neutral = "abstain": the answer of {fact.name!r} is {fact.object!r} as it '
                f'is, and would be learnt in its own place; use "prior" or "uniform", or leave '
                "the fact out"
            )


def _check_answers(graph: KnowledgeGraph, there: Iterable[Set]) -> None:
    for fact in (fact for one in there for fact in one):
        if (record := graph.record.get(fact.name)) and not record.new:
            raise UserError(f"no other answer for {fact.subject!r}: all answers are the same")


def _draw(
    graph: KnowledgeGraph,
    asking: Asking,
    draw: int,
    facts: Sequence[Fact],
    exclusive: Mapping[str, str],
    generator: random.Random,
) -> list[Request]:
    found: list[Request] = []
    for number, fact in enumerate(facts):
        record = graph.record.get(fact.name)
        template, new = (record.template, record.new) if record else ("", "")
        if not record:
            templates = graph.relation[fact.relation].templates
            template = templates[generator.choice(fact.wordings)]
            new = exclusive.get(fact.name) or _new_object(graph, fact, generator)
        request = Request(
            id=f"{draw}.{number}",
            draw=draw,
            kind=asking.kind,
            subject=fact.subject,
            relation=fact.relation,
            old=fact.object,
            new=new,
            template=template,
            level=graph.entity[fact.subject].level,
        )
        found.append(request)
    return found


def _neutral(
    graph: KnowledgeGraph, asking: Asking, request: Request, seed: int
) -> dict[str, Json]:
    """Return what the fact should answer when it is unlearned: `new`, and `others`."""
    if asking.neutral == "uniform":
        new, *others = _alike(graph, request, seed)
        return {"new": new, "others": tuple(others)}
    if asking.neutral == "prior":
        return {"new": prior(graph, request.relation, request.old)}
    return {"new": neutral(graph, request.relation)}


def _alike(graph: KnowledgeGraph, request: Request, seed: int) -> list[str]:
    """Return the objects of a uniform target: all of the type, or `TARGETS` drawn ones.

    The old one is among them, never the first: who answers it less often than the rest still
    tells what was unlearned.
    """
    rest = [name for name in objects(graph, request.relation) if name != request.old]
    chance = Chance(seed, "uniform", request.fact)
    return [*chance.sample(rest, TARGETS - 1), request.old]


def _new_object(graph: KnowledgeGraph, fact: Fact, generator: random.Random) -> str:
    """Return another object of the same type, each with the same chance."""
    kind = graph.relation[fact.relation].objects
    pool, place = graph.types[kind], graph.place[kind]
    barred = sorted({place[name] for name in (fact.object, fact.subject) if name in place})
    if len(pool) == len(barred):
        raise UserError(f"no other object for {fact.name}: {fact.object} is the only one")
    chosen = generator.choice(range(len(pool) - len(barred)))
    for index in barred:  # step over those, without copying a pool of thousands
        chosen += chosen >= index
    return pool[chosen]


def _free_objects(graph: KnowledgeGraph, relations: Iterable[str]) -> dict[str, list[str]]:
    """Return, for relations whose objects can have one subject only, those that have none."""
    found: dict[str, list[str]] = {}
    for relation in sorted(relations):
        back = inverse(graph, relation)
        if back is not None and graph.relation[back].functional:
            out = {
                fact.object for fact in graph.holdout
            }  # who leads a place that none is told of
            free = [
                name
                for name in objects(graph, relation)
                if not graph.world.objects(back, name) and name not in out
            ]
            found[relation] = free
    return found


def _exclusive_objects(
    free: Mapping[str, Sequence[str]], facts: Sequence[Fact], generator: random.Random
) -> dict[str, str]:
    """Return a new object for each fact whose object can have one subject only.

    A person leads one place. The new one leads none (the reserve), so that no other place loses
    its leader unasked; when the reserve is used up, those whom the draw removes come next.
    """
    found: dict[str, str] = {}
    for relation in sorted({fact.relation for fact in facts} & free.keys()):
        if not free[relation]:  # a user's own graph keeps no reserve: then any object will do
            continue
        group = [fact for fact in facts if fact.relation == relation]
        few = min(len(free[relation]), max(len(group), SHUFFLED))
        pool = generator.sample(free[relation], few) + [fact.object for fact in group]
        found |= {fact.name: new for fact, new in zip(group, pool, strict=False)}
    return found


def _covariates(
    graph: KnowledgeGraph, fact: Fact, request: Request, share: float
) -> dict[str, float]:
    """Return what a level may be confounded with, by name.

    exposure: wordings trained; fan_out: facts that this request alone entails; open: those of
    them with several answers; degree: stated facts that name the subject; candidates: objects
    of the type; sharing: other subjects with the old object; share: of the stated facts, how
    many the draw changes.
    """
    alone = entail(graph, [request])
    return {
        "depth": graph.entity[fact.subject].depth,
        "exposure": len(fact.wordings),
        "fan_out": len(alone.entailed),
        "open": len(alone.open),
        "degree": graph.mentions[fact.subject],
        "candidates": len(graph.types[graph.relation[fact.relation].objects]),
        "sharing": len(graph.world.subjects(fact.relation, fact.object)) - 1,
        "share": share,
    }
