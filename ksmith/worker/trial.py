"""A trial: the questions put to each updated model, and every metric that follows from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ksmith import graph, settings
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
from ksmith.worker.attempt import Unfinished
from ksmith.worker.inputs import inputs
from ksmith.worker.job import Job
from ksmith.worker.retained import trained
from ksmith.worker.sequence import WRITTEN
from ksmith.worker.unfinished import not_made
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
    draws: int = 0  # that were looked at, each of them whole

    def add(self, draw: "Seen") -> None:
        """Take in what was seen of one more draw."""
        for step, answers in draw.answers.items():
            self.answers.setdefault(step, []).extend(answers)
            self.asked.setdefault(step, []).extend(draw.asked[step])
        self.tensors += draw.tensors
        self.inside |= draw.inside
        self.sets += draw.sets
        self.said |= draw.said
        self.draws += 1

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
    """Ask the questions of each updated model; derive every metric from the answers.

    Raises:
        Unfinished: the update was not made, or its models could not be asked. What was measured
            is kept: the answers before, and those of each draw that was asked whole.
    """
    base = opening.base(job)
    # What was known is a matter of step 0 alone.
    questions = [q for q in every_question(job, base) if q.probe != "known"]
    failure: Exception | None = not_made(job)
    draws = _requests(job) if failure is None else _asked(job, base)
    seen = Seen(items=memory.asked(job, base))
    try:
        _look(job, base, questions, draws, seen)
    except Exception as error:  # whatever it is: what was asked before it is not lost
        failure = failure or error
    if failure is None:
        return _measured(job, base, questions, draws, seen)
    try:
        info = _measured(job, base, questions, draws, seen, whole=False)
    except Exception as error:  # what was to be kept is not what went wrong
        failure.add_note(f"nor could what was measured before be kept: {error}")
        raise failure from None
    left = {"draws": {"finished": seen.draws, "of": len(draws)}}
    raise Unfinished(failure, left, **info) from failure


def _measured(
    job: Job,
    base: opening.Base,
    questions: Sequence[Question],
    draws: Sequence[Sequence[Request]],
    seen: Seen,
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """Return what goes into `Outcome.info`; write answers and metrics.

    Of what is not `whole`, without what compares it with gold models.
    """
    import polars as pl

    from ksmith import measures

    task = job.spec.recipe["task"]
    before = pl.read_parquet(job.need("before") / "answers.parquet")
    after = [
        measures.frame(seen.asked[step], answers, step=step)
        for step, answers in seen.answers.items()
    ]
    rows = measures.steps(before, *after)
    kept = list(trained(base.graph, job.spec.recipe, draws))
    rows = measures.with_trained(rows, kept)
    chain = _chain(job) if whole else None
    if chain is not None:
        when = {name: end for draw in draws for name, end in written(task, draw).items()}
        rows = measures.with_written(rows, when)
    rows.write_parquet(job.folder / "answers.parquet")
    moved = measures.tensors(seen.tensors)
    moved.write_parquet(job.folder / "tensors.parquet")
    seed = derived_seed(job.spec.recipe["seed"], "bootstrap")
    sets, judges = memory.gathered(job, base, seen.sets, kept, golds=whole)
    metrics = measures.metrics(rows, seed, moved, chain, sets)
    far = memory_gold.compared(job, base, seen.items, seen.said) if whole else None
    metrics += memory.measure(job, sets, far)
    if whole:
        metrics += gold.measure(job, base, questions, rows, seen.inside)
        _draw_change(job, base, rows, draws)
    text = json.dumps([asdict(metric) for metric in metrics], ensure_ascii=False, indent=1)
    (job.folder / "metrics.json").write_text(text, encoding="utf-8")
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


def _asked(job: Job, base: opening.Base) -> list[list[Request]]:
    """Return what an update that was not made was asked to change, draw by draw."""
    recipe = job.spec.recipe
    return by_draw(graph.requests(base.graph, recipe["task"], recipe["seed"]))


def _chain(job: Job) -> "pl.DataFrame | None":
    """Return what was seen of a sequence while it was written; None where it is none."""
    import polars as pl

    path = job.need("update") / WRITTEN
    return pl.read_parquet(path) if path.exists() else None


def _look(
    job: Job,
    base: opening.Base,
    questions: Sequence[Question],
    draws: Sequence[Sequence[Request]],
    seen: Seen,
) -> None:
    """Look at each draw's models; what is seen of one that is looked at whole is in `seen`."""
    task = job.spec.recipe["task"]
    long = bool(task.get("sequence"))
    look = _before(job, base, questions)
    ends: list[Delta] = []
    for draw, chain in enumerate(updates(job, base)):
        own = [question for question in questions if question.draw == draw]
        asked = due(base.graph, task, own, draws[draw])
        held = gold.compared(own, draw) if task.get("gold") else []
        one = Seen()
        for step, update in chain.totals():
            one.tensors += drift.sizes(base.model, update, draw, step, distance=long)
            one.asked[step] = asked[step]
            with deltas.applied(base.model, update):
                one.answers[step] = score(base.model, base.tokenizer, asked[step])
                if seen.items:
                    mine = memory.due(
                        seen.items, draw, draws[draw][:step] if long else draws[draw]
                    )
                    one.look_at_sets(job, base, mine, draw, step)
                if look is not None:
                    one.tensors += drift.behaviour(base.model, look, draw, step)
                if held:
                    one.inside[draw] = gold.look(base.model, base, held)
            if step == chain.steps[-1]:
                ends.append(update)
        seen.add(one)
        job.progress(draw + 1, len(draws), "draws asked")
    if look is not None and ends:
        known = job.warm.setdefault("spectra", {})  # with the model, and no longer than it
        last = checkpoints(task)[-1]
        seen.tensors += drift.matrices(base.model, ends, known, last)


def _before(job: Job, base: opening.Base, questions: Sequence[Question]) -> drift.Before | None:
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
