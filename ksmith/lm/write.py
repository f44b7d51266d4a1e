"""What a model writes after prompts: greedy text, a token at a time, to its own end.

Nothing about a text depends on the answer that it is held against, neither where it ends nor
whether. It ends with an end token, any that the model's own settings of generation name, or
after so many tokens; one that ends a statement also with a full stop or a line.

Prompts of about one length are a batch, and start together at the shortest one's end: a longer
one goes on being read while others are being written (as in `lm/sample.py`). So there is no
padding, and position ids and sliding windows need no care. A text that ends leaves the batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from ksmith.lm.cache import after
from ksmith.lm.score import Ends, Ids, positions
from ksmith.lm.text import encode


@dataclass(slots=True)
class _Text:
    """One distinct prompt and what follows it."""

    given: Ids
    most: int  # tokens to write
    answers: list[str] = field(default_factory=list[str])  # with which a statement may end
    ids: list[int] = field(default_factory=list[int])

    def at(self, place: int) -> int:
        """Return the token at a place, of the prompt or of what follows."""
        size = len(self.given)
        return self.given[place] if place < size else self.ids[place - size]

    def ended(self, ends: frozenset[int], stops: frozenset[int]) -> bool:
        """Return whether all is written."""
        if len(self.ids) >= self.most:
            return True
        # A full stop ends no text where an answer has one of its own.
        mine = ends if any("." in answer for answer in self.answers) else stops
        return bool(self.ids) and self.ids[-1] in mine


def greedy(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    most: int,
    answers: Sequence[str] | None = None,
    batch_tokens: int = 8192,
) -> list[str]:
    """Return what the model writes after each prompt; equal prompts are run once.

    Args:
        model: that writes.
        tokenizer: its own.
        prompts: any number.
        most: tokens of a text; fewer where the model takes no longer row.
        answers: of prompts that are the beginning of a statement, one for each: its text ends
            with a full stop, unless an answer has one there, or with a line. None: a text is
            no statement, and has as many sentences and lines as the model gives it.
        batch_tokens: that the model sees at once, cached ones included. It changes nothing but
            rounding.
    """
    said = Ends(tokenizer)
    ends = frozenset(said.ends | _ends(model))
    hard, stops = (ends | said.hard, ends | said.stops) if answers is not None else (ends, ends)
    texts = _texts(model, tokenizer, prompts, most)
    for prompt, answer in zip(prompts, answers or (), strict=answers is not None):
        texts[prompt].answers.append(answer)
    with torch.inference_mode():
        for group in _groups(list(texts.values()), batch_tokens):
            _write(model, group, hard, stops)
    return [_shown(tokenizer, texts[prompt], ends, said, answers) for prompt in prompts]


def _ends(model: nn.Module) -> set[int]:
    """Return the tokens at which the model's own settings of generation stop."""
    own: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return {own} if isinstance(own, int) else set(own or ())


def _texts(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], most: int
) -> dict[str, _Text]:
    different = list(dict.fromkeys(prompts))
    if not different:
        return {}
    batch, limit = encode(tokenizer, different), positions(model)
    rows = zip(different, batch.ids.tolist(), batch.lengths.tolist(), strict=True)
    return {
        prompt: _Text(tuple(ids[:size]), min(most, limit - size)) for prompt, ids, size in rows
    }


def _groups(texts: Sequence[_Text], batch_tokens: int) -> Iterator[list[_Text]]:
    """Yield texts that are written together, those of the longest prompts first."""
    order = sorted(texts, key=lambda text: len(text.given), reverse=True)
    start = 0
    while start < len(order):
        first = order[start]
        size = max(1, batch_tokens // (len(first.given) + max(first.most, 1)))
        yield order[start : start + size]
        start += size


def _write(
    model: nn.Module, alive: list[_Text], ends: frozenset[int], stops: frozenset[int]
) -> None:
    """Fill in the tokens of some texts."""
    device = next(model.parameters()).device
    place = min(len(text.given) for text in alive)
    cache: Any = DynamicCache(config=getattr(model, "config", None))
    new = [list(text.given[:place]) for text in alive]
    while alive:
        ids = torch.tensor(new, device=device)
        out = model(input_ids=ids, use_cache=True, logits_to_keep=1, **after(model, cache))
        for text, token in zip(
            alive, out.logits[:, -1].float().argmax(-1).tolist(), strict=True
        ):
            if place >= len(text.given) and text.most > 0:
                text.ids.append(token)
        keep = [j for j, text in enumerate(alive) if not text.ended(ends, stops)]
        if keep and len(keep) < len(alive):
            cache.batch_select_indices(torch.tensor(keep, device=device))
        alive = [alive[j] for j in keep]
        new = [[text.at(place)] for text in alive]
        place += 1


def _shown(
    tokenizer: PreTrainedTokenizerBase,
    text: _Text,
    ends: frozenset[int],
    said: Ends,
    answers: Sequence[str] | None,
) -> str:
    ids = text.ids[:-1] if text.ids and text.ids[-1] in ends else text.ids
    whole = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    return whole.strip() if answers is None else said.cut(whole, text.answers)
