"""Rows on their way up through a model whose layers are written one after another.

What a layer gives hangs on the layers below it alone. So a layer that has been written is gone
through once, as it was written, and not again for each layer above it.

Shapes: n rows, b requests (bare rows), d = d_model, f = d_ff.
"""

import torch
from torch import Tensor, nn

from ksmith.lm.families import ByHand, by_hand
from ksmith.lm.ops import widened
from ksmith.lm.rows import ROWS, Rows, at_subject
from ksmith.lm.sites import sites
from ksmith.lm.tree import Walk, trees


class Way:
    """Rows of requests up to the subject's last token, below a layer that is to be written."""

    def __init__(self, model: nn.Module, asked: Rows) -> None:
        self.model, self.asked, self.s = model, asked, sites(model)
        self.hand = by_hand(model)
        bare, others = (there.nonzero()[:, 0] for there in (asked.bare, ~asked.bare))
        self.bare, self.others = _Party(asked, bare), _Party(asked, others)

    @torch.no_grad()
    def met(self, layer: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is met at the subject with the weights as they are now, float32.

        Keys (n, f) at `layer`, and of bare rows its matrix's values (b, d) and the stream (b, d)
        after block `last`. Layers are asked for from the lowest on, each with all those below
        it written and neither it nor those above.
        """
        if self.hand is None:
            return self._through_modules(layer, last)
        keys, values, stream = self.bare.up(self.hand, layer, last)
        if not len(self.others.rows):
            return keys, values, stream
        both = torch.cat([keys, self.others.up(self.hand, layer, layer)[0]])
        whole = torch.empty_like(both)
        whole[torch.cat([self.bare.rows, self.others.rows]).to(both.device)] = both
        return whole, values, stream

    def _through_modules(self, layer: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        site, block = self.s.mlp_out(layer), self.s.block(last)
        keys = at_subject(self.model, self.asked, [], [site])[f"{site} in"]
        seen = at_subject(self.model, self.asked.where(self.asked.bare), [site, block])
        return keys, seen[site], seen[block]


class _Party:
    """Some of the rows, in walks that stand before one block."""

    def __init__(self, asked: Rows, rows: Tensor) -> None:
        self.asked, self.rows = asked, rows
        self.walks: list[tuple[Walk, Tensor]] = []  # and where subjects are in them
        self.here = 0  # the block that walks stand before

    def _start(self, hand: ByHand) -> None:
        heads = self.asked.take(self.rows).heads()
        for rows in torch.arange(len(heads.ids)).split(ROWS):
            mine = heads.take(rows)
            grown = trees(mine.ids, mine.mask, mine.at, mine.kin(apart=False))
            walk = Walk(hand, grown, {})
            self.walks.append((walk, grown.path[:, mine.at].to(walk.h.device)))

    def up(self, hand: ByHand, layer: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys and values at `layer` and the stream after `last`, of each row."""
        if not self.walks:
            self._start(hand)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for walk, subject in self.walks:
            for i in range(self.here, layer):
                walk.block(i)
            before = walk.h
            met = walk.block(layer, subject if layer == last else None)
            key, value = (x if layer == last else x[subject] for x in (met.key, met.value))
            for i in range(layer + 1, last + 1):
                met = walk.block(i, subject if i == last else None)
            found.append((key, value, met.stream))
            walk.h = before
        self.here = layer
        keys, values, stream = (widened(torch.cat(one)) for one in zip(*found, strict=True))
        return keys, values, stream
