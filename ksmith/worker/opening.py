"""The model under study: trained or opened once, measured, traced, and kept warm in a worker."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith import graph
from ksmith.graph.statements import worded
from ksmith.lm import template
from ksmith.lm.delta import weights_digest
from ksmith.lm.load import load, save
from ksmith.lm.recipes import numbers
from ksmith.lm.score import score
from ksmith.lm.train import train
from ksmith.locate.trace import FLAT, Trace, figure, trace
from ksmith.probe.letters import sampled
from ksmith.records import (
    Metric,
    Outcome,
    Question,
    Statement,
    UserError,
    Wording,
    derived_seed,
    digest,
    file_digest,
)
from ksmith.settings.model import model_files
from ksmith.worker import figures
from ksmith.worker.job import Job
from ksmith.worker.letters import ITEMS, Letters, check
from ksmith.worker.reads import check_texts, ended, ends

RECALLED = 300  # facts whose recall is measured, in each kind of wording
TRACED = 60  # facts
WORDINGS: tuple[Wording, ...] = ("seen", "unseen", "novel")


@dataclass(frozen=True, slots=True)
class Base:
    """What nearly every handler needs, opened once in a worker's life."""

    graph: graph.KnowledgeGraph
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    layer: int | None  # where the causal trace peaks, if there is one
    weights: str  # digest
    letters: Letters


def base(job: Job) -> Base:
    """Return the job's graph and model; the last ones opened stay open, and only they."""
    key = job.spec.need_keys["model"]
    if job.warm.get("key") != key:
        job.warm.clear()
        folder = job.need("model")
        model, tokenizer = load(*_weights(job, folder), device=job.device)
        weights = _checked(job, folder, model)
        known = graph.load(job.need("graph"))
        info = outcome.info if (outcome := Outcome.read(folder)) else {}
        settings = info.get("opened") or {}
        template.put(tokenizer, settings, ends(model), ended=ended(known))
        letters = Letters.of(info.get("letters"))
        opened = Base(known, model, tokenizer, _peak(folder), weights, letters)
        job.warm.update(base=opened, key=key)
    return job.warm["base"]


def alone(job: Job) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """Return the model that a node names by itself, its tokenizer and the digest of its weights."""
    job.warm.clear()
    model, tokenizer = load(*_named(job), device=job.device)
    return model, tokenizer, weights_digest(model)


def _named(job: Job) -> tuple[str, str | None, str]:
    """Return the folder or name that a study loads its model from, the revision, the dtype.

    Raises:
        UserError: the folder holds other files than when the study was made.
    """
    settings: Mapping[str, Any] = job.spec.recipe["model"]
    source = str(job.spec.files.get("model.load", settings.get("load")))
    if "digest" in settings:
        files = model_files(Path(source))
        found = digest({path.name: file_digest(path) for path in files})
        if files and found != settings["digest"]:  # where none are, `load` says what is wrong
            raise UserError(
                f"{source}: the model in it changed since the study was made (its digest is "
                "another): put it back, or make the study anew"
            )
    return source, settings.get("revision"), str(settings["dtype"])


def _peak(folder: Path) -> int | None:
    path = folder / "trace.json"
    if not path.exists():
        return None
    return Trace.from_dict(json.loads(path.read_text(encoding="utf-8"))).peak.layer


def _weights(job: Job, folder: Path) -> tuple[str | Path, str | None, str]:
    """Return what `load` is to be told: a folder or name, revision, dtype."""
    outcome = Outcome.read(folder)
    if outcome is None:
        raise UserError(f"the model's folder has no outcome: {folder}")
    opened = outcome.info["opened"]
    if opened is None:
        return folder / "model", None, "float32"
    # Where weights lie is no part of what they are: the study that asks says where it saw them.
    source = job.spec.files.get("model.load", opened["source"])
    return str(source), opened["revision"], str(opened["dtype"])


def _checked(job: Job, folder: Path, model: PreTrainedModel) -> str:
    """Return the digest of the weights: those that the model's asset was measured on."""
    weights, outcome = weights_digest(model), Outcome.read(folder)
    if outcome and weights != outcome.info["weights"]:
        source = job.spec.files.get("model.load", folder)
        raise UserError(f"the weights in {source} are not those that this trial's model had")
    return weights


def make_model(job: Job) -> dict[str, Any]:
    """Train or open the model; write its recall of the graph and its causal trace beside it."""
    settings: Mapping[str, Any] = job.spec.recipe["model"]
    known = graph.load(job.need("graph"))
    opened = None
    if "recipe" in settings:
        model, tokenizer = trained(job, known, settings, int(settings["seed"]))
    else:
        source, revision, dtype = _named(job)
        check_texts(known, source, revision, settings)
        opened = {"source": source, "revision": revision, "dtype": dtype}
        opened |= template.said(settings)
        model, tokenizer = load(source, revision, dtype, job.device)
        template.put(tokenizer, opened, ends(model), ended=ended(known))
    metrics = recall(known, model, tokenizer, seed=int(settings.get("seed", 0)))
    letters = check(
        list(sampled(known, ITEMS, seed=0)),
        tokenizer,
        lambda questions: score(model, tokenizer, questions),
    )
    metrics += letters.metrics()
    _write(job.folder / "metrics.json", [asdict(metric) for metric in metrics])
    traced = _traced(job, known, model, tokenizer)
    return {
        "opened": opened,
        "weights": weights_digest(model),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "letters": letters.to_json(),
        **traced,
    }


def _traced(
    job: Job,
    known: graph.KnowledgeGraph,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> dict[str, Any]:
    """Write the causal trace; return the layer where it peaks and what is to be said about it.

    A model that exists may know too little of the graph to be traced: then there is no layer.
    """
    settings: Mapping[str, Any] = job.spec.recipe["model"]
    facts = _facts(known, TRACED, "seen", derived_seed(0, "trace"))
    try:
        traced = trace(model, tokenizer, facts, derived_seed(0, "trace"), progress=job.progress)
    except UserError as error:
        if "recipe" in settings and settings["mechanism"] == "planted":
            raise
        return {"layer": None, "warning": str(error)}
    _write(job.folder / "trace.json", traced.to_dict())
    figure(traced, job.folder / "trace.png")
    if traced.flat and settings.get("mechanism") == "planted":
        raise UserError(
            f"{traced.warning()}; the recipe was to plant a mechanism (an effect of {FLAT} "
            'or more): train longer, or set model.mechanism to "plain"'
        )
    return {"layer": traced.peak.layer, "warning": traced.warning()}


def trained(
    job: Job,
    known: graph.KnowledgeGraph,
    settings: Mapping[str, Any],
    seed: int,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a model trained on `known`, with `tokenizer` where one is given; write it, too."""
    chosen = numbers(settings)
    result = train(
        lambda epoch: graph.sentences(known, epoch),
        chosen,
        seed,
        job.progress,
        keep=[name for pool in known.types.values() for name in pool],
        tokenizer=tokenizer,
        device=job.device,
    )
    save(result.model, result.tokenizer, job.folder / "model")
    _write(job.folder / "training.json", {"numbers": asdict(chosen), "loss": result.losses})
    figures.curve_figure([result.losses], job.folder / "loss.png", title="training", x="step")
    return result.model, result.tokenizer


# --- what the model knows ---------------------------------------------------------------------


def recall(
    known: graph.KnowledgeGraph,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
) -> list[Metric]:
    """Return how many of the graph's facts the model says, by how their wording was trained on."""
    from ksmith.measures.share import share

    metrics: list[Metric] = []
    for wording in WORDINGS:
        facts = _facts(known, RECALLED, wording, derived_seed(seed, "recall"))
        if not facts:
            continue
        answers = score(model, tokenizer, [_question(i, fact) for i, fact in enumerate(facts)])
        pairs = list(zip(facts, answers, strict=True))
        found = {
            "accuracy": [answer.argmax[0] for _, answer in pairs],
            "generated": [answer.generated == fact.object for fact, answer in pairs],
        }
        for measure, hits in found.items():
            value, low, high = share(hits)
            metrics.append(
                Metric(
                    step=0,
                    probe="recall",
                    measure=measure,
                    slice=wording,
                    value=value,
                    n=len(hits),
                    low=low,
                    high=high,
                )
            )
    return metrics


def _facts(
    known: graph.KnowledgeGraph, n: int, wording: Wording, seed: int
) -> Sequence[Statement]:
    """Return up to `n` stated facts, each in one wording of the kind asked for."""
    generator = random.Random(seed)
    facts = [fact for fact in known.stated if fact.editable]
    found: list[Statement] = []
    for fact in generator.sample(facts, len(facts)):
        templates = worded(known, fact.subject, fact.relation)[wording]
        if templates and len(found) < n:
            found.append(
                Statement(
                    subject=fact.subject,
                    relation=fact.relation,
                    object=fact.object,
                    template=generator.choice(templates),
                    wording=wording,
                )
            )
    return found


def _question(number: int, fact: Statement) -> Question:
    return Question(
        id=str(number),
        draw=0,
        request="",
        probe="recall",
        set="unrelated",
        prompt=fact.prompt,
        candidates=(fact.object,),
        right=0,
        right_before=0,
        rival=None,
        subject=fact.subject,
        fact=fact.fact,
        wording=fact.wording,
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
