"""ROME: write one fact as a rank-one change of one MLP matrix.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262;
with one key in all three places, as in Gupta et al., "Rebuilding ROME", EMNLP 2024,
arXiv:2403.07175.

Shapes: m draws, b requests optimised at once (one of each draw), d = d_model, f = d_ff.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import Delta, LowRank
from ksmith.lm.hooks import Change
from ksmith.lm.rows import Wiring, at_subject, prefixes, rows
from ksmith.lm.sites import Sites, sites
from ksmith.lm.solve import compact, factor, rank_one
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.records import Json, Request
from ksmith.settings.rome import Rome


@dataclass(frozen=True, slots=True)
class _Matrix:
    """What is edited."""

    layer: int
    factor: Tensor  # (f, f) of its second moment, as `solve.factor` gives it


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Rome,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one rank-n delta a draw of n requests; `model` is left as it was.

    The requests of a draw are written one after another, each on the model as written so far.
    The draws go in step: the first request of each, then the second of each, ...

    Departs: the key is the mean over contexts in u, in the denominator and in W k alike, and v*
    is W k plus what was found; public code takes the bare prompt's key for the last two, and
    some of its edits explode.
    """
    layer = sites(model).layer(assets.place(hp.layer))
    matrix = _Matrix(layer, factor(assets.moment(layer), hp.ridge))
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
    hp: Rome,
    assets: Assets,
) -> list[tuple[LowRank, dict[str, Json]]]:
    """Return, for each request, the change (d, f) that writes it, and what was found."""
    s = sites(model)
    site = s.mlp_out(matrix.layer)
    template = assets.kl_template if hp.kl_weight else None
    asked = rows(assets.tokenizer, requests, prefixes(assets.contexts, hp.contexts), template)
    wiring = as_written(site, so_far)
    seen = at_subject(model, asked.said(), [site], [site], wiring)
    key = asked.said().mean(seen[f"{site} in"])  # (b, f)
    value = asked.said().mean(seen[site])  # (b, d)
    found = search(model, asked, Place(site, s.head, value.norm(dim=1)), hp, wiring)
    made: list[tuple[LowRank, dict[str, Json]]] = []
    for i, request in enumerate(requests):
        block = rank_one(key[i], found.delta[i], matrix.factor.to(key.device))
        log = found.log(i, request, float(value[i].norm()))
        made.append((block, log))
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
