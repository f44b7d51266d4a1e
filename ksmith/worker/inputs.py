"""The digests of what a measurement was made from, so that two can be told to be of the same."""

from collections.abc import Sequence
from typing import Any

from ksmith.lm.template import Form, form_of
from ksmith.lm.text import asked_ids
from ksmith.records import Json, Outcome, Question, digest
from ksmith.worker.job import Job
from ksmith.worker.opening import Base
from ksmith.worker.reads import ended

LATER = ("aliases", "aliases_before", "sampled", "seed")  # fields that came later
FILES = {"graph": "graph.json", "update": "delta.safetensors"}  # role -> what stands for it
CHAIN = "chain/"  # what an update's files of a sequence begin with: all of them stand for it


def inputs(
    job: Job,
    base: Base,
    *,
    requests: Json = None,
    questions: Sequence[Question] = (),
) -> dict[str, Any]:
    """Return `dtype` of the weights, and `digests`: the sha256 of each input that there is.

    Those of weights, graph and delta are their files'; `template` is that of the text which the
    model's chat template puts around a prompt, and `prompts` that of the token ids which the
    questions become, with it, the tokenizer's start token and all. Of a user's own questions
    `end` is the token that ends an answer, its number and itself, in the digests, too; null, where
    there is none.
    """
    found, form = {"weights": base.weights}, form_of(base.tokenizer)
    if not form.plain:
        found["template"] = form.digest
    end = _end(base, form) if ended(base.graph) else {}
    if any(end.values()):
        found["end"] = digest(end)
    for role, name in FILES.items():
        outcome = Outcome.read(job.need(role)) if role in job.spec.needs else None
        files = outcome.files if outcome else {}
        chain = {file: value for file, value in files.items() if file.startswith(CHAIN)}
        if name in files:
            found["delta" if role == "update" else role] = files[name]
        elif chain:
            found["delta"] = digest(chain)
    if requests is not None:
        found["requests"] = digest(requests)
    if questions:
        found["questions"] = digest([told(question) for question in questions])
        prompts = [question.prompt for question in questions]
        found["prompts"] = digest(asked_ids(base.tokenizer, prompts))
    return {"dtype": str(base.model.dtype).removeprefix("torch."), "digests": found, **end}


def _end(base: Base, form: Form) -> dict[str, Json]:
    if form.end is None:
        return {"end": None}
    token = str(base.tokenizer.convert_ids_to_tokens(form.end))
    return {"end": {"id": form.end, "token": token}}


def told(question: Question) -> Json:
    """Return the question as it is digested: without what most have none of.

    So that one without any has the digest that it had before there were such things.
    """
    values = question._asdict()
    return {k: v for k, v in values.items() if v or k not in LATER}
