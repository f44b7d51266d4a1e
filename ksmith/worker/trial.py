"""A trial: the questions put to each updated model, and every metric that follows from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ksmith import settings
from ksmith.lm import delta as deltas
from ksmith.lm import drift
from ksmith.lm.score import score
from ksmith.lm.states import States
from ksmith.records import Answer, Question, Request, derived_seed
from ksmith.worker import figures, gold, opening
from ksmith.worker.asking import by_draw, every_question, letters
from ksmith.worker.inputs import inputs
from ksmith.worker.job import Job

if TYPE_CHECKING:
    import polars as pl


@dataclass(slots=True)
class Seen:
    """What was seen of the updated models, draw by draw."""

    answers: list[Answer] = field(default_factory=list[Answer])
    tensors: list[Any] = field(default_factory=list[Any])  # rows of tensors.parquet
    inside: dict[int, States] = field(default_factory=dict[int, States])  # to compare with gold


def make_trial(job: Job) -> dict[str, Any]:
    """Ask the questions of each updated model; derive every metric from the answers."""
    import polars as pl

    from ksmith import measures

    base = opening.base(job)
    # What was known is a matter of step 0 alone.
    questions = [q for q in every_question(job, base) if q.probe != "known"]
    seen = _seen(job, base, questions)
    before = pl.read_parquet(job.need("before") / "answers.parquet")
    rows = measures.steps(before, measures.frame(questions, seen.answers, step=1))
    rows.write_parquet(job.folder / "answers.parquet")
    moved = measures.tensors(seen.tensors)
    moved.write_parquet(job.folder / "tensors.parquet")
    metrics = measures.metrics(rows, derived_seed(job.spec.recipe["seed"], "bootstrap"), moved)
    metrics += gold.measure(job, base, questions, rows, seen.inside)
    text = json.dumps([asdict(metric) for metric in metrics], ensure_ascii=False, indent=1)
    (job.folder / "metrics.json").write_text(text, encoding="utf-8")
    _draw_change(job, base, rows)
    return {
        "questions": len(questions),
        "metrics": len(metrics),
        "letters": letters(job, base),
        **inputs(job, base, questions=questions),
    }


def _seen(job: Job, base: opening.Base, questions: Sequence[Question]) -> Seen:
    updates = deltas.load_for(job.need("update") / "delta.safetensors", base.weights)
    look = _looked(job, base, questions)
    seen = Seen(tensors=list(drift.sizes(base.model, updates)))
    for draw, update in enumerate(updates):
        asked = [question for question in questions if question.draw == draw]
        held = gold.compared(asked, draw) if job.spec.recipe["task"].get("gold") else []
        with deltas.applied(base.model, update):
            seen.answers += score(base.model, base.tokenizer, asked)
            if look is not None:
                seen.tensors += drift.behaviour(base.model, look, draw)
            if held:
                seen.inside[draw] = gold.look(base.model, base, held)
        job.progress(draw + 1, len(updates), "draws asked")
    if look is not None:
        known = job.warm.setdefault("spectra", {})  # with the model, and no longer than it
        seen.tensors += drift.matrices(base.model, updates, known)
    return seen


def _looked(job: Job, base: opening.Base, questions: Sequence[Question]) -> drift.Before | None:
    """Return what was seen of the model before the updates, or None where nobody wants to know."""
    asked = {name: item.default for name, item in settings.declared(settings.Probe).items()}
    asked |= job.spec.recipe["probe"]
    if not asked["drift"]:
        return None
    seed = derived_seed(job.spec.recipe["seed"], "drift")
    chosen = drift.chosen(questions, asked["drift_facts"], seed)
    return drift.before(base.model, base.tokenizer, chosen)


def _draw_change(job: Job, base: opening.Base, rows: "pl.DataFrame") -> None:
    made = json.loads((job.need("update") / "update.json").read_text(encoding="utf-8"))
    draws = by_draw([Request(**row) for draw in made["requests"] for row in draw])
    page = figures.change(base.graph, draws, rows, made["method"])
    (job.folder / "change.html").write_text(page, encoding="utf-8")
