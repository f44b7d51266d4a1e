"""What a worker does with each kind of node: the one place where the science meets the folder.

Each handler reads the finished assets that its spec names, writes its files into `job.folder`
and returns what goes into `Outcome.info`. Nothing else of ksmith's records is known here.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ksmith import edit, graph, settings, unlearn
from ksmith.lm import delta as deltas
from ksmith.lm.assets import Assets
from ksmith.lm.moments import load_moments, save_moments, second_moments
from ksmith.lm.score import score
from ksmith.lm.states import States
from ksmith.records import Kind, Request, derived_seed
from ksmith.worker import figures, gold, opening
from ksmith.worker.job import Job

if TYPE_CHECKING:
    import polars as pl

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
    }


def make_model(job: Job) -> dict[str, Any]:
    """Train the model on the graph, or open the one that is named; measure and trace it."""
    return opening.make_model(job)


def make_moments(job: Job) -> dict[str, Any]:
    """Measure E[k k^T] at the MLP output of every layer over the graph's own text."""
    base = opening.base(job)
    tokens = int(job.spec.recipe["moments"]["tokens"])
    sentences = graph.sentences(base.graph, derived_seed(0, "moments"))
    moments, count = second_moments(
        base.model, base.tokenizer, [s.text for s in sentences], tokens, job.progress
    )
    save_moments(moments, count, job.folder / "moments.safetensors")
    return {"tokens": count, "layers": len(moments)}


def make_before(job: Job) -> dict[str, Any]:
    """Ask every question of the model as it is: the rows of step 0."""
    from ksmith import measures

    base = opening.base(job)
    questions = gold.every_question(job, base.graph)
    answers = score(base.model, base.tokenizer, questions)
    measures.frame(questions, answers, step=0).write_parquet(job.folder / "answers.parquet")
    return {"questions": len(questions)}


def make_update(job: Job) -> dict[str, Any]:
    """Compute every draw's update; the model's own weights are never changed."""
    base = opening.base(job)
    recipe = job.spec.recipe
    draws = _draws(graph.requests(base.graph, recipe["task"], recipe["seed"]))
    values = {k: v for k, v in recipe["method"].items() if k not in {"name", "version"}}
    name = recipe["method"]["name"]
    hp: Any = settings.method(name, values)
    assets = Assets(
        tokenizer=base.tokenizer,
        moments=_moments(job),
        layer=base.layer,
        contexts=graph.contexts(base.graph, CONTEXT_SENTENCES, recipe["seed"]),
        kl_template=graph.kl_template(base.graph),
        seed=derived_seed(recipe["seed"], "method", name),
    )
    if name in edit.EDITORS:
        results = edit.EDITORS[name](base.model, draws, hp, assets, job.progress)
    else:
        retain = [
            graph.retain(base.graph, draw, hp.retain, derived_seed(recipe["seed"], "retain", i))
            for i, draw in enumerate(draws)
        ]
        results = unlearn.UNLEARNERS[name](base.model, draws, retain, hp, assets, job.progress)
    deltas.save(
        [result.delta for result in results],
        job.folder / "delta.safetensors",
        {"method": name, "base": base.weights, "update": job.spec.key},
    )
    logs = [result.log for result in results]
    requests = [[asdict(request) for request in draw] for draw in draws]
    _write_json(job, "update.json", {"method": name, "draws": logs, "requests": requests})
    figures.losses(logs, job.folder / "loss.png")
    return {"draws": len(draws), "requests": sum(len(draw) for draw in draws)}


def make_trial(job: Job) -> dict[str, Any]:
    """Ask the questions of each updated model; derive every metric from the answers."""
    import polars as pl

    from ksmith import measures

    base = opening.base(job)
    # What was known is a matter of step 0 alone.
    questions = [q for q in gold.every_question(job, base.graph) if q.probe != "known"]
    updates = deltas.load_for(job.need("update") / "delta.safetensors", base.weights)
    answers = []
    inside: dict[int, States] = {}  # of the draws that have gold models to be compared with
    for draw, update in enumerate(updates):
        asked = [question for question in questions if question.draw == draw]
        held = gold.compared(asked, draw) if job.spec.recipe["task"].get("gold") else []
        with deltas.applied(base.model, update):
            answers += score(base.model, base.tokenizer, asked)
            if held:
                inside[draw] = gold.look(base.model, base, held)
        job.progress(draw + 1, len(updates), "draws asked")
    before = pl.read_parquet(job.need("before") / "answers.parquet")
    rows = measures.steps(before, measures.frame(questions, answers, step=1))
    rows.write_parquet(job.folder / "answers.parquet")
    metrics = measures.metrics(rows, derived_seed(job.spec.recipe["seed"], "bootstrap"))
    metrics += gold.measure(job, base, questions, rows, inside)
    _write_json(job, "metrics.json", [asdict(metric) for metric in metrics])
    _tensors(base.model, updates).write_parquet(job.folder / "tensors.parquet")
    return {"questions": len(questions), "metrics": len(metrics)}


HANDLERS: dict[Kind, Callable[[Job], dict[str, Any]]] = {
    "graph": make_graph,
    "model": make_model,
    "moments": make_moments,
    "before": make_before,
    "gold": gold.make_gold,
    "standard": gold.make_standard,
    "update": make_update,
    "trial": make_trial,
}


def _draws(requests: Sequence[Request]) -> list[list[Request]]:
    return [list(group) for _, group in groupby(requests, key=lambda request: request.draw)]


def _moments(job: Job) -> Any:
    if "moments" not in job.spec.needs:
        return None
    return load_moments(job.need("moments") / "moments.safetensors")


def _tensors(model: Any, updates: Sequence[deltas.Delta]) -> "pl.DataFrame":
    """Return one row a draw and changed parameter: the change's size beside the weight's."""
    import polars as pl

    rows = [
        (draw, name, size["norm"], size["relative"])
        for draw, update in enumerate(updates)
        for name, size in deltas.norms(model, update).items()
    ]
    sizes = {"norm": pl.Float64, "relative": pl.Float64}
    schema = {"draw": pl.Int32, "parameter": pl.String, **sizes}
    return pl.DataFrame(rows, schema, orient="row")


def _write_json(job: Job, name: str, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (job.folder / name).write_text(text, encoding="utf-8")
