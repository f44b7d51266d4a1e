"""Gradient descent on a change of some matrices, the model staying as it is.

What descends is the delta itself, in float32, from zero: the base weights are read, never
written, and a bfloat16 model takes steps that are smaller than its rounding.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.delta import is_finite, summed
from ksmith.lm.halfway import Forgetful, Halfway, Keeper, Watch
from ksmith.lm.room import lacking
from ksmith.lm.said import Weights, said
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import Json, Request, Statement


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a descent ended, and how it went."""

    delta: dict[str, Tensor]  # parameter name -> change, float32, in its own layout
    curve: dict[str, list[float]]  # part of the loss -> its value before each step
    pieces: int  # that a step's loss was run in at the end


class Diverged(FloatingPointError):
    """A descent that left the finite numbers; what it was before that is kept."""

    def __init__(self, told: str, step: int, curve: Mapping[str, list[float]]) -> None:
        super().__init__(told)
        self.step = step
        self.curve = curve  # of the steps that were finite

    def within(self, what: str) -> "Diverged":
        """Return the same, saying of what."""
        return Diverged(f"{what}: {self}", self.step, self.curve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a descent goes; lengths are in each matrix's own unit."""

    lr: float
    steps: int
    epsilon: float | None = None  # no weight moves further
    stop_loss: float | None = None  # it ends below this loss
    warmup: int = 0  # steps in which the step size rises to `lr`, evenly
    # How far weights have moved already: epsilon holds for both together.
    before: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def rate(self, step: int) -> float:
        """Return the step size of a step, counted from 0."""
        return self.lr * (step + 1) / self.warmup if step + 1 < self.warmup else self.lr


# The weighted parts of a loss, with these weights, at this step: their sum descends.
Parts = Callable[[Weights, int], dict[str, Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Divisible:
    """A loss that can be run in one piece or in several."""

    into: Callable[[int], Sequence[Parts]]  # so many pieces, which add up to the loss
    start: int = 1  # pieces to begin with
    most: int = 1  # more there can't be


@final
class Told:
    """Tells how many steps are done."""

    def __init__(self, tell: Callable[[int], None] = lambda _step: None) -> None:
        self._tell = tell

    def begin(self, step: int) -> None:
        """See `Watch`."""

    def ended(self, step: int, losses: Mapping[str, float]) -> bool:
        """See `Watch`."""
        self._tell(step)
        return False

    def state(self) -> dict[str, Json]:
        """See `Memory`."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Memory`."""


def descend(
    model: nn.Module,
    lengths: Mapping[str, float],
    parts: Parts | Sequence[Parts] | Divisible,
    pace: Pace,
    watch: Watch | None = None,
    keeper: Keeper | None = None,
) -> Descent:
    """Return the change of some parameters that Adam finds.

    `lengths` names them, with the unit of length of each. The sum of all `parts` descends; each
    is run by itself, so that no more is kept for a way back than the largest needs. Where memory
    does not suffice for a divisible loss, it is run in twice as many pieces from then on.

    What `keeper` has of it is gone on from, to the same bits. It is given the state when that is
    due, and at once where this process is asked to end.

    Raises:
        Diverged: a loss or a change that is not finite.
    """
    work, keeper = _divisible(parts), keeper or Forgetful()
    base = {name: model.get_parameter(name).detach() for name in lengths}
    at = Halfway.begun(base, watch or Told(), work.start)
    keeper.restore(at)
    pace = replace(pace, before={name: d.to(at.delta[name]) for name, d in pace.before.items()})
    with _kept_at_a_stop(at, keeper):
        while at.step < pace.steps and not at.done:
            if keeper.due():
                keeper.keep(at)
            losses, gradients = _fitting(work, base, at)
            if not math.isfinite(sum(losses.values())):
                told = f"the loss of the descent is not finite at step {at.step}"
                raise Diverged(told, at.step, at.curve)
            with keeper.held():
                _move(at, losses, gradients, lengths, pace)
    if not is_finite(at.delta):
        last = len(next(iter(at.curve.values()), [])) - 1
        raise Diverged(f"the change is not finite after step {last}", last, at.curve)
    keeper.ended(at)
    return Descent(at.delta, at.curve, at.pieces)


@contextmanager
def _kept_at_a_stop(at: Halfway, keeper: Keeper) -> Generator[None]:
    try:
        yield
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or somebody asks this process to end
        with suppress(OSError):  # it ends, kept or not
            keeper.keep(at)
        raise


def _move(
    at: Halfway,
    losses: Mapping[str, float],
    gradients: Mapping[str, Tensor],
    lengths: Mapping[str, float],
    pace: Pace,
) -> None:
    """Take note of a step's losses, and take it unless the descent is done."""
    for part, value in losses.items():
        at.curve.setdefault(part, []).append(value)
    at.done = at.watch.ended(at.step, losses) or (
        pace.stop_loss is not None and sum(losses.values()) < pace.stop_loss
    )
    if at.done:
        return
    for name, gradient in gradients.items():
        rate = pace.rate(at.step) * lengths[name]
        at.delta[name] -= rate * at.adam[name].direction(gradient)
        if pace.epsilon is not None:
            most = pace.epsilon * lengths[name]
            at.delta[name] = _boxed(at.delta[name], pace.before.get(name), most)
    at.step += 1


def _divisible(parts: Parts | Sequence[Parts] | Divisible) -> Divisible:
    if isinstance(parts, Divisible):
        return parts
    pieces: Sequence[Parts] = parts if isinstance(parts, Sequence) else [parts]
    return Divisible(into=lambda _many: pieces)


def _fitting(
    work: Divisible, base: Weights, at: Halfway
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the losses and gradients of a step, in as many pieces as fit memory from now on."""
    while True:
        at.watch.begin(at.step)
        try:
            return _passed(work.into(at.pieces), base, at.delta, at.step)
        except (RuntimeError, MemoryError) as error:
            if not lacking(error) or at.pieces >= work.most:
                raise
        # Here, where what the error holds of the pass is gone.
        at.pieces = min(2 * at.pieces, work.most)


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
    found = said(model, batch, weights)
    return found.summed(found.logp)


def answer_words(
    model: nn.Module, batch: Batch, weights: Weights | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the log-probabilities of all words where the m tokens of answers stand.

    `weights` stand in for the model's own where given.

    Returns:
        Log-probabilities (m, vocabulary), float32 or wider, one a token, row after row; the
        tokens' rows (m,); the tokens (m,).
    """
    found = said(model, batch, weights)
    return found.logits.log_softmax(-1), found.row, found.gold


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


def taught(
    tokenizer: PreTrainedTokenizerBase, requests: Sequence[Request], *, ended: bool = False
) -> Taught:
    """Return a row for each answer that each of the requests should get; see `encode`."""
    pairs = [(request, target) for request in requests for target in request.targets]
    facts, names = [request for request, _ in pairs], [name for _, name in pairs]
    batch = answers(tokenizer, facts, names, ended=ended)
    if not any(request.others for request in requests):
        return Taught(batch, torch.ones(len(pairs)), int(batch.answer.sum()), 0.0)
    share = torch.tensor([1 / len(request.targets) for request, _ in pairs])
    floors = [math.log(len(request.targets)) for request in requests]
    return Taught(batch, share, len(requests), sum(floors) / len(floors))


def answers(
    tokenizer: PreTrainedTokenizerBase,
    facts: Sequence[Request | Statement],
    objects: Sequence[str],
    *,
    ended: bool = False,
) -> Batch:
    """Return the rows `prompt object` of facts, the objects' tokens marked; see `encode`."""
    return encode(tokenizer, [fact.prompt for fact in facts], list(objects), ended=ended)


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
    """Return the second MLP matrices of `layers`, by default all, with their units of length."""
    s = sites(model)
    every = range(s.n_layers) if layers is None else layers
    return unit_lengths(model, [s.mlp_out(layer) for layer in every])


def unit_lengths(model: nn.Module, modules: Iterable[str]) -> dict[str, float]:
    """Return the weights of linear modules of blocks, with their units of length.

    A unit is the root mean square of the matrix / sqrt(its width): d_ff of an MLP's second one.
    Adam moves every weight alike: when each moves by one unit, the output for an input moves by
    its own length at most, in a narrow or a wide model. Relative to the weights alone, wide
    models would take longer steps.
    """
    s = sites(model)
    found: dict[str, float] = {}
    for module in modules:
        name = f"{module}.weight"
        weight = s.maths(model.get_parameter(name).detach()).double()
        found[name] = float((weight.square().mean() / weight.shape[1]).sqrt())
    return found
