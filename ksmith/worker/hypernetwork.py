"""MEND's network as an asset: trained once on a model and its graph, shared by all trials.

What it is trained on is in `graph/practice.py`, how in `lm/teach.py`. A training that was killed
goes on where it was kept last, to the same bits.
"""

import json
import time
from dataclasses import asdict
from typing import Any

import torch

from ksmith import settings
from ksmith.graph.practice import LOOK, Lesson, Practice, practices, practised
from ksmith.lm import hypernetwork_file as files
from ksmith.lm.hypernetwork import Hypernetwork, fresh, matrices, measured
from ksmith.lm.teach import Training, counted, train
from ksmith.records import UserError, derived_seed
from ksmith.settings.mend import LAST, Mend
from ksmith.worker import figures
from ksmith.worker.job import Job
from ksmith.worker.opening import Base, base
from ksmith.worker.partial import Partial

FILE = "hypernetwork.safetensors"
ABOUT = "hypernetwork.json"  # for people: what the training was, and how it went
HALF_DONE = "training.safetensors"
COUNTED = 16  # lessons over which means and deviations of factors are taken
LOOKED = 2  # lessons of each size in a look


def make_hypernetwork(job: Job) -> dict[str, Any]:
    """Train the network; write it, how it went, and a picture of that."""
    return made(job, Partial.take(job))


def made(job: Job, partial: Partial) -> dict[str, Any]:
    """Do that, going on from what is in `partial`, and keeping there what is half done."""
    opened_base = base(job)
    hp: Mend = settings.method("mend", job.spec.recipe["hypernetwork"])
    learn, look = practices(opened_base.graph)
    training = files.taken_up(partial.find(HALF_DONE), opened_base.weights)
    before = training.step if training else 0
    if training is None:
        training = Training.begun(_fresh(opened_base, learn, hp))
    begun = time.process_time()
    for state in train(
        opened_base.model,
        opened_base.tokenizer,
        lambda step: _lesson(learn, hp, hp.edits[step % len(hp.edits)], "step", step),
        _looks(look, hp),
        training,
        hp,
    ):
        job.progress(state.step, hp.steps, f"hypernetwork, {state.looks[-1]['loss']:.4f}")
        if partial.due():
            partial.keep(
                HALF_DONE,
                lambda path, state=state: files.keep(state, opened_base.weights, path),
            )
    files.save(training.best, opened_base.weights, job.folder / FILE)
    told = _told(opened_base, learn, look, training)
    about = {"settings": asdict(hp), **told, "losses": training.losses}
    (job.folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
    figures.curve_figure(
        [[one["loss"] for one in training.looks]],
        job.folder / "loss.png",
        title="training to edit: other subjects",
        x="look",
    )
    return {
        **told,
        "training_cpu_seconds": round(time.process_time() - begun, 3),
        **({"went_on_from": before} if before else {}),
    }


def opened(job: Job, weights: str) -> Hypernetwork | None:
    """Return the network that a node needs, or None where it needs none.

    Raises:
        UserError: it was trained for other weights than those of this digest.
    """
    if "hypernetwork" not in job.spec.needs:
        return None
    return files.load_for(job.need("hypernetwork") / FILE, weights)


def _lesson(practice: Practice, hp: Mend, edits: int, *name: str | int) -> Lesson:
    """Return a lesson of updates of `edits` facts each, `batch` facts in all where they fit."""
    return practice.lesson(
        hp.seed,
        *name,
        updates=max(1, hp.batch // edits),
        edits=edits,
        locality=hp.locality,
    )


def _looks(look: Practice, hp: Mend) -> list[Lesson]:
    """Return what is looked at: of few facts, half of them at once at most."""
    if len(look.edited) < 2:
        raise UserError(
            "the graph has too few subjects to train a network that edits: half of them are left "
            f"out, and of the others one in {LOOK} is looked at: raise graph.facts or "
            "graph.records"
        )
    return [
        _lesson(look, hp, min(n, len(look.edited) // 2), "look", i)
        for n in hp.edits
        for i in range(LOOKED)
    ]


def _fresh(opened_base: Base, learn: Practice, hp: Mend) -> Hypernetwork:
    """Return the network as it is before its training, told of the factors of the training set."""
    model, tokenizer = opened_base.model, opened_base.tokenizer
    chosen = matrices(model, hp.layers, hp.modules, LAST)
    lessons = [_lesson(learn, hp, 1, "counted", i) for i in range(COUNTED)]
    wide = torch.promote_types(model.dtype, torch.float32)
    known = measured(model, chosen, counted(model, tokenizer, chosen, lessons), wide)
    seed = derived_seed(hp.seed, "hypernetwork")
    return fresh(chosen, known, hp.rank, hp.edit_lr, torch.Generator().manual_seed(seed))


def _told(
    opened_base: Base, learn: Practice, look: Practice, training: Training
) -> dict[str, Any]:
    network = training.best
    graph = opened_base.graph
    stated = {fact.subject for fact in graph.stated}
    return {
        "weights": opened_base.weights,
        "matrices": [matrix.name for matrix in network.matrices],
        "parameters": sum(tensor.numel() for tensor in network.learnt.values()),
        "facts": {"learnt from": len(learn.edited), "looked at": len(look.edited)},
        "subjects": {"all": len(stated), "unseen": sum(not practised(s) for s in stated)},
        "steps": training.step,
        "best_step": training.best_step,
        "edit_steps": [float(network.step(matrix)) for matrix in network.matrices],
        "looks": training.looks,
    }
