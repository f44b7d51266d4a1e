"""What a change entails, exactly: the closure of the changed graph against that of the graph.

Contraction before closure: a requested fact must not come back through an inverse or a rule, so
whatever would conclude it is cut first, by the preference that each rule records (`Rule.cut`);
a default is overridden instead, and stays so. Requests are never cut for one another: what they
entail by themselves is fixed, and where that undoes one of them they contradict each other.
Only what depends on the change is computed again: delete all that used a deleted fact, put back
what has another support, add what is new (Gupta, Mumick and Subrahmanian, "Maintaining views
incrementally", SIGMOD 1993).

    target    what was asked for: the old answer is gone, the new one is there
    entailed  what follows, at every hop: one answer or none before, one or none after
    several   what follows and is open: a relation with many objects, or two answers where there
              should be one
"""

import heapq
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ksmith.graph.clash import check_together
from ksmith.graph.knowledge import Change, Changed, KnowledgeGraph, Several
from ksmith.graph.rules import Blocked, Key, Triple, World
from ksmith.records import Request, UserError, fact_name


@dataclass(kw_only=True)
class Revision:
    """What happens to the declared facts so that every request holds."""

    wanted: Mapping[Key, Request]
    fixed: World  # what the requests entail by themselves
    added: tuple[Triple, ...]
    removed: dict[Triple, None] = field(default_factory=dict[Triple, None])
    blocked: dict[Key, None] = field(default_factory=dict[Key, None])  # no defaults conclude
    forbidden: dict[Triple, None] = field(default_factory=dict[Triple, None])  # must not hold
    # What must not hold -> what was cut for it, which then must not hold either.
    cuts: dict[Triple, dict[Triple, None]] = field(
        default_factory=dict[Triple, dict[Triple, None]]
    )

    @property
    def size(self) -> int:
        """How much has to give way: it only grows."""
        return len(self.removed) + len(self.blocked) + len(self.forbidden)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What is no longer true, what is newly so, and all that is true now."""

    gone: set[Triple]
    new: set[Triple]
    world: World
    blocked: Container[Key]


def entail(graph: KnowledgeGraph, requests: Sequence[Request]) -> Change:
    """Return what the requests of one draw, made together, do to every fact.

    Raises:
        UserError: requests that contradict each other, change nothing, or name no fact.
    """
    if not requests:
        return Change(target={}, entailed={}, several={})
    revision, difference = settled(graph, requests)
    near: dict[Key, int] = {}
    for triple, hop in _hops(graph, revision, difference).items():
        near[triple[:2]] = min(hop, near.get(triple[:2], hop))
    target: dict[str, Changed] = {}
    entailed: dict[str, Changed] = {}
    several: dict[str, Several] = {}
    for key in sorted(near):
        name = fact_name(*key)
        fact = graph.fact.get(name)
        stored = fact is not None and fact.stored
        if key in revision.wanted:
            target[name] = _target(revision.wanted[key], stored)
            continue
        old = graph.world.objects(key[1], key[0])
        new = difference.world.objects(key[1], key[0])
        if graph.relation[key[1]].functional and len(old) <= 1 and len(new) <= 1:
            entailed[name] = _entailed(key, old, new, near[key], stored)
        else:
            several[name] = _several(key, old, new, near[key], stored)
    assert len(target) == len(requests), "a requested fact is not among the changed ones"
    return Change(target=target, entailed=entailed, several=several)


def settled(graph: KnowledgeGraph, requests: Sequence[Request]) -> tuple[Revision, Difference]:
    """Return the revision in which every request holds, and what it does to the closure.

    Raises:
        UserError: there is none, or a request changes nothing or names no fact.
    """
    revision = _requested(graph, requests)
    while True:
        difference = revised(graph, revision)
        held = _unwanted(graph, revision, difference.world)
        if not held:
            return revision, difference
        size = revision.size
        for triple in held:
            _contract(graph, revision, difference, triple)
        assert revision.size > size, f"nothing to cut for {held[0]}"


def revised(graph: KnowledgeGraph, revision: Revision) -> Difference:
    """Return what `revision` does to all that is true."""
    rules, world = graph.rulebook, World(under=graph.world)
    suspects = dict.fromkeys(triple for triple in revision.removed if triple in world)
    for key in revision.blocked:
        if key not in graph.overridden:
            found = world.objects(key[1], key[0])
            suspects |= dict.fromkeys((*key, object_) for object_ in found)
    queue = list(suspects)
    while queue:  # all that used something deleted
        for head in rules.consequences(graph.world, queue.pop(), graph.overridden):
            if head not in suspects:
                suspects[head] = None
                queue.append(head)
    for triple in suspects:
        world.discard(triple)
    blocked = Blocked(graph.overridden, revision.blocked)
    back = [
        triple
        for triple in suspects
        if (triple in graph.declared and triple not in revision.removed)
        or any(True for _ in rules.supports(world, triple, blocked))
    ]
    rules.spread(world, back, blocked)
    new = set(rules.spread(world, revision.added, blocked))
    gone = {triple for triple in suspects if triple not in world}
    return Difference(gone=gone, new=new - suspects.keys(), world=world, blocked=blocked)


def _requested(graph: KnowledgeGraph, requests: Sequence[Request]) -> Revision:
    wanted: dict[Key, Request] = {}
    for request in requests:
        key = (request.subject, request.relation)
        if key in wanted:
            raise UserError(
                f"requests {wanted[key].id} and {request.id} of one draw change the same fact: "
                f"{request.fact}"
            )
        if (*key, request.old) not in graph.world:
            raise UserError(f"not a fact of the graph: {request.fact} = {request.old}")
        if _new(request) == request.old:
            raise UserError(f"a request that changes nothing: {request.fact} = {request.old}")
        wanted[key] = request
    olds = dict.fromkeys((*key, request.old) for key, request in wanted.items())
    return Revision(
        wanted=wanted,
        fixed=check_together(graph, wanted.values()),
        added=tuple((*key, r.new) for key, r in wanted.items() if r.kind == "edit"),
        removed=dict(olds),
        blocked=dict.fromkeys(wanted),
        forbidden=dict(olds),
    )


def _new(request: Request) -> str | None:
    """Return what must be the answer; None for none."""
    return None if request.kind == "unlearn" else request.new


def _unwanted(graph: KnowledgeGraph, revision: Revision, world: World) -> list[Triple]:
    """Return what holds and must not: what was asked to go, or stands beside a new answer."""
    for (subject, relation), request in revision.wanted.items():
        if graph.relation[relation].functional:
            for found in world.objects(relation, subject):
                if found != _new(request):
                    revision.forbidden.setdefault((subject, relation, found))
    return [triple for triple in revision.forbidden if triple in world]


def _contract(
    graph: KnowledgeGraph, revision: Revision, difference: Difference, triple: Triple
) -> None:
    """Change `revision` so that `triple` loses what now supports it."""
    if triple in graph.declared:
        revision.removed.setdefault(triple)
    for rule, body in graph.rulebook.supports(difference.world, triple, difference.blocked):
        if rule.default:
            revision.blocked.setdefault(triple[:2])
            continue
        # One is left: if all were fixed, `triple` would be, which `check_together` refuses.
        cut = next(t for t in (body[rule.cut], *body) if t not in revision.fixed)
        revision.forbidden.setdefault(cut)
        revision.cuts.setdefault(triple, {}).setdefault(cut)


def _target(request: Request, stored: bool) -> Changed:
    return Changed(
        subject=request.subject,
        relation=request.relation,
        old=request.old,
        new=_new(request),
        hop=0,
        stored=stored,
    )


def _entailed(
    key: Key, old: Sequence[str], new: Sequence[str], hop: int, stored: bool
) -> Changed:
    return Changed(
        subject=key[0],
        relation=key[1],
        old=next(iter(old), None),
        new=next(iter(new), None),
        hop=hop,
        stored=stored,
    )


def _several(
    key: Key, old: Sequence[str], new: Sequence[str], hop: int, stored: bool
) -> Several:
    before, after = set(old), set(new)
    return Several(
        subject=key[0],
        relation=key[1],
        gone=tuple(name for name in old if name not in after),
        new=tuple(name for name in new if name not in before),
        kept=tuple(name for name in old if name in after),
        hop=hop,
        stored=stored,
    )


# --- how far ----------------------------------------------------------------------------------


def _hops(
    graph: KnowledgeGraph, revision: Revision, difference: Difference
) -> dict[Triple, int]:
    """Return the changed triples, each with its distance from what was requested."""
    start = _cut_hops(revision)
    blocked = dict.fromkeys(revision.wanted, 0)
    for triple, hop in start.items():
        if triple[:2] in revision.blocked:
            blocked[triple[:2]] = min(hop, blocked.get(triple[:2], hop))
    for triple in difference.gone:
        if triple[:2] in blocked:
            start[triple] = blocked[triple[:2]]
    gone = _distances(graph, graph.world, start, difference.gone, graph.overridden)
    added = dict.fromkeys(revision.added, 0)
    new = _distances(graph, difference.world, added, difference.new, difference.blocked)
    return gone | new


def _cut_hops(revision: Revision) -> dict[Triple, int]:
    """Return what must not hold, each with the fewest cuts from what was requested."""
    cut = {triple for found in revision.cuts.values() for triple in found}
    hops = {
        triple: 0
        for triple in revision.forbidden
        if triple not in cut or triple[:2] in revision.wanted
    }
    queue = list(hops)
    for triple in queue:  # grows while it is walked
        for found in revision.cuts.get(triple, ()):
            if found not in hops:
                hops[found] = hops[triple] + 1
                queue.append(found)
    return hops


def _distances(
    graph: KnowledgeGraph,
    world: World,
    start: Mapping[Triple, int],
    changed: Iterable[Triple],
    blocked: Container[Key],
) -> dict[Triple, int]:
    """Return each of `changed` with the fewest rule applications from `start`."""
    inside = set(changed)
    best: dict[Triple, int] = {}
    queue = [(hop, triple) for triple, hop in start.items() if triple in inside]
    heapq.heapify(queue)
    while queue:
        hop, triple = heapq.heappop(queue)
        if triple in best:
            continue
        best[triple] = hop
        for head in graph.rulebook.consequences(world, triple, blocked):
            if head in inside and head not in best:
                heapq.heappush(queue, (hop + 1, head))
    return best
