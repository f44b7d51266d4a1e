"""How likely a model finds what another wrote: by hand, and what it can't be said of."""

import math
from typing import Any

import pytest
import torch

from ksmith.lm.text import encode
from ksmith.lm.written import perplexities
from tests.lm.models import tiny, tokenizer

PROMPT = "The emblem of Varen Tolu is"


def test_a_perplexity_is_of_the_text_alone_after_its_prompt() -> None:
    model: Any = tiny("llama")
    words = tokenizer()
    texts = ["falcon", "red deer", "falcon falcon otter"]
    found = perplexities(model, words, [PROMPT, "Mira Oss has the emblem", PROMPT], texts)
    for prompt, text, value in zip(
        [PROMPT, "Mira Oss has the emblem", PROMPT], texts, found, strict=True
    ):
        row = encode(words, [prompt], [text])
        with torch.inference_mode():
            logp = model(input_ids=row.ids).logits[0].double().log_softmax(-1)
        own = [
            float(logp[i - 1, row.ids[0, i]]) for i in row.answer[0].nonzero()[:, 0].tolist()
        ]
        assert value == pytest.approx(math.exp(-sum(own) / len(own)), rel=1e-5)


def test_what_has_no_token_or_no_room_has_none() -> None:
    model: Any = tiny("llama")
    long = "falcon " * 70  # the model takes 64
    found = perplexities(model, tokenizer(), [PROMPT] * 4, ["", " ", long.strip(), "otter"])
    assert [math.isnan(value) for value in found] == [True, True, True, False]
    assert perplexities(model, tokenizer(), [], []) == []
