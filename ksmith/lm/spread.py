"""Many facts at once, spread over layers: what MEMIT and its successors share.

The aims z of all requests are found on the base weights (`find_aims`); then each layer, from
the lowest, writes an equal share of what is still missing, on the model with the layers below
written. How one layer writes values for keys is the method's own: MEMIT weighs the second
moment, EMMET asks for equality, AlphaEdit keeps out of the directions that text uses.

Meng et al., "Mass-Editing Memory in a Transformer", ICLR 2023, arXiv:2210.07229.

Shapes: b requests of a draw, n rows (requests in their contexts), d = d_model, f = d_ff.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm import guard
from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import Block, LowRank, applied
from ksmith.lm.rows import Rows, prefixes, rows
from ksmith.lm.sites import Sites, sites
from ksmith.lm.solve import compact
from ksmith.lm.suffix import Place
from ksmith.lm.targets import Climb, search
from ksmith.lm.way import Way
from ksmith.records import Json, Request

Write = Callable[[Tensor, Tensor], LowRank]  # keys K (f, b), changes R (d, b) -> change (d, f)


class Spread(Climb, Protocol):
    """The hyperparameters that these methods share, explained in settings/memit.py."""

    @property
    def layers(self) -> tuple[int, ...] | None: ...
    @property
    def guard(self) -> str: ...


def layers_of(hp: Spread, assets: Assets, s: Sites, count: int = 2) -> list[int]:
    """Return the layers to write, lowest first: by default `count` from the trace's peak on.

    Raises:
        UserError: the model has no such layer.
    """
    if hp.layers is not None:
        return [s.layer(layer) for layer in hp.layers]
    peak = s.layer(assets.place(None))
    return list(range(peak, min(peak + count, s.n_layers)))


@dataclass(frozen=True, slots=True)
class Written:
    """A draw's update, and for which keys it was made: layer -> (f, b)."""

    result: Result
    keys: Mapping[int, Tensor]


def write_many(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Spread,
    assets: Assets,
    writes: Mapping[int, Write],
    progress: Progress = silent,
) -> list[Written]:
    """Return what each draw comes to, written by `writes`, lowest layer first.

    `model` stays as it was. The state that goes from batch to batch of a sequence is the
    guard's; a method may add to it.
    """
    requests = [request for draw in draws for request in draw]
    layers = list(writes)
    aims = find_aims(model, requests, layers, hp, assets, progress) if requests else None
    written: list[Written] = []
    start = 0
    for draw in draws:
        stop = start + len(draw)
        mine = aims.of(torch.arange(start, stop)) if aims and draw else None
        made, log, norms = _guarded(model, mine, writes, hp, assets)
        result = Result(
            delta=made.delta,
            log={"layers": layers, "requests": log},
            state=guard.remembered(norms),
        )
        written.append(Written(result, made.keys))
        start = stop
        progress(len(written), len(draws), "draws written")
    return written


@dataclass(frozen=True, slots=True)
class Met:
    """What is met on the way to a layer, at subjects: keys over contexts, else bare prompts."""

    key: Tensor  # (b, f) at the layer
    value: Tensor  # (b, d) that its matrix gives
    stream: Tensor  # (b, d) after the last layer that is written


@dataclass(frozen=True, slots=True)
class Aims:
    """What was found for all requests of all draws, on the base weights."""

    asked: Rows  # the requests in their contexts, without the rows of the KL term
    aim: Tensor  # (b, d) z: the output of the last layer that says the new object
    base: Met  # at the lowest layer
    log: list[dict[str, Json]]

    def of(self, requests: Tensor) -> "Aims":
        """Return what was found for some requests, by their numbers."""
        log, base = [self.log[i] for i in requests.tolist()], self.base
        met = Met(base.key[requests], base.value[requests], base.stream[requests])
        return Aims(self.asked.of(requests), self.aim[requests], met, log)


def find_aims(
    model: nn.Module,
    requests: Sequence[Request],
    layers: Sequence[int],
    hp: Climb,
    assets: Assets,
    progress: Progress,
) -> Aims:
    """Return z for each request, at the last of `layers`, optimised together.

    Departs: behind Gemma's norm a sum of outputs is not the output of a sum: there the search
    is made at the MLP's second matrix, and z is the layer's output with what came of it.
    """
    s, first, last = sites(model), min(layers), max(layers)
    template, kept = assets.stays(requests) if hp.kl_weight else (None, ())
    before = prefixes(assets.contexts, hp.contexts)
    asked = rows(assets.tokenizer, requests, before, template, kept)
    site, block, lowest = s.mlp_out(last), s.block(last), s.mlp_out(first)
    reference = site if s.norm_after_mlp else block
    place = Place(site, s.head, outputs=[reference, site, block, lowest], inputs=[lowest])
    found = search(model, asked, place, hp, progress=progress)
    said = asked.said()
    value, stream, low = (found.seen[name][said.bare] for name in (site, block, lowest))
    base = Met(averaged(said, found.seen[f"{lowest} in"]), low, stream)
    aim = stream + _behind_norm(model, s, last, value, found.delta)
    log = [found.log(i, request) for i, request in enumerate(requests)]
    return Aims(said, aim, base, log)


@dataclass(frozen=True, slots=True)
class _Made:
    """What was written of one draw."""

    delta: dict[str, Block]
    keys: dict[int, Tensor]  # layer -> (f, b), on the model with the layers below written
    solved: list[guard.Solved]  # of each request


def _guarded(
    model: nn.Module,
    aims: Aims | None,
    writes: Mapping[int, Write],
    hp: Spread,
    assets: Assets,
) -> tuple[_Made, list[dict[str, Json]], list[float]]:
    """Return what is written of a draw, each request's log, and the norms of updates so far.

    A request that would disable the model is named in its log; where it is to be skipped, the
    others are written as if it had not been there.
    """
    before = guard.norms(assets.state)
    log: list[dict[str, Json]] = []
    if aims is None:
        return _Made({}, {}, []), log, before
    made = _spread(model, aims, writes)
    left: list[int] = []
    reasons = guard.reasons(made.solved, before)
    for i, (solved, found, reason) in enumerate(
        zip(made.solved, aims.log, reasons, strict=True)
    ):
        log.append({**found, **solved.log(reason)})
        if reason is None or hp.guard != "skip":
            left.append(i)
    if not left:
        made = _Made({}, {}, [])
    elif len(left) < len(aims.log):
        made = _spread(model, aims.of(torch.tensor(left)), writes)
    return made, log, before + [one.norm for one in made.solved]


def _spread(
    model: nn.Module,
    aims: Aims,
    writes: Mapping[int, Write],
) -> _Made:
    """Return the delta that brings the last layer's output to its aim, layer after layer.

    Each layer writes an equal share of what is missing on the model with the layers below
    written.
    """
    s, way = sites(model), Way(model, aims.asked)
    delta: dict[str, Block] = {}
    written: dict[int, Tensor] = {}
    solved: list[list[guard.Solved]] = []
    for turn, (layer, write) in enumerate(writes.items()):
        met = aims.base
        if turn:
            with applied(model, delta):
                keys, value, stream = way.met(layer, max(writes))
            met = Met(averaged(aims.asked, keys), value, stream)
        missing = (aims.aim - met.stream) / (len(writes) - turn)
        K = met.key.T  # (f, b)
        R = _before_norm(model, s, layer, met.value, missing).T  # (d, b)
        block = write(K, R)
        delta[s.weight(layer)] = compact(block.T if s.transposed else block)
        written[layer] = K
        solved.append(guard.of_batch(K, block))
    return _Made(delta, written, [guard.over_layers(one) for one in zip(*solved, strict=True)])


def averaged(asked: Rows, keys: Tensor) -> Tensor:
    """Return each request's key, (b, f): half the bare prompt's, half the others' mean."""
    bare = keys[asked.bare]
    if asked.bare.all():
        return bare
    prefixed = asked.where(~asked.bare).mean(keys[~asked.bare])
    return (bare + prefixed) / 2


# --- Gemma ------------------------------------------------------------------------------------


def _behind_norm(
    model: nn.Module, s: Sites, layer: int, value: Tensor, change: Tensor
) -> Tensor:
    """Return what a change (b, d) of the matrix's output comes to in the residual stream."""
    if not s.norm_after_mlp:
        return change
    norm = model.get_submodule(s.mlp(layer))
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return (norm((value + change).to(dtype)) - norm(value.to(dtype))).to(value.dtype)


def _before_norm(
    model: nn.Module, s: Sites, layer: int, value: Tensor, wanted: Tensor
) -> Tensor:
    """Return the change (b, d) of the matrix's output that adds `wanted` to the stream.

    A norm's output has a fixed length, up to its gains: of the outputs that it can give this is
    the one in the wanted direction, from an input as long as before.
    """
    if not s.norm_after_mlp:
        return wanted
    norm = model.get_submodule(s.mlp(layer))
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        gains = norm(torch.ones_like(value, dtype=dtype)).to(value.dtype)
        output = norm(value.to(dtype)).to(value.dtype) + wanted
    direction = output / torch.where(gains.abs() > 1e-3, gains, 1e-3)
    scale = value.norm(dim=1) / direction.norm(dim=1)
    return direction * scale[:, None] - value
