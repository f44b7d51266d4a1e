"""Gradient descent on a change of some matrices, the model staying as it is.

What descends is the delta itself, in float32, from zero: the base weights are read, never
written, and a bfloat16 model takes steps that are smaller than its rounding.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedTokenizerBase

from ksmith.lm.adam import Adam
from ksmith.lm.delta import summed
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import Request, Statement

Weights = Mapping[str, Tensor]  # parameter name -> what stands in for it


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a descent ended, and how it went."""

    delta: dict[str, Tensor]  # parameter name -> change, float32, in its own layout
    curve: dict[str, list[float]]  # part of the loss -> its value before each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a descent goes; lengths are in each matrix's own unit."""

    lr: float
    steps: int
    epsilon: float | None = None  # no weight moves further
    stop_loss: float | None = None  # it ends below this loss


# The weighted parts of a loss, with these weights, at this step: their sum descends.
Parts = Callable[[Weights, int], dict[str, Tensor]]


def descend(
    model: nn.Module,
    lengths: Mapping[str, float],
    parts: Parts | Sequence[Parts],
    pace: Pace,
    before: Mapping[str, Tensor] | None = None,
) -> Descent:
    """Return the change of some parameters that Adam finds.

    `lengths` names them, with the unit of length of each. The sum of all `parts` descends; each
    is run by itself, so that no more is kept for a way back than the largest needs. `before`
    says how far the weights have moved already: `pace.epsilon` holds for both together.
    """
    pieces = parts if isinstance(parts, Sequence) else [parts]
    base = {name: model.get_parameter(name).detach() for name in lengths}
    delta = {name: torch.zeros_like(w, dtype=torch.float32) for name, w in base.items()}
    went = {name: there.to(delta[name]) for name, there in (before or {}).items()}
    adam = {name: Adam(change) for name, change in delta.items()}
    curve: dict[str, list[float]] = {}
    for step in range(pace.steps):
        losses, gradients = _passed(pieces, base, delta, step)
        for part, value in losses.items():
            curve.setdefault(part, []).append(value)
        loss = sum(losses.values())
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of the descent is not finite at step {step}")
        if pace.stop_loss is not None and loss < pace.stop_loss:
            break
        for name, gradient in gradients.items():
            delta[name] -= pace.lr * lengths[name] * adam[name].direction(gradient)
            if pace.epsilon is not None:
                delta[name] = _boxed(delta[name], went.get(name), pace.epsilon * lengths[name])
    return Descent(delta, curve)


def _passed(
    pieces: Sequence[Parts], base: Weights, delta: Weights, step: int
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the parts of the loss and the gradient of `delta`, added up over pieces."""
    losses: dict[str, float] = {}
    gradients: dict[str, Tensor] = {}
    for piece in pieces:
        leaves = {name: change.clone().requires_grad_() for name, change in delta.items()}
        told = piece({name: summed(base[name], leaf) for name, leaf in leaves.items()}, step)
        for part, value in told.items():
            losses[part] = losses.get(part, 0.0) + float(value.detach())
        loss = torch.stack(list(told.values())).sum()
        found = torch.autograd.grad(loss, list(leaves.values()))
        for name, gradient in zip(leaves, found, strict=True):
            gradients[name] = gradients[name].add_(gradient) if name in gradients else gradient
    return losses, gradients


def _boxed(delta: Tensor, before: Tensor | None, most: float) -> Tensor:
    """Return `delta` with no element of `before + delta` larger than `most`."""
    if before is None:
        return delta.clamp(-most, most)
    return (before + delta).clamp(-most, most) - before


def answer_logp(model: nn.Module, batch: Batch, weights: Weights | None = None) -> Tensor:
    """Return the summed log-probability of each row's answer, (n,) float32 or wider.

    `weights` stand in for the model's own where given.
    """
    logp, row, gold = answer_words(model, batch, weights)
    said = logp.gather(1, gold[:, None])[:, 0]  # (m,)
    return said.new_zeros(len(batch.ids)).index_add(0, row, said)


def answer_words(
    model: nn.Module, batch: Batch, weights: Weights | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the log-probabilities of all words where the m tokens of answers stand.

    `weights` stand in for the model's own where given. Padding is on the right, where causal
    attention does not look, and is asked nothing.

    Returns:
        Log-probabilities (m, vocabulary), float32 or wider, one a token, row after row; the
        tokens' rows (m,); the tokens (m,).
    """
    row, column = batch.answer.nonzero(as_tuple=True)  # (m,) one a token of an answer
    device = next(model.parameters()).device
    at = (row.to(device), (column - 1).to(device))

    def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # The head is wide: it sees the tokens before those of answers, no others.
        return (given[0][at][None], *given[1:])

    arguments: dict[str, Any] = {"input_ids": batch.ids[:, :-1].to(device), "use_cache": False}
    handle = model.get_submodule(sites(model).head).register_forward_pre_hook(pick)
    try:
        if weights is None:
            logits = model(**arguments).logits[0]
        else:
            # Matrices of MLPs are tied to nothing; to look for ties takes as long as a layer.
            out = functional_call(model, dict(weights), kwargs=arguments, tie_weights=False)
            logits = out.logits[0]
    finally:
        handle.remove()
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.log_softmax(-1), at[0], batch.ids[row, column].to(device)


def nll(logp: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over all answer tokens of -log p.

    Both are (n,): the sum over each answer's tokens, and their number.

    >>> nll(torch.tensor([-3.0, -1.0]), torch.tensor([3, 1])).item()
    1.0
    """
    return -logp.sum() / tokens.sum().to(logp.device)


# --- what is learnt from ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taught:
    """What requests should be answered with, as rows, and how much each row counts."""

    batch: Batch
    share: Tensor  # (n,) of the row's summed log-probability ...
    total: int  # ... over this
    entropy: float  # of the targets, mean over requests

    def loss(self, logp: Tensor) -> Tensor:
        """Return the loss of `logp` (n,), each answer's summed log-probability.

        The mean over all answer tokens of -log p. Where targets are uniform, the mean over
        requests of KL(target || p): of -log p(whole answer) over the answers, - log m.
        """
        return -(self.share.to(logp) * logp).sum() / self.total - self.entropy

    def pieces(self, most: int) -> "list[Taught]":
        """Return parts of at most `most` tokens, padding included, whose losses add up to this.

        All of it as it is where that is no more; else rows that are about as long together.
        """
        if self.batch.ids.numel() <= most:
            return [self]
        found: list[Taught] = []
        for rows, batch in parted(self.batch, most):
            entropy = 0.0 if found else self.entropy  # it counts once
            found.append(Taught(batch, self.share[rows], self.total, entropy))
        return found


def taught(tokenizer: PreTrainedTokenizerBase, requests: Sequence[Request]) -> Taught:
    """Return a row for each answer that each of the requests should get."""
    pairs = [(request, target) for request in requests for target in request.targets]
    batch = answers(tokenizer, [request for request, _ in pairs], [name for _, name in pairs])
    if not any(request.others for request in requests):
        return Taught(batch, torch.ones(len(pairs)), int(batch.answer.sum()), 0.0)
    share = torch.tensor([1 / len(request.targets) for request, _ in pairs])
    floors = [math.log(len(request.targets)) for request in requests]
    return Taught(batch, share, len(requests), sum(floors) / len(floors))


def answers(
    tokenizer: PreTrainedTokenizerBase,
    facts: Sequence[Request | Statement],
    objects: Sequence[str],
) -> Batch:
    """Return the rows `prompt object` of facts, the objects' tokens marked."""
    return encode(tokenizer, [fact.prompt for fact in facts], list(objects))


def turn(n: int, size: int, step: int) -> Tensor:
    """Return the rows of a step: the next `size` of `n`, round and round, or all `n`."""
    return torch.arange(n) if n <= size else (torch.arange(size) + step * size) % n


def picked(batch: Batch, rows: Tensor) -> Batch:
    """Return some rows of a batch."""
    return Batch(batch.ids[rows], batch.mask[rows], batch.answer[rows])


def parted(batch: Batch, most: int) -> Iterator[tuple[Tensor, Batch]]:
    """Yield batches of at most `most` tokens, padding included, and which rows (k,) each has.

    Rows that are about as long are together; one row is a batch however long it is.
    """
    lengths = batch.lengths
    order = lengths.argsort(descending=True, stable=True)
    start = 0
    while start < len(order):
        width = int(lengths[order[start]])
        rows = order[start : start + max(1, most // width)]
        start += len(rows)
        mine = picked(batch, rows)
        yield rows, Batch(mine.ids[:, :width], mine.mask[:, :width], mine.answer[:, :width])


def units(model: nn.Module, layers: Iterable[int] | None = None) -> dict[str, float]:
    """Return the second MLP matrices of `layers`, by default all, with their units of length.

    A unit is the root mean square of the matrix / sqrt(d_ff). Adam moves every weight alike: when
    each moves by one unit, the output for a key moves by its own length at most, in a narrow or
    a wide model. Relative to the weights alone, wide models would take longer steps.
    """
    s = sites(model)
    found: dict[str, float] = {}
    for layer in range(s.n_layers) if layers is None else layers:
        weight = s.maths(model.get_parameter(s.weight(layer)).detach()).double()
        found[s.weight(layer)] = float((weight.square().mean() / weight.shape[1]).sqrt())
    return found
