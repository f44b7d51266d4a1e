"""What a model is about to say, and what it holds inside, where a prompt ends."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.lm.text import encode


@dataclass(frozen=True, slots=True)
class States:
    """One row a prompt, in float32 on the CPU."""

    hidden: Tensor  # (layers, n, width) the residual stream after each block
    logp: Tensor  # (n, vocab) log-probability of the next token, nats


def states(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    batch_tokens: int = 8192,
) -> States:
    """Return the states at the last token of each prompt.

    Prompts of one length go through the model together, without padding. The last layer's state
    is the one that the head reads, after the closing norm, as transformers reports it.
    """
    batch = encode(tokenizer, prompts)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(batch.lengths.tolist()):
        groups[length].append(row)
    found: dict[int, tuple[Tensor, Tensor]] = {}
    with torch.inference_mode():
        for length, rows in sorted(groups.items()):
            size = max(1, batch_tokens // length)
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                seen = _seen(model, batch.ids[part, :length])
                found |= dict(zip(part, zip(*seen, strict=True), strict=True))
    ordered = [found[row] for row in range(len(prompts))]
    return States(
        hidden=torch.stack([hidden for hidden, _ in ordered], 1),
        logp=torch.stack([logp for _, logp in ordered]),
    )


def _seen(model: PreTrainedModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n, layers, width) and (n, vocab) of prompts of one length, (n, t)."""
    call: Any = model
    out = call(
        input_ids=ids.to(model.device),
        use_cache=False,
        output_hidden_states=True,
        logits_to_keep=1,
    )
    # The first is the embedding, before any block.
    hidden = torch.stack([layer[:, -1].float().cpu() for layer in out.hidden_states[1:]], 1)
    return hidden, out.logits[:, -1].float().log_softmax(-1).cpu()


def save_states(found: States, path: Path) -> None:
    """Write the states as safetensors."""
    save_file({"hidden": found.hidden.contiguous(), "logp": found.logp.contiguous()}, path)


def load_states(path: Path) -> States:
    """Return what `save_states` wrote."""
    tensors = load_file(path)
    return States(hidden=tensors["hidden"], logp=tensors["logp"])
