"""A trial: the questions put to each updated model, and every metric that follows from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ksmith import settings
from ksmith.lm import delta as deltas
from ksmith.lm import drift
from ksmith.lm.delta import Delta
from ksmith.lm.score import score
from ksmith.lm.states import States
from ksmith.probe.memory import Item
from ksmith.records import Answer, Question, Request, derived_seed
from ksmith.settings.task import checkpoints
from ksmith.worker import figures, gold, memory, memory_gold, opening
from ksmith.worker.asking import by_draw, due, every_question, letters, written
from ksmith.worker.inputs import inputs
from ksmith.worker.job import Job
from ksmith.worker.retained import trained
from ksmith.worker.sequence import WRITTEN
from ksmith.worker.updates import updates

if TYPE_CHECKING:
    import polars as pl


@dataclass(slots=True)
class Seen:
    """What was seen of the updated models, draw by draw."""

    answers: dict[int, list[Answer]] = field(default_factory=dict[int, list[Answer]])  # by step
    asked: dict[int, list[Question]] = field(default_factory=dict[int, list[Question]])
    tensors: list[Any] = field(default_factory=list[Any])  # rows of tensors.parquet
    inside: dict[int, States] = field(default_factory=dict[int, States])  # to compare with gold
    sets: list[Any] = field(default_factory=list[Any])  # rows of memory.parquet
    said: dict[int, Any] = field(default_factory=dict[int, Any])  # ... word by word
    items: list[Item] = field(default_factory=list[Item])  # of all sets

    def look_at_sets(
        self, job: Job, base: opening.Base, mine: Sequence[Item], draw: int, step: int
    ) -> None:
        """Look at what the model, which is updated now, has of some statements of a draw."""
        held = bool(job.spec.recipe["task"].get("gold"))
        keep = memory_gold.kept(base, mine) if held else ()
        rows, said = memory.look(job, base, base.model, mine, step=step, keep=keep)
        self.sets.append(rows)
        if held:
            self.said[draw] = said


def make_trial(job: Job) -> dict[str, Any]:
    """Ask the questions of each updated model; derive every metric from the answers."""
    import polars as pl

    from ksmith import measures

    base = opening.base(job)
    task = job.spec.recipe["task"]
    # What was known is a matter of step 0 alone.
    questions = [q for q in every_question(job, base) if q.probe != "known"]
    draws = _requests(job)
    seen = _seen(job, base, questions, draws)
    before = pl.read_parquet(job.need("before") / "answers.parquet")
    after = [
        measures.frame(seen.asked[step], answers, step=step)
        for step, answers in seen.answers.items()
    ]
    rows = measures.steps(before, *after)
    kept = list(trained(base.graph, job.spec.recipe, draws))
    rows = measures.with_trained(rows, kept)
    chain = _chain(job)
    if chain is not None:
        when = {name: end for draw in draws for name, end in written(task, draw).items()}
        rows = measures.with_written(rows, when)
    rows.write_parquet(job.folder / "answers.parquet")
    moved = measures.tensors(seen.tensors)
    moved.write_parquet(job.folder / "tensors.parquet")
    seed = derived_seed(job.spec.recipe["seed"], "bootstrap")
    sets, judges = memory.gathered(job, base, seen.sets, kept)
    metrics = measures.metrics(rows, seed, moved, chain, sets)
    far = memory_gold.compared(job, base, seen.items, seen.said)
    metrics += memory.measure(job, sets, far)
    metrics += gold.measure(job, base, questions, rows, seen.inside)
    text = json.dumps([asdict(metric) for metric in metrics], ensure_ascii=False, indent=1)
    (job.folder / "metrics.json").write_text(text, encoding="utf-8")
    _draw_change(job, base, rows, draws)
    return {
        "questions": len(questions),
        "metrics": len(metrics),
        "letters": letters(job, base),
        **({"judges": judges} if judges else {}),
        **inputs(job, base, questions=questions),
    }


def _requests(job: Job) -> list[list[Request]]:
    """Return what the update was asked to change, draw by draw."""
    made = json.loads((job.need("update") / "update.json").read_text(encoding="utf-8"))
    return by_draw([Request(**row) for draw in made["requests"] for row in draw])


def _chain(job: Job) -> "pl.DataFrame | None":
    """Return what was seen of a sequence while it was written; None where it is none."""
    import polars as pl

    path = job.need("update") / WRITTEN
    return pl.read_parquet(path) if path.exists() else None


def _seen(
    job: Job,
    base: opening.Base,
    questions: Sequence[Question],
    draws: Sequence[Sequence[Request]],
) -> Seen:
    task = job.spec.recipe["task"]
    long = bool(task.get("sequence"))
    look = _looked(job, base, questions)
    seen = Seen(items=memory.asked(job, base))
    ends: list[Delta] = []
    for draw, chain in enumerate(updates(job, base)):
        own = [question for question in questions if question.draw == draw]
        asked = due(base.graph, task, own, draws[draw])
        held = gold.compared(own, draw) if task.get("gold") else []
        for step, update in chain.totals():
            seen.tensors += drift.sizes(base.model, update, draw, step, distance=long)
            seen.asked.setdefault(step, []).extend(asked[step])
            with deltas.applied(base.model, update):
                found = score(base.model, base.tokenizer, asked[step])
                seen.answers.setdefault(step, []).extend(found)
                if seen.items:
                    mine = memory.due(
                        seen.items, draw, draws[draw][:step] if long else draws[draw]
                    )
                    seen.look_at_sets(job, base, mine, draw, step)
                if look is not None:
                    seen.tensors += drift.behaviour(base.model, look, draw, step)
                if held:
                    seen.inside[draw] = gold.look(base.model, base, held)
            if step == chain.steps[-1]:
                ends.append(update)
        job.progress(draw + 1, len(draws), "draws asked")
    if look is not None:
        known = job.warm.setdefault("spectra", {})  # with the model, and no longer than it
        last = checkpoints(task)[-1]
        seen.tensors += drift.matrices(base.model, ends, known, last)
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


def _draw_change(
    job: Job,
    base: opening.Base,
    rows: "pl.DataFrame",
    draws: Sequence[Sequence[Request]],
) -> None:
    page = figures.change(base.graph, draws, rows, job.spec.recipe["method"]["name"])
    (job.folder / "change.html").write_text(page, encoding="utf-8")
