"""One fact as a rank-one change of one matrix: what ROME and its successors share.

The value v* of each request is found by search; the change that gives it to a key is the
smallest by tr(D C D^T). Which key is to have it is the method's own.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262.

Shapes: m draws, b requests optimised at once (one of each draw), d = d_model, f = d_ff.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm import guard
from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import Delta, LowRank
from ksmith.lm.hooks import Change
from ksmith.lm.rows import Wiring, prefixes, rows
from ksmith.lm.sites import Sites, sites
from ksmith.lm.solve import compact, rank_one
from ksmith.lm.suffix import Place
from ksmith.lm.targets import Climb, search
from ksmith.records import Json, Request


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of the matrix and the value that it has now, of each request."""

    key: Tensor  # (b, f)
    value: Tensor  # (b, d)


Choice = Callable[[Pair, Pair], Pair]  # of the bare prompt, the mean over contexts -> one


class Insert(Climb, Protocol):
    """The hyperparameters that these methods share, explained in settings/rome.py."""

    @property
    def guard(self) -> str: ...
    @property
    def layer(self) -> int | None: ...
    @property
    def ridge(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Matrix:
    """What is edited, and which of its keys is given the new value."""

    layer: int
    factor: Tensor  # (f, f) of its second moment, as `solve.factor` gives it
    choice: Choice


def insert(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Insert,
    assets: Assets,
    choice: Choice,
    progress: Progress = silent,
) -> list[Result]:
    """Return one rank-n delta a draw of n requests; `model` is left as it was.

    The requests of a draw are written one after another, each on the model as written so far.
    The draws go in step: the first request of each, then the second of each, ...

    The state that goes from batch to batch of a sequence is that of the guard.
    """
    layer = sites(model).layer(assets.place(hp.layer))
    device = next(model.parameters()).device
    matrix = _Matrix(layer, assets.factor(layer, hp.ridge, device), choice)
    so_far = [_Written(norms=guard.norms(assets.state)) for _ in draws]
    total, done = sum(map(len, draws)), 0
    for turn in zip_longest(*draws):
        mine = [(draw, request) for draw, request in enumerate(turn) if request is not None]
        before = [chained(so_far[draw].blocks) for draw, _ in mine]
        found = _write(model, [r for _, r in mine], before, matrix, hp, assets)
        for (draw, _), solved in zip(mine, found, strict=True):
            so_far[draw].add(solved, skip=hp.guard == "skip")
        done += len(mine)
        progress(done, total, "facts written")
    return [
        Result(
            delta=_delta(sites(model), layer, draw.blocks),
            log={"layer": layer, "requests": draw.log},
            state=guard.remembered(draw.norms),
        )
        for draw in so_far
    ]


@dataclass(frozen=True, slots=True)
class _Solved:
    """The change (d, f) that writes a request, what the guard sees of it, and its search's log."""

    block: LowRank
    guard: guard.Solved
    log: dict[str, Json]


@dataclass(slots=True)
class _Written:
    """What has been written of one draw."""

    norms: list[float]  # of the updates, those of earlier batches first
    blocks: list[LowRank] = field(default_factory=list[LowRank])
    log: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])

    def add(self, solved: _Solved, skip: bool) -> None:
        """Take in one request's change, unless it would disable the model and `skip` says so."""
        reason = guard.reason(solved.guard, self.norms)
        self.log.append({**solved.log, **solved.guard.log(reason)})
        if reason is None or not skip:
            self.norms.append(solved.guard.norm)
            self.blocks.append(solved.block)


def _write(
    model: nn.Module,
    requests: Sequence[Request],
    so_far: Sequence[LowRank | None],
    matrix: _Matrix,
    hp: Insert,
    assets: Assets,
) -> list[_Solved]:
    """Return, for each request, the change (d, f) that writes it."""
    s = sites(model)
    site = s.mlp_out(matrix.layer)
    template, kept = assets.stays(requests) if hp.kl_weight else (None, ())
    before = prefixes(assets.contexts, hp.contexts)
    asked = rows(assets.tokenizer, requests, before, template, kept)
    wiring = as_written(site, so_far)
    place = Place(site, s.head, outputs=[site], inputs=[site])
    found = search(model, asked, place, hp, wiring)
    keys, values = found.seen[f"{site} in"], found.seen[site]
    said = asked.said()
    bare = Pair(keys[said.bare], values[said.bare])
    mean = Pair(said.mean(keys), said.mean(values))
    to = matrix.choice(bare, mean)
    change = bare.value + found.delta - to.value  # (b, d): v* = v_init + delta
    made: list[_Solved] = []
    for i, request in enumerate(requests):
        block = rank_one(mean.key[i], to.key[i], change[i], matrix.factor)
        seen = guard.of_pair(mean.key[i], to.key[i], block)
        made.append(_Solved(block, seen, found.log(i, request)))
    return made


_COPIED = 2**26  # numbers of changes that may be copied for the rows of a pass


def as_written(site: str, so_far: Sequence[LowRank | None], copied: int = _COPIED) -> Wiring:
    """Return the wiring that gives each request its own draw's changes (d, f) so far.

    All rows at once, each with a copy of its request's changes; where those are more than
    `copied` numbers, because thousands have been written, one request after another.
    """
    blocks = [block for block in so_far if block is not None]
    if not blocks:
        return lambda _owner: {}
    rank = max(block.left.shape[1] for block in blocks)  # where one was skipped it is less
    left = blocks[0].left.new_zeros(len(so_far), blocks[0].shape[0], rank)  # (b, d, rank)
    right = blocks[0].right.new_zeros(len(so_far), rank, blocks[0].shape[1])  # (b, rank, f)
    for i, block in enumerate(so_far):
        if block is not None:
            left[i, :, : block.left.shape[1]] = block.left
            right[i, : block.right.shape[0]] = block.right

    def wiring(owner: Tensor) -> dict[str, Change]:
        mine = owner.to(left.device)

        def at_once(keys: Tensor, values: Tensor) -> Tensor:
            wide = keys.to(left.dtype) @ right[mine].mT @ left[mine].mT
            return (values + wide).to(values.dtype)

        def in_turn(keys: Tensor, values: Tensor) -> Tensor:
            changed = torch.empty_like(values)
            for i in owner.unique().tolist():
                rows = (owner == i).nonzero()[:, 0].to(left.device)
                wide = keys[rows].to(left.dtype) @ right[i].mT @ left[i].mT
                changed[rows] = (values[rows] + wide).to(values.dtype)
            return changed

        many = len(owner) * (left[0].numel() + right[0].numel()) > copied
        return {site: in_turn if many else at_once}

    return wiring


def chained(blocks: Sequence[LowRank]) -> LowRank | None:
    """Return the sum of blocks in float32, or None where there is none."""
    if not blocks:
        return None
    return LowRank(
        torch.cat([block.left for block in blocks], 1).float(),
        torch.cat([block.right for block in blocks], 0).float(),
    )


def _delta(s: Sites, layer: int, blocks: Sequence[LowRank]) -> Delta:
    """Return the sum of blocks (d, f), in the layout of the weight."""
    if not blocks:
        return {}
    whole = LowRank(
        torch.cat([block.left for block in blocks], 1),
        torch.cat([block.right for block in blocks], 0),
    )
    return {s.weight(layer): compact(whole.T if s.transposed else whole)}
