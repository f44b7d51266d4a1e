"""How likely a model finds what another wrote after the same prompts."""

import math
from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.text import encode
from ksmith.lm.tokens import tokens
from ksmith.records import UserError

LARGEST = 700.0  # nats: e to more is no number


def perplexities(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    texts: Sequence[str],
) -> list[float]:
    """Return exp(mean NLL) of the tokens of each text after its prompt.

    nan where there is none: an empty text, one without tokens, one that no longer fits the model
    once it is read anew.
    """
    rows = list(zip(prompts, texts, strict=True))
    usable = [i for i, row in enumerate(rows) if _readable(tokenizer, *row)]
    found = [math.nan] * len(rows)
    if not usable:
        return found
    asked = [rows[i] for i in usable]
    made = tokens(
        model, tokenizer, [prompt for prompt, _ in asked], [text for _, text in asked]
    )
    for i, logp in zip(usable, made.logp.split(made.counts.tolist()), strict=True):
        loss = -float(logp.double().mean())
        found[i] = math.exp(min(loss, LARGEST)) if not math.isnan(loss) else math.nan
    return found


def _readable(tokenizer: PreTrainedTokenizerBase, prompt: str, text: str) -> bool:
    """Return whether a text has tokens, and fits; what a model wrote may be anything."""
    try:
        encode(tokenizer, [prompt], [text])
    except UserError:
        return False
    return True
