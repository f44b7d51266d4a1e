"""What relearn and dpo learn in the place of old answers: the graph's words or a user's file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ksmith import corpus, graph
from ksmith.records import Request, UserError, derived_seed, file_digest
from ksmith.settings.dpo import Dpo
from ksmith.settings.relearn import ReLearn
from ksmith.worker.job import Job

Pairs = dict[str, list[tuple[str, str]]]  # request id -> (prompt, answer)
T = TypeVar("T")


def instead(
    job: Job, known: graph.KnowledgeGraph, draws: Sequence[Sequence[Request]], hp: Any
) -> graph.Learnt:
    """Return what is learnt, and counts of what there is; nothing for a method that learns none.

    What the user's file says of a fact stands in the place of what the graph's words would.
    For dpo it is all that stands here: without a file, requests name what to prefer.

    Raises:
        UserError: the file changed since the study was made, or says what is to be unlearned.
    """
    requests = [request for draw in draws for request in draw]
    if isinstance(hp, ReLearn):
        return _relearnt(job, known, requests, hp)
    if isinstance(hp, Dpo) and hp.answers is not None:
        made = _read(job, hp, lambda path: _unknowing(job, known, draws, hp, path))
        return graph.Learnt(made, {})
    return graph.Learnt({}, {})


def _relearnt(
    job: Job, known: graph.KnowledgeGraph, requests: Sequence[Request], hp: ReLearn
) -> graph.Learnt:
    pairs, counts = graph.instead(known, requests, hp.variants), dict[str, int]()
    if hp.answers is not None:

        def look(path: Path) -> graph.Learnt:
            rows = corpus.answers(path)
            return graph.given(known, requests, rows, hp.variants, scored=hp.scored)

        told = _read(job, hp, look)
        pairs, counts = pairs | told.pairs, dict(told.counts)
    if hp.completions:
        ends = graph.completions(pairs)
        counts["completions"] = sum(map(len, ends.values()))
        pairs = {request: [*own, *ends.get(request, ())] for request, own in pairs.items()}
    return graph.Learnt(pairs, counts)


def _unknowing(
    job: Job,
    known: graph.KnowledgeGraph,
    draws: Sequence[Sequence[Request]],
    hp: Dpo,
    path: Path,
) -> Pairs:
    texts, seed = corpus.texts(path), derived_seed(job.spec.recipe["seed"], "answers")
    found: Pairs = {}
    for draw in draws:
        turns = -(-hp.steps * min(hp.batch, len(draw)) // max(1, len(draw)))
        found |= graph.unknowing(known, draw, texts, turns, seed)
    return found


def _read(job: Job, hp: ReLearn | Dpo, look: Callable[[Path], T]) -> T:
    """Return what `look` makes of the user's file, which is what it was."""
    name = f"method.{job.spec.recipe['method']['name']}.answers"
    path = Path(job.spec.files[name])
    if file_digest(path) != hp.answers:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    try:
        return look(path)
    except UserError as error:
        raise UserError(f"{name} = {path}: {error}") from None
