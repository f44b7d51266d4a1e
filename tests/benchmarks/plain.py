"""The plain loop: how an editor is usually written, one request at a time through transformers.

At every step all rows of a request, whole, go through the whole model; autograd finds the
gradient; Adam is torch's. It is what the search is measured against and what it must equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.sites import as_rows, sites
from ksmith.lm.targets import Climb
from ksmith.lm.text import encode, subject_last, with_prefix
from ksmith.records import Request


@dataclass(frozen=True)
class Rows:
    """A request in its contexts, and what the subject is, padded on the right."""

    ids: Tensor  # (n, t)
    mask: Tensor  # (n, t) bool
    answer: Tensor  # (n, t) bool: tokens of the new object
    at: Tensor  # (n,) the subject's last token
    kl: bool  # whether the last row is the KL term's


def rows(
    tokenizer: PreTrainedTokenizerBase,
    request: Request,
    before: Sequence[str],
    kl_template: str | None,
) -> Rows:
    """Return the rows of one request, by the texts to put before it."""
    prompts = [with_prefix(text, request.prompt) for text in before]
    at = [subject_last(tokenizer, request.template, request.subject, text) for text in before]
    batch = encode(tokenizer, prompts, [request.new] * len(prompts))
    ids, mask, answer = batch.ids, batch.mask, batch.answer
    if kl_template is not None:
        what = encode(tokenizer, [kl_template.replace("{}", request.subject)])
        at.append(subject_last(tokenizer, kl_template, request.subject))
        width = max(ids.shape[1], what.ids.shape[1])
        ids, mask, answer = (
            torch.cat([_widened(one, width), _widened(two, width)])
            for one, two in ((ids, what.ids), (mask, what.mask), (answer, what.answer & False))
        )
    return Rows(ids, mask, answer, torch.tensor(at), kl_template is not None)


def _widened(rows: Tensor, width: int) -> Tensor:
    return nn.functional.pad(rows, (0, width - rows.shape[1]))


@dataclass(frozen=True)
class Plain:
    """What the plain loop found."""

    delta: Tensor  # (d,)
    losses: list[float]  # at each evaluation


def plain(model: nn.Module, asked: Rows, layer: int, hp: Climb, size: Tensor) -> Plain:
    """Return the vector that makes the new object likely; `size` is what it is measured by."""
    s = sites(model)
    device = size.device
    ids, mask = asked.ids.to(device), asked.mask.to(device)
    at, answer = asked.at.to(device), asked.answer.to(device)
    n = len(ids)
    own = n - asked.kl
    norm = model.get_submodule(s.norm).get_parameter("weight")
    delta = torch.zeros(len(norm), dtype=size.dtype, device=device, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=float(hp.lr * size / len(delta) ** 0.5))
    lookup = torch.arange(ids.shape[1], device=device) == at[:, None]  # (n, t)

    def add(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
        changed = as_rows(output, n) + lookup[..., None] * delta.to(output.dtype)
        return changed.reshape(output.shape)

    losses: list[float] = []
    before: Tensor | None = None
    handle = model.get_submodule(s.mlp_out(layer)).register_forward_hook(add)
    try:
        for step in range(hp.steps):
            logits = model(input_ids=ids, attention_mask=mask.long()).logits
            logp = logits.to(size.dtype).log_softmax(-1)
            said = logp[:own, :-1].gather(2, ids[:own, 1:, None])[..., 0]
            wanted = answer[:own, 1:]
            loss = -((said * wanted).sum(1) / wanted.sum(1)).mean()
            if asked.kl:
                now = logp[-1, at[-1]]
                before = now.detach() if before is None else before
                loss = loss + hp.kl_weight * (now.exp() * (now - before)).sum()
            loss = loss + hp.weight_decay * delta.square().sum() / size**2
            losses.append(loss.item())
            if losses[-1] < hp.stop_loss or step == hp.steps - 1:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                delta.mul_((hp.clamp * size / delta.norm()).clamp(max=1))
    finally:
        handle.remove()
    return Plain(delta.detach(), losses)
