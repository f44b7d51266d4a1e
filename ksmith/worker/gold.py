"""Gold models: trained on the graph after a draw's change, asked what a trial asks, compared with.

A gold model is trained by the recipe of the model under study with another seed, and with its
tokenizer, so that their answers can be compared token by token. What it says to a trial's
questions (its standard) is asked once for all methods.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith import graph
from ksmith.lm.load import load
from ksmith.lm.score import score
from ksmith.lm.states import States, load_states, save_states, states
from ksmith.records import Metric, Question, Request, derived_seed
from ksmith.worker import gold_given, memory, memory_gold, opening
from ksmith.worker.asking import every_question
from ksmith.worker.job import Job

if TYPE_CHECKING:
    import polars as pl

    from ksmith.measures.gold import View

LOOKED = 1024  # questions of a draw at whose end a model is looked into, at most


def make_gold(job: Job) -> dict[str, Any]:
    """Train a gold model of one draw; write what its text says otherwise, and its recall."""
    base = opening.base(job)
    recipe = job.spec.recipe
    if "digest" in recipe["gold"]:
        return gold_given.make(job, base)
    requests = _requests(base.graph, recipe, recipe["gold"]["draw"])
    changed = graph.after(base.graph, requests)
    seed = derived_seed(int(recipe["model"]["seed"]), "gold", recipe["gold"]["number"])
    model, _ = opening.trained(job, changed, recipe["model"], seed, base.tokenizer)
    metrics = opening.recall(changed, model, base.tokenizer, seed=0)
    _write(job.folder / "metrics.json", [asdict(metric) for metric in metrics])
    before, now = set(base.graph.stated), set(changed.stated)
    _write(
        job.folder / "changes.json",
        {
            "requests": [asdict(request) for request in requests],
            "gone": [asdict(fact) for fact in base.graph.stated if fact not in now],
            "new": [asdict(fact) for fact in changed.stated if fact not in before],
        },
    )
    told = {metric.name: metric.value for metric in metrics}
    return {"requests": len(requests), "stated": len(changed.stated), "seed": seed, **told}


def make_standard(job: Job) -> dict[str, Any]:
    """Ask a gold model the questions of its draw, and look into it where they end."""
    from ksmith import measures

    base = opening.base(job)
    folder = job.need("gold")
    draw = job.spec.recipe["standard"]["draw"]
    asked = compared(every_question(job, base), draw)
    model = gold_given.given(job, base)
    if model is None:
        _check_requests(folder, _requests(base.graph, job.spec.recipe, draw))
        model, _ = load(folder / "model", device=job.device)
    answers = score(model, base.tokenizer, asked)
    measures.frame(asked, answers, step=1).write_parquet(job.folder / "answers.parquet")
    if sets := [item for item in memory.asked(job, base) if item.draw == draw]:
        keep = memory_gold.kept(base, sets)
        rows, said = memory.look(job, base, model, sets, step=None, keep=keep)
        rows.write_parquet(job.folder / memory.FILE)
        memory_gold.save(said, job.folder)
    if asked:
        save_states(look(model, base, asked), job.folder / "states.safetensors")
    return {"questions": len(asked)}


def compared(questions: Sequence[Question], draw: int) -> list[Question]:
    """Return the questions of a draw that gold models are compared by, in order."""
    from ksmith.measures.gold import LEFT_OUT

    return [q for q in questions if q.draw == draw and q.probe not in LEFT_OUT]


def look(model: Any, base: opening.Base, asked: Sequence[Question]) -> States:
    """Return what `model` holds inside where the questions (LOOKED of them) end."""
    return states(model, base.tokenizer, [asked[i].prompt for i in _looked(len(asked))])


def measure(
    job: Job,
    base: opening.Base,
    questions: Sequence[Question],
    rows: "pl.DataFrame",
    after: Mapping[int, States],
) -> list[Metric]:
    """Return the metrics of a trial about its gold models; write the tables behind them.

    Args:
        job: the trial.
        base: the model before the update.
        questions: of the trial.
        rows: all its answers, before and after.
        after: draw -> what the updated model holds inside, by `look`.
    """
    from ksmith.measures import gold, gold_layers, gold_metrics
    from ksmith.measures.gold_resampled import Resampled

    golds = int(job.spec.recipe["task"].get("gold", 0))
    seed = derived_seed(job.spec.recipe["seed"], "bootstrap")
    draws: list[tuple[View, View, list[View]]] = []
    for draw, inside in after.items():
        asked = compared(questions, draw)
        before = _view(_of(rows, asked, 0), look(base.model, base, asked))
        folders = [job.need(f"standard.{draw}.{number}") for number in range(golds)]
        draws.append((before, _view(_of(rows, asked, 1), inside), [_read(f) for f in folders]))
    if not draws:
        return []
    found = gold.compare(rows, draws)
    drawn = Resampled.of(found.questions, golds, seed)
    layers = list(gold_layers.compare(found.questions, draws, drawn))
    found.table().write_parquet(job.folder / "gold.parquet")
    gold_layers.table(layers, golds).write_parquet(job.folder / "gold_layers.parquet")
    return [
        *gold_metrics.metrics(found, drawn),
        *gold_layers.metrics(layers, golds, drawn),
    ]


def _read(folder: Path) -> "View":
    import polars as pl

    rows = pl.read_parquet(folder / "answers.parquet")
    return _view(rows, load_states(folder / "states.safetensors"))


def _view(rows: "pl.DataFrame", inside: States) -> "View":
    import numpy as np

    from ksmith.measures.gold import View

    return View(
        rows=rows,
        at=np.array(_looked(rows.height)),
        logp=inside.logp.double().numpy(),
        hidden=inside.hidden.double().numpy(),
    )


def _of(rows: "pl.DataFrame", asked: Sequence[Question], step: int) -> "pl.DataFrame":
    """Return the answers of one step to `asked`, in that order."""
    import polars as pl

    order = pl.DataFrame({"question": [question.id for question in asked]})
    mine = rows.filter(pl.col("step") == step)
    return order.join(mine, on="question", how="left", maintain_order="left")


def _looked(count: int) -> list[int]:
    """Return which of `count` questions are looked at: at most LOOKED, evenly chosen."""
    some = min(count, LOOKED)
    return [i * count // some for i in range(some)]


def _requests(
    known: graph.KnowledgeGraph, recipe: Mapping[str, Any], draw: int
) -> list[Request]:
    """Return the requests of one draw, which further draws do not change."""
    task = {**recipe["task"], "draws": draw + 1}
    found = graph.requests(known, task, recipe["seed"])
    return [request for request in found if request.draw == draw]


def _check_requests(folder: Path, requests: Sequence[Request]) -> None:
    text = (folder / "changes.json").read_text(encoding="utf-8")
    names = ("subject", "relation", "old", "new")
    theirs = [[row[name] for name in names] for row in json.loads(text)["requests"]]
    if theirs != [[getattr(request, name) for name in names] for request in requests]:
        raise RuntimeError(f"the gold model in {folder} was trained for other requests")


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
