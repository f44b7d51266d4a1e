"""What relearn learns in the place of old answers: from the graph's words or a user's file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ksmith import corpus, graph
from ksmith.records import Request, UserError, file_digest
from ksmith.settings.relearn import ReLearn
from ksmith.worker.job import Job


def instead(
    job: Job, known: graph.KnowledgeGraph, draws: Sequence[Sequence[Request]], hp: Any
) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return request id -> (prompt, answer); nothing for a method that learns none.

    What the user's file says of a fact stands in the place of what the graph's words would.

    Raises:
        UserError: the file changed since the study was made, or says what is to be unlearned.
    """
    if not isinstance(hp, ReLearn):
        return {}
    requests = [request for draw in draws for request in draw]
    made = graph.instead(known, requests, hp.variants)
    if hp.answers is None:
        return made
    path = Path(job.spec.files["method.relearn.answers"])
    if file_digest(path) != hp.answers:
        raise UserError(f"{path}: changed since the study was made (its digest is another)")
    try:
        return made | graph.given(known, requests, corpus.answers(path))
    except UserError as error:
        raise UserError(f"method.relearn.answers = {path}: {error}") from None
