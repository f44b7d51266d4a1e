"""A gold model that a user retrained: opened where it lies, once it is sure to be comparable."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.graph import contexts
from ksmith.lm.delta import weights_digest
from ksmith.lm.load import load
from ksmith.lm.text import encodings
from ksmith.records import Outcome, UserError, digest, file_digest
from ksmith.settings.model import model_files
from ksmith.worker.job import Job
from ksmith.worker.opening import Base

READ = 50  # sentences that both tokenizers must cut alike


def make(job: Job, base: Base) -> dict[str, Any]:
    """Open and check a user's gold model; nothing of it is copied."""
    folder = Path(job.spec.files["gold"])
    model, tokenizer = _opened(folder, str(job.spec.recipe["gold"]["digest"]), job, base)
    _check_shape(folder, model, base)
    _check_words(folder, tokenizer, base)
    weights = weights_digest(model)
    if weights == base.weights:
        raise UserError(
            f"model.gold: {folder} has the very weights of the model under study: it was not "
            "trained without anything"
        )
    return {"given": str(job.spec.recipe["gold"]["digest"]), "weights": weights}


def given(job: Job, base: Base) -> PreTrainedModel | None:
    """Return a user's gold model; None where the node's was trained here."""
    if "gold" not in job.spec.files:
        return None
    outcome = Outcome.read(job.need("gold"))
    if outcome is None or "given" not in outcome.info:
        return None
    folder = Path(job.spec.files["gold"])
    return _opened(folder, str(outcome.info["given"]), job, base)[0]


def _opened(
    folder: Path, content: str, job: Job, base: Base
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    found = digest({path.name: file_digest(path) for path in model_files(folder)})
    if found != content:
        raise UserError(
            f"model.gold: the model in {folder} changed since the study was made (its digest is "
            "another): put it back, or make the study anew"
        )
    dtype = str(base.model.dtype).removeprefix("torch.")
    return load(folder, dtype=dtype, device=job.device)


def _check_shape(folder: Path, model: PreTrainedModel, base: Base) -> None:
    """Raise UserError unless both models are of one architecture and size."""
    kinds = [one.config.model_type for one in (model, base.model)]
    if kinds[0] != kinds[1]:
        raise UserError(
            f"model.gold: {folder} is a {kinds[0]}, the model under study a {kinds[1]}: a gold "
            "model is the same one, trained again"
        )
    own, theirs = (
        {name: tuple(weight.shape) for name, weight in one.named_parameters()}
        for one in (base.model, model)
    )
    for name in own | theirs:
        if own.get(name) != theirs.get(name):
            raise UserError(
                f"model.gold: {folder} has {name} of shape {theirs.get(name)}, the model under "
                f"study of {own.get(name)}: a gold model is the same one, trained again"
            )


def _check_words(folder: Path, tokenizer: PreTrainedTokenizerBase, base: Base) -> None:
    """Raise UserError unless both tokenizers cut text alike: answers are compared by token."""
    texts = contexts(base.graph, READ, 0)
    same = tokenizer.get_vocab() == base.tokenizer.get_vocab()
    if same:
        own, theirs = (
            [list(row.ids) for row in encodings(one, texts)]
            for one in (base.tokenizer, tokenizer)
        )
        same = own == theirs
    if not same:
        raise UserError(
            f"model.gold: the tokenizer in {folder} is another than that of the model under "
            "study: their answers can't be compared token by token"
        )
