"""Does a loaded model read what it will be asked? Told before its weights are fetched."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from ksmith.graph import KnowledgeGraph, qa
from ksmith.lm import lengths, template
from ksmith.lm.load import words
from ksmith.lm.text import encodings
from ksmith.records import UserError


def check_texts(
    known: KnowledgeGraph, source: str, revision: str | None, settings: Mapping[str, Any]
) -> None:
    """Render the model's template, and count the tokens of a user's questions and answers.

    Making a study did so for a folder, and for what the hub's cache held then.

    Raises:
        UserError: a template that can't be used, or texts that are too long, all in one.
    """
    tokenizer = words(source, revision)
    form = template.put(tokenizer, settings, ended=ended(known))
    if known.source != "qa":
        return
    most = int(tokenizer.model_max_length)

    def count(texts: Sequence[str]) -> list[int]:
        rows = encodings(tokenizer, texts, special=form.special)
        return [len(row.ids) + (form.end is not None) for row in rows]

    texts = template.texts(form, qa.asked(known))
    why = f"the model {source} takes {most}"
    found = [text for _, text in lengths.longer(texts, count, most, why)]
    if found:
        raise UserError("\n".join(found))


def ended(known: KnowledgeGraph) -> bool:
    """Return whether answers end with a token: a user's own do, a statement's object does not."""
    return known.source == "qa"


def ends(model: PreTrainedModel) -> int | list[int] | None:
    """Return the tokens at which the model's own settings of generation stop."""
    return getattr(model.generation_config, "eos_token_id", None)
