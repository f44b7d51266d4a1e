"""What a change entails, exactly: the closure of the changed graph against that of the graph.

Contraction before closure: a requested fact must not come back through an inverse or a rule, so
whatever would conclude it is cut first, by the preference that each rule records (`Rule.cut`);
a default is overridden instead. Only what depends on the change is computed again: delete all
that used a deleted fact, put back what has another support, add what is new (Gupta, Mumick and
Subrahmanian, "Maintaining views incrementally", SIGMOD 1993).
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ksmith.graph.knowledge import Change, Changed, KnowledgeGraph
from ksmith.graph.rules import Key, Triple, World
from ksmith.records import Request, UserError, fact_name


@dataclass(kw_only=True)
class Revision:
    """What happens to the declared facts; the numbers are hops from what was requested."""

    wanted: Mapping[Key, str | None]  # what each requested fact must answer; None: nothing
    removed: dict[Triple, int] = field(default_factory=dict[Triple, int])
    added: dict[Triple, int] = field(default_factory=dict[Triple, int])
    blocked: dict[Key, int] = field(default_factory=dict[Key, int])  # overridden: no defaults
    forbidden: dict[Triple, int] = field(default_factory=dict[Triple, int])  # must not hold


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What is no longer true, what is newly so, and all that is true now."""

    gone: set[Triple]
    new: set[Triple]
    world: World
    blocked: frozenset[Key]


def entail(graph: KnowledgeGraph, requests: Sequence[Request]) -> Change:
    """Return what the requests of one draw, made together, do to every fact.

    Raises:
        UserError: requests that contradict each other, change nothing, or name no fact.
    """
    if not requests:
        return Change(target={}, entailed={}, open=frozenset())
    revision, difference = settled(graph, requests)
    near: dict[Key, int] = {}
    for triple, hop in _hops(graph, revision, difference).items():
        near[triple[:2]] = min(hop, near.get(triple[:2], hop))
    target: dict[str, Changed] = {}
    entailed: dict[str, Changed] = {}
    opened: set[str] = set()
    for key in sorted(near):
        changed = _changed(graph, revision, difference, key, near[key])
        name = fact_name(*key)
        if changed is None:
            opened.add(name)
        else:
            (target if key in revision.wanted else entailed)[name] = changed
    assert len(target) == len(requests), "a requested fact is not among the changed ones"
    return Change(target=target, entailed=entailed, open=frozenset(opened))


def settled(graph: KnowledgeGraph, requests: Sequence[Request]) -> tuple[Revision, Difference]:
    """Return the revision in which every request holds, and what it does to the closure."""
    revision = _requested(graph, requests)
    while True:
        difference = revised(graph, revision)
        held = _unwanted(graph, revision, difference.world)
        if not held:
            return revision, difference
        for triple in held:
            _contract(graph, revision, difference, triple)


def revised(graph: KnowledgeGraph, revision: Revision) -> Difference:
    """Return what `revision` does to all that is true."""
    rules, world = graph.rulebook, World(under=graph.world)
    suspects = dict.fromkeys(triple for triple in revision.removed if triple in world)
    for subject, relation in sorted(revision.blocked.keys() - graph.overridden):
        suspects |= dict.fromkeys(
            (subject, relation, found) for found in world.objects(relation, subject)
        )
    queue = list(suspects)
    while queue:  # all that used something deleted
        for head in rules.consequences(graph.world, queue.pop(), graph.overridden):
            if head not in suspects:
                suspects[head] = None
                queue.append(head)
    for triple in suspects:
        world.discard(triple)
    blocked = graph.overridden | revision.blocked.keys()
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
    wanted: dict[Key, str | None] = {}
    revision = Revision(wanted=wanted)
    for request in requests:
        key = (request.subject, request.relation)
        new = None if request.kind == "unlearn" else request.new
        if key in wanted:
            raise UserError(f"two requests of one draw change the same fact: {request.fact}")
        if (*key, request.old) not in graph.world:
            raise UserError(f"not a fact of the graph: {request.fact} = {request.old}")
        if new == request.old:
            raise UserError(f"a request that changes nothing: {request.fact} = {new}")
        wanted[key] = new
        revision.blocked[key] = 0
        revision.removed[(*key, request.old)] = 0
        revision.forbidden[(*key, request.old)] = 0
        if new is not None:
            revision.added[(*key, new)] = 0
    return revision


def _unwanted(graph: KnowledgeGraph, revision: Revision, world: World) -> list[Triple]:
    """Return what holds and must not: what was asked to go, or stands beside a new answer."""
    for (subject, relation), answer in revision.wanted.items():
        if graph.relation[relation].functional:
            for found in world.objects(relation, subject):
                if found != answer:
                    revision.forbidden.setdefault((subject, relation, found), 0)
    return [triple for triple in revision.forbidden if triple in world]


def _contract(
    graph: KnowledgeGraph, revision: Revision, difference: Difference, triple: Triple
) -> None:
    """Change `revision` so that `triple` loses what now supports it."""
    if triple in revision.added:
        raise UserError(f"requests of one draw contradict each other: {fact_name(*triple[:2])}")
    hop = revision.forbidden[triple]
    if triple in graph.declared:
        revision.removed.setdefault(triple, hop)
    for rule, body in graph.rulebook.supports(difference.world, triple, difference.blocked):
        if rule.default:
            revision.blocked.setdefault(triple[:2], hop)
            continue
        choices = [t for t in (body[rule.cut], *body) if t not in revision.added]
        if not choices:
            raise UserError(
                "requests of one draw entail what another takes back: "
                f"{fact_name(*triple[:2])} = {triple[2]}"
            )
        revision.forbidden.setdefault(choices[0], hop + 1)


def _changed(
    graph: KnowledgeGraph, revision: Revision, difference: Difference, key: Key, hop: int
) -> Changed | None:
    """Return the fact's old and new answer; None where it has several and wasn't asked for."""
    subject, relation = key
    old = graph.world.objects(relation, subject)
    new = difference.world.objects(relation, subject)
    one = graph.relation[relation].functional and len(old) <= 1 and len(new) <= 1
    if not one and key not in revision.wanted:
        return None
    fact = graph.fact.get(fact_name(subject, relation))
    return Changed(
        subject=subject,
        relation=relation,
        old=old[0] if old else None,
        new=revision.wanted[key] if key in revision.wanted else next(iter(new), None),
        hop=hop,
        stored=fact is not None and fact.stored,
    )


def _hops(
    graph: KnowledgeGraph, revision: Revision, difference: Difference
) -> dict[Triple, int]:
    """Return the changed triples, each with its distance from what was requested."""
    overridden = {
        t: revision.blocked[t[:2]] for t in difference.gone if t[:2] in revision.blocked
    }
    start = overridden | revision.forbidden | revision.removed
    gone = _distances(graph, graph.world, start, difference.gone, graph.overridden)
    new = _distances(
        graph, difference.world, revision.added, difference.new, difference.blocked
    )
    return gone | new


def _distances(
    graph: KnowledgeGraph,
    world: World,
    start: Mapping[Triple, int],
    changed: Iterable[Triple],
    blocked: frozenset[Key],
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
