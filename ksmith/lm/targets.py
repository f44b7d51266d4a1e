"""The value that a layer should give at the subject for the model to answer anew.

The search for v* (ROME, arXiv:2202.05262, eq. 4) and for z (MEMIT, arXiv:2210.07229, eq. 16):
gradient descent on a vector that is added at the subject's last token, for many requests at
once. Both add it to the output of the MLP's second matrix: in a residual stream that is the
same as adding it to the output of the whole layer, as MEMIT says it.

Requests share no number: each has its own step size, its own stop and its own Adam, so a batch
gives what one by one gives.

Shapes: n rows, b requests, m positions asked about, d = d_model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.adam import Adam
from ksmith.lm.assets import Progress, silent
from ksmith.lm.ops import widened
from ksmith.lm.room import free_bytes
from ksmith.lm.rows import Rows, Wiring, unchanged
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Place, Suffix, suffix
from ksmith.lm.wanted import Wanted
from ksmith.records import Json, Request

_NUMBERS = 2**19  # of one activation in an MLP: more do not fit a core's cache, and are slower
_MANY = 4096  # tokens that keep a GPU busy
_SHARE = 0.4  # of a GPU's free memory, for what blocks keep for their way back
_ALIVE = 0.75  # go on without the requests that have ended once no more than these are left


class Climb(Protocol):
    """The hyperparameters of the search, explained in settings/rome.py and memit.py."""

    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def clamp(self) -> float: ...
    @property
    def kl_weight(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def contexts(self) -> int: ...
    @property
    def absolute(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What the search ended with."""

    delta: Tensor  # (b, d) float32 or wider: what to add at the site
    size: Tensor  # (b,) norm of what it is added to
    loss: Tensor  # (b,) the whole loss at that delta
    curve: Tensor  # (evaluations, b) ... and on the way there; nan after a request's end
    steps: Tensor  # (b,) int: steps taken
    # What `Place` has looked at: module -> (n, width), of the rows of `Rows.said`.
    seen: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    @property
    def first(self) -> Tensor:
        """The loss at the start, (b,)."""
        return self.curve[0]

    def log(self, i: int, request: Request) -> dict[str, Json]:
        """Return what is worth knowing of request `i`."""
        losses = self.curve[: int(self.steps[i]) + 1, i]
        return {
            "id": request.id,
            "steps": int(self.steps[i]),
            "value_norm": float(self.size[i]),
            "change_norm": float(self.delta[i].norm()),
            "loss": [float(f"{loss:.4g}") for loss in losses.tolist()],
        }


def search(
    model: nn.Module,
    asked: Rows,
    place: Place,
    hp: Climb,
    wiring: Wiring = unchanged,
    progress: Progress = silent,
) -> Found:
    """Return the vectors that, added at the subject, make the new objects likely.

    The loss of a request: mean over contexts of the mean over answer tokens of -log p; where the
    target is uniform over m answers, of KL(target || p) = mean over them of -log p(whole answer)
    - log m, whose floor is 0, too; plus
    kl_weight * KL(now || before), the mean over its KL rows, of the token that comes next; plus
    weight_decay * (norm(delta) / size)^2.

    Departs: step and decay go by each request's own norm. Public code has one absolute step, and
    norm(delta) / size^2 as decay, which mean another thing in every model; so it is here where
    `hp` is absolute.
    """
    weight = model.get_submodule(place.site).get_parameter("weight")
    size = widened(weight.new_zeros(asked.b) if place.size is None else place.size)
    found = Found(
        delta=size.new_zeros(asked.b, _width(model)),
        size=size,
        loss=torch.zeros(asked.b, dtype=size.dtype),
        curve=torch.full((hp.steps, asked.b), torch.nan, dtype=size.dtype),
        steps=torch.zeros(asked.b, dtype=torch.int64),
    )
    seen = _Seen(asked)
    done = 0
    for chunk in _chunks(asked, _room(model, place)):
        mine, here = asked.of(chunk), chunk.to(size.device)
        rows = suffix(model, mine, place, lambda owner, chunk=chunk: wiring(chunk[owner]))
        seen.take(rows.seen, chunk)
        if place.size is None:
            bare = asked.bare[asked.is_said] & torch.isin(seen.owner, chunk)
            value = seen.whole[place.outputs[0]][bare.to(size.device)]
            size[seen.owner[bare].to(size.device)] = value.norm(dim=1)
        delta, curve, steps = _climb(rows, size[here], hp, found.delta.shape[1])
        found.delta[here], found.curve[:, chunk], found.steps[chunk] = delta, curve, steps
        found.loss[chunk] = curve.gather(0, steps[None])[0]
        done += len(chunk)
        progress(done, asked.b, "values found")
    return replace(found, seen=seen.whole)


class _Seen:
    """What chunks saw at the subjects of all requests, put together."""

    def __init__(self, asked: Rows) -> None:
        self.owner = asked.owner[asked.is_said]
        self.whole: dict[str, Tensor] = {}

    def take(self, seen: Mapping[str, Tensor], chunk: Tensor) -> None:
        """Take in what was seen of the rows of some requests, (c,), in their order."""
        for name, values in seen.items():
            if name not in self.whole:
                shape = (len(self.owner), values.shape[1])
                self.whole[name] = values.new_zeros(shape)
            mine = torch.isin(self.owner, chunk)
            self.whole[name][mine.to(values.device)] = values


def _width(model: nn.Module) -> int:
    return model.get_submodule(sites(model).norm).get_parameter("weight").shape[0]


def _room(model: nn.Module, place: Place) -> int:
    """Return how many tokens a step had better run at once."""
    weight = model.get_submodule(place.site).get_parameter("weight")
    keys = weight.shape[0 if sites(model).transposed else 1]
    if weight.device.type != "cuda":
        return max(1, _NUMBERS // keys)
    # What blocks keep for their way back: about five times the keys, and ten times the stream.
    kept = (5 * keys + 10 * _width(model)) * weight.element_size() * sites(model).n_layers
    return max(1, min(_MANY, int(free_bytes(weight.device) * _SHARE) // kept))


def _chunks(asked: Rows, most: int) -> list[Tensor]:
    """Return the requests that have rows, in chunks of `most` tokens, of like shapes."""
    tokens = asked.mask[:, asked.at :].sum(1)
    longest, widest = torch.zeros(2, asked.b, dtype=torch.int64)
    longest = longest.scatter_reduce(0, asked.owner, tokens, "amax")
    widest = widest.scatter_reduce(0, asked.owner, asked.mask.sum(1), "amax")
    rows = torch.bincount(asked.owner, minlength=asked.b)
    order = (longest * (asked.ids.shape[1] + 1) + widest).argsort(stable=True)
    chunks: list[list[int]] = []
    room = 0
    for request in order[rows[order] > 0].tolist():
        needed = int(rows[request] * longest[request])
        if needed > room:
            chunks.append([])
            room = most
        chunks[-1].append(request)
        room -= needed
    return [torch.tensor(chunk) for chunk in chunks]


def _climb(rows: Suffix, size: Tensor, hp: Climb, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return delta (b, d), the losses on the way (evaluations, b) and the steps taken (b,)."""
    delta = size.new_zeros(len(size), width)
    # A first step has the norm hp.lr * size where units are relative.
    lr = hp.lr if hp.absolute else hp.lr * size[:, None] / width**0.5
    most, weight = hp.clamp * size, hp.weight_decay / size**2
    adam, told = Adam(delta), _Told(len(size))
    wanted = rows.keep(told.climbing)
    floor = wanted.asked.entropy.to(size)
    running, before = len(size), None
    for step in range(hp.steps):
        losses, of_logits, before = _losses(rows.said(delta), wanted, hp.kl_weight, before)
        decay, pull = _decay(delta, weight, absolute=hp.absolute)
        told.take(losses.add_(decay).sub_(floor), hp.stop_loss)
        # As in public code: the last of `steps` evaluations is not followed by a step.
        if step == hp.steps - 1 or not told.going:
            break
        # The sum over requests, which share nothing: each has the gradient that it has alone.
        gradient = pull.add_(rows.gradient(of_logits))
        moved = _clamped(delta - adam.direction(gradient).mul_(lr), most)
        if told.going < len(size):
            moved = moved.where(told.climbing.to(delta.device)[:, None], delta)
        delta = moved
        if told.going <= _ALIVE * running:
            climbing = told.climbing
            before = before[climbing.to(before.device)[wanted.stay_owner]]
            wanted, running = rows.keep(climbing), told.going
    return delta, told.curve(hp.steps, size.dtype), torch.tensor(told.steps)


class _Told:
    """What each request's evaluations came to, and which requests go on; on the CPU."""

    def __init__(self, count: int) -> None:
        self.losses: list[list[float]] = [[] for _ in range(count)]
        self.climbing = torch.ones(count, dtype=torch.bool)
        self.going = count

    def take(self, losses: Tensor, stop: float) -> None:
        """Take in the losses (b,) of one evaluation; those below `stop` have ended.

        Raises:
            FloatingPointError: one is not finite: it would pass for a finished search.
        """
        going = self.climbing.tolist()
        for i, loss in enumerate(losses.tolist()):
            if not going[i]:
                continue
            if not math.isfinite(loss):
                step = len(self.losses[i])
                raise FloatingPointError(f"the loss of the search is not finite at step {step}")
            self.losses[i].append(loss)
            if loss < stop:
                self.climbing[i] = False
                self.going -= 1

    @property
    def steps(self) -> list[int]:
        """Steps taken, of each request."""
        return [len(losses) - 1 for losses in self.losses]

    def curve(self, evaluations: int, dtype: torch.dtype) -> Tensor:
        """Return the losses (evaluations, b); nan after a request's end."""
        rows = [one + [math.nan] * (evaluations - len(one)) for one in self.losses]
        return torch.tensor(rows, dtype=dtype).T


def _clamped(vectors: Tensor, most: Tensor) -> Tensor:
    """Return `vectors` (b, d), none longer than its `most` (b,); they are written over."""
    # A vector of no length gives infinity, which is clamped too.
    share = most.div(torch.linalg.vector_norm(vectors, dim=1)).clamp_(max=1)
    return vectors.mul_(share[:, None])


def _decay(delta: Tensor, weight: Tensor, *, absolute: bool) -> tuple[Tensor, Tensor]:
    """Return the pull back to no change: its loss (b,) and its gradient (b, d)."""
    if not absolute:
        pull = weight[:, None] * delta
        return (pull * delta).sum(1), pull.mul_(2)
    norm = delta.norm(dim=1)  # without gradient at 0, where the search starts: taken as 0
    unit = delta / norm.clamp(min=torch.finfo(delta.dtype).tiny)[:, None]
    return weight * norm, weight[:, None] * unit


def _losses(
    logits: Tensor, wanted: Wanted, kl_weight: float, before: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return each request's loss (b,) without decay, and the gradient of logits (m, vocab).

    `before` holds log-probabilities (k, vocab) that the KL compares with, and comes back;
    without it, those of now are taken.
    """
    logp = logits.log_softmax(-1)
    p = logp.exp()
    kept, share = logp[wanted.stay_at], p[wanted.stay_at]
    before = kept if before is None else before
    apart = kept - before
    kl = (share * apart).sum(1, keepdim=True)
    each = wanted.stay_share.to(logp.dtype)
    shares = wanted.shares.to(logp.dtype)
    losses = -(shares @ logp[wanted.at, wanted.gold])
    losses.index_add_(0, wanted.stay_owner, kl[:, 0] * each, alpha=kl_weight)
    weight = shares.sum(0)
    of_logits = p.mul_(p.new_zeros(len(p), 1).index_add_(0, wanted.at, weight[:, None]))
    of_logits.index_put_((wanted.at, wanted.gold), -weight, accumulate=True)
    of_kl = share.mul_(apart.sub_(kl)).mul_(each[:, None])
    of_logits.index_add_(0, wanted.stay_at, of_kl, alpha=kl_weight)
    return losses, of_logits, before
