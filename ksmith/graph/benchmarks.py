"""What benchmarks ask beside a request, its paraphrases and its neighbourhood."""

from collections.abc import Collection
from dataclasses import replace

from ksmith.graph.change import entail
from ksmith.graph.knowledge import Change, KnowledgeGraph
from ksmith.graph.statements import neighbours
from ksmith.records import Request, Statement


def attributes(
    graph: KnowledgeGraph,
    request: Request,
    n: int,
    seed: int,
    exclude: Collection[str] = (),
    change: Change | None = None,
) -> list[Statement]:
    """Return at most `n` facts of other subjects with the request's relation and *new* object.

    A benchmark's record brings its own, word for word. `exclude` and `change` are as for
    `neighbours`, and none is among them either.
    """
    change = change or entail(graph, [request])
    record = graph.record.get(request.fact)
    if request.others:  # a uniform target has no one new object
        return []
    if record is None:
        turned = replace(request, old=request.new, new=request.old)
        return neighbours(graph, turned, n, seed, exclude, change)
    if record.new != request.new:  # unlearning: nobody has the neutral answer
        return []
    found = [
        Statement(
            subject=asked.subject,
            relation=asked.relation or request.relation,
            object=asked.object,
            template=asked.template,
            wording=asked.wording,
        )
        for asked in record.attributes
    ]
    return [s for s in found if s.fact not in exclude and s.fact not in change.touched][:n]


def generation_prompts(graph: KnowledgeGraph, request: Request) -> list[str]:
    """Return prompts about the request's subject for text that goes on from them.

    Those of the benchmark's record, as often as it has them; else the subject in the words of
    its relation.
    """
    record = graph.record.get(request.fact)
    if record and record.generation:
        return list(record.generation)
    templates = graph.relation[request.relation].templates
    return [template.replace("{}", request.subject, 1) for template in templates]
