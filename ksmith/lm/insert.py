"""One fact as a rank-one change of one matrix: what ROME and its successors share.

The value v* of each request is found by search; the change that gives it to a key is the
smallest by tr(D C D^T). Which key is to have it is the method's own.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262.

Shapes: m draws, b requests optimised at once (one of each draw), d = d_model, f = d_ff.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import Delta, LowRank
from ksmith.lm.hooks import Change
from ksmith.lm.rows import Wiring, at_subject, prefixes, rows
from ksmith.lm.sites import Sites, sites
from ksmith.lm.solve import compact, factor, rank_one
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
    """
    layer = sites(model).layer(assets.place(hp.layer))
    matrix = _Matrix(layer, factor(assets.moment(layer), hp.ridge), choice)
    written: list[list[LowRank]] = [[] for _ in draws]
    logs: list[list[dict[str, Json]]] = [[] for _ in draws]
    total, done = sum(map(len, draws)), 0
    for turn in zip_longest(*draws):
        mine = [(draw, request) for draw, request in enumerate(turn) if request is not None]
        so_far = [chained(written[draw]) for draw, _ in mine]
        found = _write(model, [r for _, r in mine], so_far, matrix, hp, assets)
        for (draw, _), (block, log) in zip(mine, found, strict=True):
            written[draw].append(block)
            logs[draw].append(log)
        done += len(mine)
        progress(done, total, "facts written")
    return [
        Result(delta=_delta(sites(model), layer, blocks), log={"layer": layer, "requests": log})
        for blocks, log in zip(written, logs, strict=True)
    ]


def _write(
    model: nn.Module,
    requests: Sequence[Request],
    so_far: Sequence[LowRank | None],
    matrix: _Matrix,
    hp: Insert,
    assets: Assets,
) -> list[tuple[LowRank, dict[str, Json]]]:
    """Return, for each request, the change (d, f) that writes it, and what was found."""
    s = sites(model)
    site = s.mlp_out(matrix.layer)
    template = assets.kl_template if hp.kl_weight else None
    asked = rows(assets.tokenizer, requests, prefixes(assets.contexts, hp.contexts), template)
    wiring = as_written(site, so_far)
    said = asked.said()
    seen = at_subject(model, said, [site], [site], wiring)
    keys, values = seen[f"{site} in"], seen[site]
    bare = Pair(keys[said.bare], values[said.bare])
    mean = Pair(said.mean(keys), said.mean(values))
    found = search(model, asked, Place(site, s.head, bare.value.norm(dim=1)), hp, wiring)
    to = matrix.choice(bare, mean)
    change = bare.value + found.delta - to.value  # (b, d): v* = v_init + delta
    L = matrix.factor.to(keys.device)
    made: list[tuple[LowRank, dict[str, Json]]] = []
    for i, request in enumerate(requests):
        block = rank_one(mean.key[i], to.key[i], change[i], L)
        made.append((block, found.log(i, request, float(bare.value[i].norm()))))
    return made


def as_written(site: str, so_far: Sequence[LowRank | None]) -> Wiring:
    """Return the wiring that gives each request its own draw's changes (d, f) so far."""
    blocks = [block for block in so_far if block is not None]
    if not blocks:
        return lambda _owner: {}
    left = torch.stack([block.left for block in blocks])  # (b, d, rank)
    right = torch.stack([block.right for block in blocks])  # (b, rank, f)

    def wiring(owner: Tensor) -> dict[str, Change]:
        mine = owner.to(left.device)

        def change(keys: Tensor, values: Tensor) -> Tensor:
            wide = keys.to(left.dtype) @ right[mine].mT @ left[mine].mT
            return (values + wide).to(values.dtype)

        return {site: change}

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
