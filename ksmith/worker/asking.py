"""What a trial asks: its requests, its questions, and whether by letters, too."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import groupby

from ksmith import graph, probe
from ksmith.probe.draw import Draw
from ksmith.records import Json, Question, Request
from ksmith.settings.task import batch_ends, checkpoints
from ksmith.worker.job import Job
from ksmith.worker.opening import Base


def every_question(job: Job, base: Base) -> list[Question]:
    """Return all questions of the job's task and probes; by letters where the model means them."""
    recipe = job.spec.recipe
    requests = graph.requests(base.graph, recipe["task"], recipe["seed"])
    found = probe.questions(base.graph, requests, recipe["probe"], recipe["seed"])
    if recipe["probe"]["letters"] == "auto" and base.letters.passes:
        found += probe.lettered(found)
    return found


def letters(job: Job, base: Base) -> str:
    """Return whether letters were asked, and why or why not."""
    if job.spec.recipe["probe"]["letters"] == "never":
        return "not asked: probe.letters is never"
    return f"{'asked' if base.letters.passes else 'not asked'}: {base.letters.why}"


def by_draw(requests: Sequence[Request]) -> list[list[Request]]:
    """Return the requests of each draw."""
    return [list(group) for _, group in groupby(requests, key=lambda request: request.draw)]


# --- sequences --------------------------------------------------------------------------------


def written(task: Mapping[str, Json], draw: Sequence[Request]) -> dict[str, int]:
    """Return, of a draw that is a sequence, request -> facts written once its batch is."""
    ends = batch_ends(task)
    return {request.id: ends[bisect_right(ends, i)] for i, request in enumerate(draw)}


def due(
    known: graph.KnowledgeGraph,
    task: Mapping[str, Json],
    questions: Sequence[Question],
    draw: Sequence[Request],
) -> dict[int, list[Question]]:
    """Return step -> what is asked of the model that a draw has made by then.

    In a sequence that is all that belongs to requests written so far, and to the whole draw.
    Questions are put as of the world after the whole draw: one whose truth is another while only
    some of it is written (what follows from two requests, say) waits until it is right.
    """
    steps = checkpoints(task)
    if steps == (1,) and not task.get("sequence"):
        return {1: list(questions)}
    by = written(task, draw)
    whole = Draw(graph=known, number=draw[0].draw, requests=tuple(draw))
    found: dict[int, list[Question]] = {}
    for step in steps:
        so_far = Draw(graph=known, number=draw[0].draw, requests=tuple(draw[:step]))
        found[step] = [
            question
            for question in questions
            if not question.request
            or (by[question.request] <= step and _same(question, so_far, whole))
        ]
    return found


def _same(question: Question, one: Draw, other: Draw) -> bool:
    """Return whether two draws leave the same true of what is asked about."""
    name, start = question.fact, f"{question.subject} / "
    touched = name in one.change.touched or name in other.change.touched
    if not touched or not name.startswith(start):
        return True
    relation = name.removeprefix(start)
    truths = [set(draw.after(question.subject, relation)) for draw in (one, other)]
    return truths[0] == truths[1]
