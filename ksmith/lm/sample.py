"""Sampled text, as CounterFact's generation entropy wants it: many prompts in one batch.

All texts of a batch have one length, prompt and all. They start together at the shortest prompt's
end: a longer prompt goes on being read while others are being written. So there is no padding,
position ids and sliding windows need no care, and each step is one token a text from the cache.
What is drawn for a text depends on its own seed alone, not on the texts beside it.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from ksmith.lm.cache import after
from ksmith.lm.template import Form, form_of
from ksmith.lm.text import asked_ids, encodings
from ksmith.records import Question, UserError

TOP = 5  # tokens to draw from: the most probable ones


def texts(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    *,
    batch_tokens: int = 8192,
) -> list[str]:
    """Return a text of `sampled` tokens for each question, in order; it begins with the prompt.

    Each next token is one of the five most probable, by their probabilities. An end token does
    not end the text, and is not shown. In a template, whose own tokens are not counted, the text
    is the prompt and what the model says to it; there the end of its turn ends it.
    `batch_tokens` bounds the tokens of a batch; it changes nothing but rounding.

    Raises:
        UserError: a text that is longer than the model takes.
    """
    form, said = form_of(tokenizer), [question.prompt for question in questions]
    prompts = asked_ids(tokenizer, said)
    sizes = [question.sampled for question in questions]
    if not form.plain:
        bare = encodings(tokenizer, said)
        both = zip(sizes, prompts, bare, strict=True)
        sizes = [size + len(ids) - len(one.ids) for size, ids, one in both]
    _check(model, sizes)
    order = sorted(range(len(prompts)), key=lambda i: (sizes[i], len(prompts[i])))
    found = [""] * len(prompts)
    with torch.inference_mode():
        while order:
            size = sizes[order[0]]
            many = max(1, batch_tokens // size)
            group = [i for i in order[:many] if sizes[i] == size]
            order = order[len(group) :]
            drawn = _drawn([questions[i].seed for i in group], size)
            ids = _written(model, [prompts[i][:size] for i in group], drawn)
            for i, row in zip(group, ids.tolist(), strict=True):
                if not form.plain:
                    row = _reply(tokenizer, row[len(prompts[i]) :], form)
                found[i] = _shown(tokenizer, row, "" if form.plain else said[i])
    return found


def _check(model: nn.Module, sizes: Sequence[int]) -> None:
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    longest = max(sizes, default=0)
    if most and longest > most:
        raise UserError(f"a text of {longest} tokens, but the model takes {most}")


def _drawn(seeds: Sequence[int], size: int) -> Tensor:
    """Return numbers in [0, 1) to draw by, (n, size): a row a seed."""
    return torch.stack(
        [torch.rand(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def _written(model: nn.Module, prompts: Sequence[Sequence[int]], drawn: Tensor) -> Tensor:
    """Return the tokens of the texts, (n, size), on the CPU.

    Args:
        model: that writes.
        prompts: token ids; none is longer than `size`.
        drawn: (n, size) in [0, 1): what the token at each place is drawn by.
    """
    device = next(model.parameters()).device
    size = drawn.shape[1]
    ids = torch.zeros(drawn.shape, dtype=torch.int64)
    given = torch.zeros(drawn.shape, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
        given[row, : len(prompt)] = True
    ids, given, drawn = ids.to(device), given.to(device), drawn.to(device)
    start = min(len(prompt) for prompt in prompts)
    cache: Any = DynamicCache(config=getattr(model, "config", None))
    new = ids[:, :start]
    for place in range(start, size):
        out = model(input_ids=new, use_cache=True, logits_to_keep=1, **after(model, cache))
        said = pick(out.logits[:, -1], drawn[:, place])
        ids[:, place] = torch.where(given[:, place], ids[:, place], said)
        new = ids[:, place : place + 1]
    return ids.cpu()


def pick(logits: Tensor, drawn: Tensor) -> Tensor:
    """Return (n,) the token that each number of `drawn` falls on, among the TOP most probable.

    Args:
        logits: (n, vocab).
        drawn: (n,) in [0, 1).
    """
    top = logits.float().topk(min(TOP, logits.shape[-1]))
    shares = top.values.softmax(-1).cumsum(-1)  # (n, TOP)
    # The last share is 1 but for rounding: what lies beyond falls on the last token.
    place = (drawn[:, None] >= shares[:, :-1]).sum(-1, keepdim=True)
    return top.indices.gather(-1, place)[:, 0]


def _reply(tokenizer: PreTrainedTokenizerBase, ids: list[int], form: Form) -> list[int]:
    """Return the tokens before the end of the model's turn."""
    end = tokenizer.eos_token_id
    stops = (i for i, token in enumerate(ids) if token == end or token in form.ends)
    return ids[: next(stops, len(ids))]


def _shown(tokenizer: PreTrainedTokenizerBase, ids: list[int], prompt: str) -> str:
    """Return the text of `ids`, after the prompt where that is none of them."""
    ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    said = [token for token in ids if token not in ends]  # what is unknown is shown as such
    text = str(tokenizer.decode(said, clean_up_tokenization_spaces=False))
    whole = f"{prompt} {text.strip()}" if prompt else text
    return unicodedata.normalize("NFKD", whole).replace("\n\n", " ").strip()
