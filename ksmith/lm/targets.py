"""The value that a layer should give at the subject for the model to answer anew.

The search for v* (ROME, arXiv:2202.05262, eq. 4) and for z (MEMIT, arXiv:2210.07229, eq. 16):
gradient descent on a vector that is added at the subject's last token, for many requests at
once. Both add it to the output of the MLP's second matrix: in a residual stream that is the
same as adding it to the output of the whole layer, as MEMIT says it.

Requests share no number: each has its own step size, its own stop and its own Adam, so a batch
gives what one by one gives.

Shapes: n rows, b requests, t tokens from the subject's last one on, d = d_model.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.adam import Adam
from ksmith.lm.assets import Progress, silent
from ksmith.lm.rows import Rows, Wiring, at_subject, unchanged
from ksmith.lm.suffix import Place, Suffix, suffix
from ksmith.records import Json, Request

_TOKENS = 1024  # tokens of one step: more do not fit a core's cache, and are slower


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
    loss: Tensor  # (b,) the whole loss at that delta
    curve: Tensor  # (evaluations, b) ... and on the way there; nan after a request's end
    steps: Tensor  # (b,) int: steps taken

    @property
    def first(self) -> Tensor:
        """The loss at the start, (b,)."""
        return self.curve[0]

    def log(self, i: int, request: Request, size: float) -> dict[str, Json]:
        """Return what is worth knowing of request `i`; `size` is the norm of the value before."""
        losses = self.curve[: int(self.steps[i]) + 1, i]
        return {
            "id": request.id,
            "steps": int(self.steps[i]),
            "value_norm": size,
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

    The loss of a request: mean over contexts of the mean over answer tokens of -log p; plus
    kl_weight * KL(now || before) of the token after the subject in the KL row; plus
    weight_decay * (norm(delta) / size)^2.

    Departs: step and decay go by each request's own norm. Public code has one absolute step, and
    norm(delta) / size^2 as decay, which mean another thing in every model; so it is here where
    `hp` is absolute.
    """
    found = Found(
        delta=place.size.new_zeros(asked.b, _width(model, asked, place.site)),
        loss=torch.zeros(asked.b, dtype=place.size.dtype),
        curve=torch.full((hp.steps, asked.b), torch.nan, dtype=place.size.dtype),
        steps=torch.zeros(asked.b, dtype=torch.int64),
    )
    per_request = max(1, len(asked.ids) // max(1, asked.b)) * asked.gold.shape[1]
    chunk = max(1, _TOKENS // per_request)
    for start in range(0, asked.b, chunk):
        mine = asked.where((asked.owner >= start) & (asked.owner < start + chunk))
        _climb(suffix(model, mine, place, wiring), hp, found)
        progress(min(start + chunk, asked.b), asked.b, "values found")
    return found


def _width(model: nn.Module, asked: Rows, site: str) -> int:
    one = asked.where(torch.arange(len(asked.ids)) == 0)
    return at_subject(model, one, [site])[site].shape[1] if asked.b else 0


def _climb(rows: Suffix, hp: Climb, found: Found) -> None:
    """Fill in `found` for the requests that have rows."""
    delta, size = found.delta, rows.place.size
    # A first step has the norm hp.lr * size where units are relative.
    lr = hp.lr if hp.absolute else hp.lr * size[:, None] / delta.shape[1] ** 0.5
    adam = Adam(delta)
    before: Tensor | None = None
    for step in range(hp.steps):
        leaf = delta.clone().requires_grad_()
        losses, before = _losses(rows, leaf, hp, before)
        asked = rows.asked.present
        now = losses.detach().cpu()
        if not bool(now.isfinite().all()):  # it would pass for a finished search
            raise FloatingPointError(f"the loss of the search is not finite at step {step}")
        found.loss[asked] = found.curve[step, asked] = now[asked]
        climbing = asked & (now >= hp.stop_loss)
        # As in public code: the last of `steps` evaluations is not followed by a step.
        if step == hp.steps - 1 or not climbing.any():
            return
        # The sum over requests, which share nothing: each has the gradient that it has alone.
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        moved = _clamped(delta - lr * adam.direction(gradient), hp.clamp * size)
        on = climbing.to(delta.device)
        delta[on] = moved[on]
        found.steps[climbing] += 1
        before = rows.keep(climbing, before)


def _clamped(vectors: Tensor, most: Tensor) -> Tensor:
    """Return `vectors` (b, d), none longer than its `most` (b,)."""
    norm = vectors.norm(dim=1).clamp(min=torch.finfo(vectors.dtype).tiny)
    return vectors * (most / norm).clamp(max=1)[:, None]


def _losses(
    rows: Suffix, delta: Tensor, hp: Climb, before: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return each request's loss (b,), 0 for those without rows, and what the KL compares with.

    `before` holds log-probabilities (KL rows, vocab); without it, those of now are taken.
    """
    asked, device = rows.asked, delta.device
    row, column = (asked.gold >= 0).nonzero(as_tuple=True)
    stay = asked.stay.nonzero()[:, 0]
    logp = rows.logp(delta, torch.cat([row, stay]), torch.cat([column, stay * 0]))
    said, kept = logp[: len(row)], logp[len(row) :]
    before = kept.detach() if before is None else before
    nll = -said.gather(1, asked.gold[row, column].to(device)[:, None])[:, 0]
    # The mean over the answer's tokens, then over the request's contexts.
    tokens = (asked.gold >= 0).sum(1)
    contexts = torch.bincount(asked.owner[~asked.stay], minlength=asked.b)
    weight = 1 / (tokens[row] * contexts[asked.owner[row]]).to(device)
    losses = delta.new_zeros(asked.b).index_add(0, asked.owner[row].to(device), nll * weight)
    kl = (kept.exp() * (kept - before)).sum(1)
    losses = losses.index_add(0, asked.owner[stay].to(device), hp.kl_weight * kl)
    # The square: norm() has no gradient at 0, where the search starts; torch then says 0.
    length = delta.norm(dim=1) if hp.absolute else delta.square().sum(1)
    decay = hp.weight_decay * length / rows.place.size**2
    return losses + decay * asked.present.to(device), before
