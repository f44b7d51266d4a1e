"""Whether the requests of one draw can all hold, and if not, which cannot and why.

Everything else can give way: declared facts can be removed and defaults overridden. So requests
contradict each other exactly where what they entail by themselves, by the rules that nothing
overrides, brings back an old answer, or puts a second one beside a new one.
"""

from collections.abc import Iterable

from ksmith.graph.knowledge import KnowledgeGraph
from ksmith.graph.rules import Triple, World
from ksmith.records import Request, UserError, fact_name


def check_together(graph: KnowledgeGraph, requests: Iterable[Request]) -> World:
    """Return what the requests, which are of different facts, entail by themselves.

    Raises:
        UserError: they contradict each other.
    """
    wanted = list(requests)
    added = {
        (request.subject, request.relation, request.new): request
        for request in wanted
        if request.kind == "edit"
    }
    fixed = World()
    order = {triple: i for i, triple in enumerate(graph.strict.spread(fixed, added, ()))}
    for request in wanted:
        for found in fixed.objects(request.relation, request.subject):
            triple = (request.subject, request.relation, found)
            beside = graph.relation[request.relation].functional and triple not in added
            if found == request.old or beside:
                by = [added[source] for source in _sources(graph, fixed, order, added, triple)]
                raise UserError(_contradiction(request, by, triple))
    return fixed


def _sources(
    graph: KnowledgeGraph,
    fixed: World,
    order: dict[Triple, int],
    added: dict[Triple, Request],
    triple: Triple,
) -> list[Triple]:
    """Return those of `added` that `triple` was first derived from."""
    found: dict[Triple, None] = {}
    queue = [triple]
    for derived in queue:  # grows while it is walked
        if derived in added:
            found[derived] = None
            continue
        first = next(
            body
            for _, body in graph.strict.supports(fixed, derived, ())
            if all(order[used] < order[derived] for used in body)
        )
        queue += [used for used in first if used not in queue]
    return list(found)


def _contradiction(request: Request, by: Iterable[Request], triple: Triple) -> str:
    """Return which requests cannot hold together, and why."""
    causes = list(by)
    ids = list(dict.fromkeys(r.id for r in (request, *causes)))
    who = (
        f"requests {', '.join(ids[:-1])} and {ids[-1]} of one draw contradict each other"
        if len(ids) > 1
        else f"request {ids[0]} contradicts itself"
    )
    said = " and ".join(f"{r.fact} = {r.new}" for r in causes)
    asked = "no answer" if request.kind == "unlearn" else f"{request.new} instead"
    entailed = f"{fact_name(*triple[:2])} = {triple[2]}"
    return f"{who}: {said} entails {entailed}, and {request.id} asks for {asked}"
