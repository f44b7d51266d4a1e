"""Rows from the subject's last token on, again and again, each time with another vector added.

What comes before the subject has been run, once; each pass runs only the tokens from there on,
and only those blocks that the vector can change.
"""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ksmith.lm.blocks import Block, Turn, by_hand
from ksmith.lm.hooks import rewired, watched
from ksmith.lm.rows import Rows, Wiring, run, widened
from ksmith.lm.sites import sites


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vectors are added, and what they are measured by."""

    site: str
    head: str  # the module that gives the logits
    size: Tensor  # (b,) norm of what they are added to


class Suffix(Protocol):
    """The rows of some requests, ready to be run with another vector at the subject."""

    asked: Rows
    place: Place

    def keep(self, requests: Tensor, before: Tensor) -> Tensor:
        """Go on with some requests (b,); return their rows of `before` (KL rows, vocab)."""
        ...

    def logp(self, delta: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return log-probabilities after the tokens at (row, column), (m, vocab) float32.

        Args:
            delta: (b, d), a vector a request.
            row: (m,) which row.
            column: (m,) which token, from the subject's last one on.
        """
        ...


def suffix(model: nn.Module, asked: Rows, place: Place, wiring: Wiring) -> Suffix:
    """Return the rows of `asked`: by hand where the architecture is known, else through modules."""
    s = sites(model)
    layer = next(i for i in range(s.n_layers) if s.mlp_out(i) == place.site)
    blocks = by_hand(model, layer + 1)
    if blocks is None:
        return Through(model, asked, place, wiring)
    return Above(model, asked, place, wiring, s.block(layer), blocks)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _keep(run: Suffix, requests: Tensor, before: Tensor) -> tuple[Tensor | None, Tensor]:
    """Go on with some requests; return the numbers of their rows, None for all, and `before`."""
    staying = requests[run.asked.owner]
    if staying.all():
        return None, before
    before = before[staying[run.asked.stay].to(before.device)]
    run.asked = run.asked.where(staying)
    return staying.nonzero()[:, 0], before


# --- by hand ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Seen:
    """What does not depend on the vector, of each row: all first dimensions are n."""

    stream: Tensor  # (n, t, d) the residual stream after the block that is written to
    past: list[
        tuple[Tensor, Tensor] | None
    ]  # a block above: keys and values before the subject
    masks: dict[int | None, Tensor]  # window -> (n, 1, t, at + t) bool: what a token looks at
    turn: Turn

    def where(self, rows: Tensor) -> "_Seen":
        """Return some rows, by their numbers."""
        return _Seen(
            self.stream[rows],
            [None if kv is None else (kv[0][rows], kv[1][rows]) for kv in self.past],
            {window: mask[rows] for window, mask in self.masks.items()},
            None if self.turn is None else (self.turn[0][rows], self.turn[1][rows]),
        )


class Above:
    """Rows of which the blocks above the written one alone are run, operation by operation."""

    def __init__(
        self,
        model: nn.Module,
        asked: Rows,
        place: Place,
        wiring: Wiring,
        written: str,
        blocks: list[Block],
    ) -> None:
        self.model, self.asked, self.place, self.blocks = model, asked, place, blocks
        first = sites(model).n_layers - len(blocks)
        cache: Any = DynamicCache()  # of whole layers, also where a window is short
        past: list[tuple[Tensor, Tensor] | None] = [None] * len(blocks)
        n, at = len(asked.ids), asked.at
        with torch.no_grad(), rewired(model, n, wiring(asked.owner)):
            if at:
                run(model, asked.ids[:, :at], asked.mask[:, :at], cache, 1)
                past = [(layer.keys, layer.values) for layer in cache.layers[first:]]
            with watched(model, n, [written]) as seen:
                run(model, asked.ids[:, at:], asked.mask, cache, 1)
        stream = seen[written]
        masks = {block.window: _mask(asked, block.window, stream.device) for block in blocks}
        self.seen = _Seen(stream, past, masks, _turn(model, asked, stream))

    def keep(self, requests: Tensor, before: Tensor) -> Tensor:
        """See `Suffix`."""
        rows, before = _keep(self, requests, before)
        if rows is not None:
            self.seen = self.seen.where(rows.to(self.seen.stream.device))
        return before

    def logp(self, delta: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """See `Suffix`."""
        seen = self.seen
        row, column = row.to(seen.stream.device), column.to(seen.stream.device)
        added = delta[self.asked.owner.to(delta.device)]  # (n, d)
        first = (widened(seen.stream[:, 0]) + added).to(seen.stream.dtype)
        h = torch.cat([first[:, None], seen.stream[:, 1:]], 1)
        for block, past in zip(self.blocks[:-1], seen.past[:-1], strict=True):
            x = block.normed(h)
            k, v = _after(past, block.keys_values(x, seen.turn))
            q = block.queries(x, seen.turn)
            h = h + block.attended(q, k, v, seen.masks[block.window])
            h = h + block.fed(h)
        picked = self._last(h, row, column) if self.blocks else h[row, column]
        s = sites(self.model)
        out = self.model.get_submodule(s.head)(self.model.get_submodule(s.norm)(picked))
        return widened(out).log_softmax(-1)

    def _last(self, h: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return what the last block gives at (row, column), (m, d).

        All tokens are looked at, but only those that are asked about look.
        """
        block, seen = self.blocks[-1], self.seen
        x = block.normed(h)
        k, v = _after(seen.past[-1], block.keys_values(x, seen.turn))
        turn = seen.turn
        if turn is not None:
            turn = (turn[0][row, :, column, None], turn[1][row, :, column, None])
        q = block.queries(x[row, column, None], turn)
        mask = seen.masks[block.window][row, :, column, None]
        one = h[row, column, None]  # (m, 1, d)
        one = one + block.attended(q, k[row], v[row], mask)
        return (one + block.fed(one))[:, 0]


def _after(
    past: tuple[Tensor, Tensor] | None, now: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    if past is None:
        return now
    return torch.cat([past[0], now[0]], 2), torch.cat([past[1], now[1]], 2)


def _mask(asked: Rows, window: int | None, device: torch.device) -> Tensor:
    """Return what each token looks at, (n, 1, t, at + t) bool: itself, and what is before it.

    Padding looks at itself, so that nothing is divided by zero there.
    """
    there = torch.arange(asked.ids.shape[1])
    here = there[asked.at :, None]
    near = there <= here
    if window is not None:
        near &= here - there < window
    return ((near & asked.mask[:, None]) | (there == here))[:, None].to(device)


def _turn(model: nn.Module, asked: Rows, stream: Tensor) -> Turn:
    rotary: Any = getattr(getattr(model, "base_model", None), "rotary_emb", None)
    if rotary is None:
        return None
    positions = (asked.mask.cumsum(1) - 1).clamp(min=0)[:, asked.at :]
    cos, sin = rotary(stream, positions.to(stream.device))
    return cos[:, None], sin[:, None]


# --- through modules --------------------------------------------------------------------------


class Through:
    """Rows that the whole model is run on, as transformers has it."""

    def __init__(self, model: nn.Module, asked: Rows, place: Place, wiring: Wiring) -> None:
        self.model, self.asked, self.place, self.wiring = model, asked, place, wiring
        self.cache = DynamicCache(config=getattr(model, "config", None))
        if asked.at:
            with torch.no_grad(), rewired(model, len(asked.ids), wiring(asked.owner)):
                run(model, asked.ids[:, : asked.at], asked.mask[:, : asked.at], self.cache, 1)

    def keep(self, requests: Tensor, before: Tensor) -> Tensor:
        """See `Suffix`."""
        rows, before = _keep(self, requests, before)
        if rows is not None and self.asked.at:
            self.cache.batch_select_indices(rows.to(_device(self.model)))
        return before

    def logp(self, delta: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """See `Suffix`."""
        asked = self.asked
        row, column = row.to(_device(self.model)), column.to(_device(self.model))
        added = delta[asked.owner.to(delta.device)]  # (n, d)

        def add(_given: Tensor, output: Tensor) -> Tensor:
            first = (widened(output[:, 0]) + added).to(output.dtype)
            return torch.cat([first[:, None], output[:, 1:]], 1)

        def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # The head is wide: it sees the tokens that are asked about, no others.
            return (given[0][row, column][None], *given[1:])

        handle = self.model.get_submodule(self.place.head).register_forward_pre_hook(pick)
        cache = copy.copy(self.cache)  # a pass adds to its cache
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        n = len(asked.ids)
        try:
            with (
                rewired(self.model, n, self.wiring(asked.owner)),
                rewired(self.model, n, {self.place.site: add}),
            ):
                logits = run(self.model, asked.ids[:, asked.at :], asked.mask, cache)
        finally:
            handle.remove()
        return widened(logits[0]).log_softmax(-1)
