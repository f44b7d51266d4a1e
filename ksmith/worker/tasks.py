"""What a worker does with each kind of node: the one place where the science meets the folder.

Each handler reads the finished assets that its spec names, writes its files into `job.folder`
and returns what goes into `Outcome.info`. Nothing else of ksmith's records is known here.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ksmith import edit, graph, probe, unlearn
from ksmith.lm import delta as deltas
from ksmith.lm.assets import Assets, Progress, Result, nobody
from ksmith.lm.score import score
from ksmith.records import Kind, Request, Statement, derived_seed
from ksmith.worker import figures, gold, hypernetwork, memory, moments, opening
from ksmith.worker.asking import by_draw, every_question, letters
from ksmith.worker.chosen import alike, hyperparameters
from ksmith.worker.descents import Descents
from ksmith.worker.inputs import inputs
from ksmith.worker.instead import instead
from ksmith.worker.job import Job
from ksmith.worker.partial import Partial
from ksmith.worker.retained import retained
from ksmith.worker.retained import told as kept_by
from ksmith.worker.sequence import Write, Writer
from ksmith.worker.trial import make_trial
from ksmith.worker.unfinished import left

CONTEXT_SENTENCES = 200  # of the graph's own text, from which methods draw their prefixes


def make_graph(job: Job) -> dict[str, Any]:
    """Build, keep and draw the knowledge graph."""
    built = graph.build(job.spec.recipe["graph"], job.spec.files)
    job.progress(1, 2, "drawing the graph")
    graph.save(built, job.folder)
    return {
        "entities": len(built.entities),
        "facts": len(built.facts),
        "stated": len(built.stated),
        "editable": sum(fact.editable for fact in built.facts),
        **built.counts,
        "rules": [graph.told(rule) for rule in built.rules],
    }


def make_model(job: Job) -> dict[str, Any]:
    """Train the model on the graph, or open the one that is named; measure and trace it."""
    return opening.make_model(job)


def make_before(job: Job) -> dict[str, Any]:
    """Ask every question of the model as it is: the rows of step 0."""
    from ksmith import measures

    base = opening.base(job)
    questions = every_question(job, base)
    answers = score(base.model, base.tokenizer, questions)
    measures.frame(questions, answers, step=0).write_parquet(job.folder / "answers.parquet")
    told: dict[str, str] = {}
    if sets := memory.asked(job, base):
        rows, _ = memory.look(job, base, base.model, sets, step=0)
        rows.write_parquet(job.folder / memory.FILE)
        if warning := memory.unended(base, rows):
            job.progress(len(sets), len(sets), warning)
            told["warning"] = warning
    return {
        "questions": len(questions),
        **told,
        "letters": letters(job, base),
        "permutation_seed": probe.permutation_seed(job.spec.recipe["seed"]),
        **inputs(job, base, questions=questions),
    }


def make_update(job: Job) -> dict[str, Any]:
    """Compute every draw's update; the model's own weights are never changed.

    Raises:
        Unfinished: it failed; draws that were finished are kept.
    """
    base = opening.base(job)
    finished: list[Result] = []
    try:
        return _update(job, base, finished)
    except Exception as error:  # whatever it is: its trials tell what was measured before it
        raise left(job, error, base.weights, finished) from error


def _update(job: Job, base: opening.Base, finished: list[Result]) -> dict[str, Any]:
    """Compute every draw's update, putting those that are there into `finished`."""
    recipe = job.spec.recipe
    draws = by_draw(graph.requests(base.graph, recipe["task"], recipe["seed"]))
    name = recipe["method"]["name"]
    hp, told = hyperparameters(job, base)
    kept = _kept(job, base, draws) if getattr(hp, "keep", "") == "relations" else {}
    descents = Descents(job, base.weights)
    learnt = instead(job, base.graph, draws, hp)
    told |= {"learnt": dict(learnt.counts)} if learnt.counts else {}
    assets = Assets(
        tokenizer=base.tokenizer,
        moments=alike(hp, base) or moments.opened(job, base.weights),
        hypernetwork=hypernetwork.opened(job, base.weights),
        layer=base.layer,
        contexts=graph.contexts(base.graph, CONTEXT_SENTENCES, recipe["seed"]),
        kl_template=graph.kl_template(base.graph),
        kept=kept,
        seed=derived_seed(recipe["seed"], "method", name),
        keeper=descents,
        instead=learnt.pairs,
        # The files of a sequence are there as soon as a draw is.
        finished=nobody if recipe["task"].get("sequence") else finished.append,
    )
    retain = retained(base.graph, hp, draws, recipe["seed"])
    method = _called(name, base.model, hp)
    more: dict[str, Any] = {}
    if recipe["task"].get("sequence"):
        logs, more = Writer(
            job=job,
            base=base,
            method=_batch_by_batch(method, job, retain),
            assets=assets,
            partial=Partial.take(job),
        ).write(draws)
    else:
        results = method(draws, retain, assets, job.progress)
        deltas.save(
            [result.delta for result in results],
            job.folder / "delta.safetensors",
            {"method": name, "base": base.weights, "update": job.spec.key},
        )
        logs = [result.log for result in results]
    if warning := _unmet(logs):
        job.progress(len(draws), len(draws), warning)
        told = {**told, "warning": warning}
    requests = [[asdict(request) for request in draw] for draw in draws]
    made = {"method": name, **told, "draws": logs, "requests": requests}
    if any(retain):
        made["retain"] = [kept_by(kept) for kept in retain]
    made |= {"kept": kept} if kept else {}
    _write_json(job, "update.json", made)
    figures.losses(_steps(logs), job.folder / "loss.png")
    return {
        "draws": len(draws),
        "requests": sum(len(draw) for draw in draws),
        **told,
        **more,
        **({"went_on_from": descents.taken_up} if descents.taken_up else {}),
        **inputs(job, base, requests=requests),
    }


def _kept(
    job: Job, base: opening.Base, draws: Sequence[Sequence[Request]]
) -> dict[str, list[str]]:
    """Return the prompts that each request is to leave as they are, by what it is written with."""
    task = job.spec.recipe["task"]
    size = task.get("batch", 1) if task.get("sequence") else task["scale"]
    batches = [draw[i : i + size] for draw in draws for i in range(0, len(draw), size)]
    return graph.kept(base.graph, batches, derived_seed(job.spec.recipe["seed"], "kept"))


# Draws, what each is to retain (for unlearners alone), surroundings, progress -> one result a draw.
Call = Callable[
    [Sequence[Sequence[Request]], Sequence[Sequence[Statement]], Assets, Progress], list[Result]
]


def _batch_by_batch(method: Call, job: Job, retain: Sequence[Sequence[Statement]]) -> Write:
    """Return what a sequence is written with."""

    def batch(draw: int, mine: Sequence[Request], given: Assets) -> Result:
        tell = _within(job, draw, mine)
        return method([mine], retain[draw : draw + 1], given, tell)[0]

    return batch


def _within(job: Job, draw: int, batch: Sequence[Request]) -> Progress:
    """Return what tells how far a batch of a sequence is, beside the facts written before it."""
    size, draws = (int(job.spec.recipe["task"][name]) for name in ("sequence", "draws"))
    written = draw * size + int(batch[0].id.rpartition(".")[2])

    def tell(done: int, total: int, text: str) -> None:
        if total > 1:
            what = f"facts written; of the next batch {done}/{total} {text}"
            job.progress(written, draws * size, what)

    return tell


def _called(name: str, model: Any, hp: Any) -> Call:
    """Return the method `name`, ready to be given draws."""
    if name in edit.EDITORS:
        return lambda draws, _, assets, tell: edit.EDITORS[name](model, draws, hp, assets, tell)

    return lambda draws, retain, assets, tell: unlearn.UNLEARNERS[name](
        model, draws, retain, hp, assets, tell
    )


def _steps(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the log of each time that the method was called for a draw."""
    return [one for log in logs for one in log.get("batches", [log])]


def _unmet(logs: Sequence[Mapping[str, Any]]) -> str:
    """Return what is to be said of draws that went on to the last step; "" where none was."""
    each = [(i, one.get("unmet")) for i, log in enumerate(logs) for one in _steps([log])]
    found = [(i, unmet) for i, unmet in each if unmet]
    if not found:
        return ""
    (_, first), draws = found[0], dict.fromkeys(str(i) for i, _ in found)
    old = [told["old"] for _, told in found if told["old"] is not None]
    last = f", whose old answers had {max(old):.3g} at most at the last" if old else ""
    return (
        f"stop_forget = {first['stop_forget']} was not met in {first['steps']} steps by draw "
        f"{', '.join(draws)}{last}"
    )


HANDLERS: dict[Kind, Callable[[Job], dict[str, Any]]] = {
    "graph": make_graph,
    "model": make_model,
    "moments": moments.make_moments,
    "hypernetwork": hypernetwork.make_hypernetwork,
    "before": make_before,
    "gold": gold.make_gold,
    "standard": gold.make_standard,
    "update": make_update,
    "trial": make_trial,
}


def _write_json(job: Job, name: str, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (job.folder / name).write_text(text, encoding="utf-8")
