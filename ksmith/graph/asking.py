"""Which facts a trial changes, and to what."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ksmith.graph.chance import Chance
from ksmith.graph.change import entail
from ksmith.graph.knowledge import Fact, KnowledgeGraph
from ksmith.graph.statements import inverse, neutral, objects, prior
from ksmith.records import Json, Request, TaskKind, UserError, derived_seed

TARGETS = 24  # objects of a uniform target, at most: as many as a probe ranks answers among
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
        )


def requests(
    graph: KnowledgeGraph, task: Mapping[str, Json], seed: int, *, covariates: bool = True
) -> list[Request]:
    """Return `draws` disjoint draws of `scale` requests each, one after another.

    They depend on the graph, the level, the scale and the seed alone: every method, and both
    kinds of task, get the same facts. Questions do without covariates, which take the longest.

    Raises:
        UserError: fewer editable facts than asked for, a level that the graph doesn't have, or
            a uniform target among one object.
    """
    asking = Asking.of(task)
    facts = _available(graph, asking)
    generator = random.Random(
        derived_seed(seed, "requests", asking.level or "any", asking.scale)
    )
    order = generator.sample(facts, len(facts))
    free = _free_objects(graph, {fact.relation for fact in facts})
    found: list[Request] = []
    for draw in range(asking.draws):
        chosen = order[draw * asking.scale : (draw + 1) * asking.scale]
        new = _exclusive_objects(free, chosen, generator)
        drawn = _draw(graph, asking, draw, chosen, new, generator)
        if asking.kind == "unlearn":
            drawn = [replace(r, **_neutral(graph, asking, r, seed)) for r in drawn]
        if covariates:
            both = zip(chosen, drawn, strict=True)
            drawn = [replace(r, covariates=_covariates(graph, f, r, asking)) for f, r in both]
        found += drawn
    return found


def check(graph: KnowledgeGraph, task: Mapping[str, Json]) -> None:
    """Do nothing where there are facts enough for `task`.

    Raises:
        UserError: as `requests` would.
    """
    _available(graph, Asking.of(task))


def _available(graph: KnowledgeGraph, asking: Asking) -> list[Fact]:
    if asking.level is not None and asking.level not in graph.levels:
        there = f"it has {', '.join(graph.levels)}" if graph.levels else "it has no levels"
        raise UserError(
            f"task.level = {asking.level!r}: not a level of the graph source "
            f"{graph.source!r}; {there}"
        )
    level = asking.level
    facts = [
        fact
        for fact in graph.facts
        if fact.editable and (level is None or graph.entity[fact.subject].level == level)
    ]
    if asking.kind == "unlearn" and asking.neutral == "uniform":
        _check_types(graph, {fact.relation for fact in facts})
    needed = asking.draws * asking.scale
    if needed > len(facts):
        where = f" at level {level!r}" if level else ""
        more = "graph.records" if graph.records else "graph.facts"
        size = "task.sequence" if asking.sequence else "task.scale"
        raise UserError(
            f"too few facts: {asking.draws} draws of {asking.scale} need {needed} different "
            f"ones, and the graph has {len(facts)} editable facts{where}; lower task.draws or "
            f"{size}, or raise {more}"
        )
    return facts


def _check_types(graph: KnowledgeGraph, relations: Iterable[str]) -> None:
    for relation in sorted(relations):
        (only, *more) = objects(graph, relation)
        if not more:
            raise UserError(
                f'task.neutral = "uniform": {relation!r} has no object but {only!r}; '
                'use "abstain"'
            )


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
            free = [o for o in objects(graph, relation) if not graph.world.objects(back, o)]
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
    graph: KnowledgeGraph, fact: Fact, request: Request, asking: Asking
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
        "share": asking.scale / len(graph.stated),
    }
