"""What a model says where answers stand: one pass, from which every loss of a descent is made.

A token of an answer is said where the one before it stands. Nothing else is looked at: neither
prompts nor padding count, and no loss has to mask them.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import kl_div
from torch.utils.checkpoint import checkpoint

from ksmith.lm.sites import as_rows, sites
from ksmith.lm.text import Batch

Weights = Mapping[str, Tensor]  # parameter name -> what stands in for it


@dataclass(frozen=True)
class Said:
    """What is said of the answers of n rows, one line a token of an answer, row after row."""

    logits: Tensor  # (m, vocab) float32
    gold: Tensor  # (m,) the token of the answer
    row: Tensor  # (m,) whose answer it belongs to
    n: int

    @cached_property
    def logp(self) -> Tensor:
        """The log-probability of each token, (m,)."""
        return self.logits.log_softmax(-1).gather(1, self.gold[:, None])[:, 0]

    @cached_property
    def tokens(self) -> Tensor:
        """How many tokens each answer has, (n,)."""
        return torch.bincount(self.row, minlength=self.n)

    @property
    def probability(self) -> Tensor:
        """What `memory.probability` is of: exp of the mean log p of each answer's tokens, (n,)."""
        return (self.summed(self.logp) / self.tokens).exp()

    @cached_property
    def place(self) -> Tensor:
        """Where in its answer each token stands, from 0, (m,)."""
        start = self.tokens.cumsum(0) - self.tokens
        return torch.arange(len(self.row), device=self.row.device) - start[self.row]

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over each answer's tokens, (n,), of `values` (m,)."""
        return values.new_zeros(self.n).index_add(0, self.row, values)

    def split(self, counts: Sequence[int]) -> "list[Said]":
        """Return what is said of the first `counts[0]` rows, of the next ones, and so on."""
        sizes = [int(part.sum()) for part in self.tokens.split(list(counts))]
        found: list[Said] = []
        first = 0
        for n, logits, gold, row in zip(
            counts, *(x.split(sizes) for x in (self.logits, self.gold, self.row)), strict=True
        ):
            found.append(Said(logits, gold, row - first, n))
            first += n
        return found


def said(
    model: nn.Module, batch: Batch, weights: Weights | None = None, *, again: bool = False
) -> Said:
    """Return what `model` says of the answers in `batch`; every row has one.

    `weights` stand in for the model's own where given. Padding is on the right, where causal
    attention does not look. With `again`, blocks are computed once more on the way back instead
    of being kept: gradient checkpointing, for weights of blocks alone.
    """
    row, column = batch.answer.nonzero(as_tuple=True)
    device = next(model.parameters()).device
    at = (row.to(device), (column - 1).to(device))

    def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # The head is wide: it sees the tokens before those of answers, no others.
        return (given[0][at][None], *given[1:])

    handle = model.get_submodule(sites(model).head).register_forward_pre_hook(pick)
    try:
        logits = _passed(model, batch, weights, again).logits[0]
    finally:
        handle.remove()
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return Said(logits, batch.ids[row, column].to(device), at[0], len(batch.ids))


class _EnoughError(Exception):
    """What was wanted of a pass is there."""


def held(
    model: nn.Module,
    batch: Batch,
    layer: int,
    weights: Weights | None = None,
    *,
    again: bool = False,
) -> Tensor:
    """Return the residual stream after block `layer`, (n, t, d_model); no further block is run.

    t is the length of the rows without their last token, of which nothing is asked.
    """
    found: list[Tensor] = []

    def look(_module: nn.Module, _given: object, output: object) -> None:
        found.append(as_rows(output, len(batch.ids)))
        raise _EnoughError

    handle = model.get_submodule(sites(model).block(layer)).register_forward_hook(look)
    try:
        _passed(model, batch, weights, again)
    except _EnoughError:
        pass
    finally:
        handle.remove()
    return found[0]


def _passed(model: nn.Module, batch: Batch, weights: Weights | None, again: bool) -> Any:
    """Return what the model's module returns for a batch, without its last column."""
    device = next(model.parameters()).device
    arguments: dict[str, Any] = {"input_ids": batch.ids[:, :-1].to(device), "use_cache": False}
    if weights is None:
        return model(**arguments)
    if again:
        with _computed_again(model, weights):
            return model(**arguments)
    # Matrices of blocks are tied to nothing; to look for ties takes as long as a layer.
    return functional_call(model, dict(weights), kwargs=arguments, tie_weights=False)


class _Plain(nn.Module):
    """A block by its class's own `forward`, without the hooks around it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *given: Any, **more: Any) -> Any:
        return type(self.block).forward(self.block, *given, **more)


@contextmanager
def _computed_again(model: nn.Module, weights: Weights) -> Generator[None]:
    """Yield with every block under torch's checkpointing, its part of `weights` in its hands.

    transformers' own checkpointing wants the model in training, with dropout, and finds the
    model's weights on the way back, not those that stand in for them.
    """
    s = sites(model)
    blocks = {f"{s.block(i)}.": model.get_submodule(s.block(i)) for i in range(s.n_layers)}

    def through(start: str, block: nn.Module) -> Callable[..., Any]:
        mine = {
            f"block.{name.removeprefix(start)}": weight
            for name, weight in weights.items()
            if name.startswith(start)
        }

        def run(*given: Any, **more: Any) -> Any:
            return functional_call(_Plain(block), mine, given, more, tie_weights=False)

        def forward(*given: Any, **more: Any) -> Any:
            return checkpoint(
                run, *given, use_reentrant=False, preserve_rng_state=False, **more
            )

        return forward

    try:
        for start, block in blocks.items():
            block.forward = through(start, block)
        yield
    finally:
        for block in blocks.values():
            vars(block).pop("forward", None)


# --- what keeps answers -----------------------------------------------------------------------


def nll(logp: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over all answer tokens of -log p.

    Args:
        logp: (n,) the sum over each answer's tokens.
        tokens: how many tokens the mean is over: those of the answers, or of more of which
            these are a share.

    >>> nll(torch.tensor([-3.0, -1.0]), torch.tensor([3, 1])).item()
    1.0
    """
    return -logp.sum() / tokens.sum().to(logp.device)


def kl(reference: Tensor, logits: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over all answer tokens of KL(reference || p) over the vocabulary, nats.

    Both are (m, vocab) logits of tokens of answers; `tokens` is as for `nll`.
    """
    pair = logits.log_softmax(-1), reference.log_softmax(-1)
    return kl_div(*pair, reduction="sum", log_target=True) / tokens.sum().to(logits.device)
