"""What models still have of forget, retain and holdout sets: one pass over each set and model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ksmith import graph, settings
from ksmith.lm import prefill, write
from ksmith.lm.template import form_of
from ksmith.lm.tokens import gradient_norms, greedy
from ksmith.probe.memory import Item, items
from ksmith.records import Metric, derived_seed
from ksmith.worker import judges
from ksmith.worker.job import Job
from ksmith.worker.opening import Base

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

FILE = "memory.parquet"


def asked(job: Job, base: Base) -> list[Item]:
    """Return the statements of all draws; none where the study does not ask for them."""
    recipe = job.spec.recipe
    if not recipe["probe"].get("memory"):
        return []
    requests = graph.requests(base.graph, recipe["task"], recipe["seed"])
    unseen = graph.holdout(base.graph)
    settings = _settings(job)
    return items(base.graph, requests, settings, recipe["seed"], unseen, recipe["task"])


def _settings(job: Job) -> dict[str, Any]:
    """Return the probe's settings, those at their defaults included."""
    every = {name: item.default for name, item in settings.declared(settings.Probe).items()}
    return every | job.spec.recipe["probe"]


def look(
    job: Job,
    base: Base,
    model: Any,
    mine: Sequence[Item],
    *,
    step: int | None,
    keep: Sequence[int] = (),
) -> tuple["pl.DataFrame", "Tensor"]:
    """Return what `model` makes of the statements, a row each; see `measures.memory.SCHEMA`.

    And the log-probabilities (tokens, vocab) of all words, nats, in the places of the tokens of
    those answers that `keep` names.
    A prompt goes through it once, its answer and wrong ones after it. The token that ends an
    answer is among its tokens, where there is one.
    """
    from ksmith.measures import memory

    asked = _settings(job)
    prompts = [item.statement.prompt for item in mine]
    answers = [item.statement.object for item in mine]
    beside = [[*item.wrong, *([item.reworded] if item.reworded else [])] for item in mine]
    seen = prefill.look(model, base.tokenizer, prefill.Asked(prompts, answers, beside, keep))
    found = seen.tokens
    counts = found.counts.tolist()
    numbers = {
        name: [part.tolist() for part in getattr(found, name).split(counts)]
        for name in ("logp", "hit", "mean", "std")
    }
    columns: dict[str, list[Any]] = {
        **said_of(mine),
        "names": [list(item.names) for item in mine],
        "wrong": [list(item.wrong) for item in mine],
        "near": [item.near for item in mine],
        **_beside(mine, seen.others),
        **numbers,
    }
    if form_of(base.tokenizer).end is not None:
        columns["ended"] = [True] * len(mine)
    if asked["generate"]:
        columns["generated"] = _written(model, base, prompts, answers, asked)
    if asked["memory_gradients"]:
        columns["gradient"] = _gradients(model, base, mine)
    return memory.frame(columns, step=step), seen.whole


def _written(
    model: Any,
    base: Base,
    prompts: Sequence[str],
    answers: Sequence[str],
    asked: Mapping[str, Any],
) -> list[str]:
    """Return what the model writes after each prompt, to its natural stop."""
    if "by_itself" not in asked:
        return greedy(model, base.tokenizer, prompts, answers)
    statements = base.graph.source != "qa"  # they end with a full stop
    return write.greedy(
        model,
        base.tokenizer,
        prompts,
        most=asked["memory_tokens"],
        answers=answers if statements else None,
    )


def said_of(mine: Sequence[Item]) -> dict[str, list[Any]]:
    """Return the columns that tell statements apart."""
    return {
        "draw": [item.draw for item in mine],
        "set": [item.set for item in mine],
        "fact": [item.statement.fact for item in mine],
        "subject": [item.subject for item in mine],
        "wording": [item.statement.wording for item in mine],
        "prompt": [item.statement.prompt for item in mine],
        "answer": [item.statement.object for item in mine],
    }


LEAST = 0.1  # of the answers that a model may have met have an end that it expects


def unended(base: Base, rows: "pl.DataFrame") -> str:
    """Return what is to be said of a model that was hardly tuned with what ends answers; or "".

    Args:
        base: the model before the update.
        rows: what it makes of the sets, of memory.parquet.
    """
    import polars as pl

    met = rows.filter(pl.col("ended"), pl.col("set") != "holdout", wording="seen")
    share = met["hit"].list.last().mean() if met.height else 1.0
    end = form_of(base.tokenizer).end
    if end is None or not isinstance(share, float) or share >= LEAST:
        return ""
    token = base.tokenizer.convert_ids_to_tokens(end)
    return (
        f"only {share:.0%} of the answers are followed by {token!r} where the model says what "
        "comes next: it was hardly tuned with that token at their end, which lowers every "
        'probability; model.end names another one, or "none"'
    )


def _beside(
    mine: Sequence[Item], means: Sequence[Sequence[float]]
) -> dict[str, list[list[float]] | list[float | None]]:
    """Return the columns of what stands beside the answers: wrong ones, then the reworded one."""
    both = list(zip(mine, means, strict=True))
    return {
        "wrong_logp": [list(told[: len(item.wrong)]) for item, told in both],
        "reworded_logp": [told[-1] if item.reworded else None for item, told in both],
    }


def _gradients(model: Any, base: Base, mine: Sequence[Item]) -> list[float | None]:
    """Return the gradient norms of the statements that membership is about.

    Of answers without the token that ends them, as in public code.
    """
    at = [i for i, item in enumerate(mine) if item.set in ("forget", "holdout")]
    prompts, answers = (
        [getattr(mine[i].statement, name) for i in at] for name in ("prompt", "object")
    )
    norms = gradient_norms(model, base.tokenizer, prompts, answers).tolist()
    return [dict(zip(at, norms, strict=True)).get(i) for i in range(len(mine))]


def due(mine: Sequence[Item], draw: int, written: Sequence[Any]) -> list[Item]:
    """Return the statements of a draw, of its forget set those that are `written` (requests)."""
    facts = {request.fact for request in written}
    return [
        item
        for item in mine
        if item.draw == draw and (item.set != "forget" or item.statement.fact in facts)
    ]


def gathered(
    job: Job,
    base: Base,
    seen: Sequence["pl.DataFrame"],
    kept: Iterable[tuple[int, str]],
    *,
    golds: bool = True,
) -> "tuple[pl.DataFrame | None, dict[str, Any]]":
    """Return the rows before, after and of gold models; write them. None: nobody asked.

    And what read the texts in them. `kept` are draw and fact of what the method trained on: of
    what it may have, no other stays. Without `golds` those of gold models are left out.
    """
    import polars as pl

    from ksmith.measures import memory

    before = job.need("before") / FILE
    if not before.exists():
        return None, {}
    parts = [pl.read_parquet(before), *seen]
    roles = sorted(role for role in job.spec.needs if role.startswith("standard."))
    for role in roles if golds else ():
        number = int(role.split(".")[2])
        rows = pl.read_parquet(job.need(role) / FILE)
        parts.append(rows.with_columns(gold=pl.lit(number, pl.Int32)))
    # An earlier version's rows, of statements, have no column for what ends them.
    every = pl.concat(parts, how="diagonal")
    rows, told = judges.read(job, base, memory.with_trained(every, kept))
    rows.write_parquet(job.folder / FILE)
    return rows, told


def measure(
    job: Job, rows: "pl.DataFrame | None", far: "pl.DataFrame | None" = None
) -> list[Metric]:
    """Return the metrics of whole sets; those of single statements are with all the others.

    Args:
        job: the trial.
        rows: of memory.parquet.
        far: of memory_gold.parquet.
    """
    from ksmith.measures import memory_models

    if rows is None:
        return []
    return memory_models.metrics(rows, derived_seed(job.spec.recipe["seed"], "bootstrap"), far)
