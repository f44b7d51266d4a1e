"""What a trial asks: its requests, its questions, and whether by letters, too."""

from collections.abc import Sequence
from itertools import groupby

from ksmith import graph, probe
from ksmith.records import Question, Request
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
