"""Rows from the subject's last token on, again and again, each time with another vector added.

What comes before the subject has been run, once; each pass runs only the tokens from there on,
and only those blocks that the vector can change: by hand where the architecture is known, else
through transformers' modules.

Shapes: n rows that go on, R with those that end with their subject, b requests, m positions asked
about, N tokens (leads, the subjects' last ones, before later ones), d = d_model.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ksmith.lm.above import First, Layer, Layout, Picks
from ksmith.lm.families import ByHand, by_hand
from ksmith.lm.hooks import rewired
from ksmith.lm.ops import Saved, widened
from ksmith.lm.rows import (
    Parts,
    Rows,
    Wiring,
    at_subject,
    changed,
    looked_at,
    parts_of,
    run,
)
from ksmith.lm.sites import sites
from ksmith.lm.tree import Walk, trees
from ksmith.lm.wanted import Wanted, wanted_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vectors are added, and what they are measured by."""

    site: str
    head: str  # the module that gives the logits
    # (b,) norm of what they are added to; None: of what the first of `outputs` gives at the
    # subject of the bare prompt.
    size: Tensor | None = None
    # What modules up to `site` give, and are given, at subjects is looked at on the way.
    outputs: Sequence[str] = ()
    inputs: Sequence[str] = ()


class Suffix(Protocol):
    """The rows of some requests, ready to be run with another vector at the subject."""

    @property
    def seen(self) -> Mapping[str, Tensor]:
        """What was looked at, of the rows of `Rows.said`, as `rows.at_subject` names it."""
        ...

    def keep(self, requests: Tensor) -> Wanted:
        """Run the rows of some requests, (b,) bool, from now on; return what is wanted of them."""
        ...

    def said(self, delta: Tensor) -> Tensor:
        """Return the logits at each position, (m, vocab) float32, with `delta` (b, d) added."""
        ...

    def gradient(self, of_logits: Tensor) -> Tensor:
        """Return the gradient of the `delta` that was last given, (b, d), from that of logits."""
        ...


def suffix(model: nn.Module, asked: Rows, place: Place, wiring: Wiring) -> Suffix:
    """Return the rows of `asked`: by hand where the architecture is known, else through modules."""
    s = sites(model)
    layer = next(i for i in range(s.n_layers) if s.mlp_out(i) == place.site)
    hand, parts = by_hand(model), parts_of(model, place.outputs, place.inputs)
    if hand is None or parts is None:
        return Through(model, asked, place, wiring)
    return Above(hand, asked, layer, wiring, parts)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


# --- by hand ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leads:
    """The subjects' last tokens, where vectors are added."""

    stream: Tensor  # (R, d) after the written block
    middle: Tensor  # (R, d) ... before its MLP adds to it
    value: Tensor  # (R, d) what the MLP's second matrix gives
    owner: Tensor  # (R,)
    sums: Tensor  # (b, R) whose they are, as a matrix: a product adds up in a fixed order


class Above:
    """Rows of which the blocks above the written one alone are run, operation by operation."""

    @torch.inference_mode()
    def __init__(
        self, hand: ByHand, asked: Rows, layer: int, wiring: Wiring, parts: Parts
    ) -> None:
        """`parts`, of blocks up to `layer`, are looked at."""
        self.hand, self.asked, self.layer = hand, asked, layer
        kin = asked.kin(apart=bool(wiring(asked.owner[:0])))
        self.grown = trees(asked.ids, asked.mask, asked.at, kin)
        walk = Walk(hand, self.grown, changed(hand, wiring(asked.owner[self.grown.row])))
        subject = self.grown.path[asked.is_said, asked.at].to(walk.h.device)
        self.seen: dict[str, Tensor] = {}
        for i in range(layer + 1):
            self.passed = walk.block(i)
            self.seen |= looked_at(self.passed, i, parts, subject, cut=False)
        self.past = self._before(walk)

    def _before(self, walk: Walk) -> list[tuple[Tensor, Tensor]]:
        """Return keys and values of what stands before a subject, two of (N, G, e) a block."""
        first, last = self.layer + 1, len(self.hand.blocks) - 1
        if first > last:
            return []
        if not self.grown.past:
            block = self.hand.blocks[first]
            nothing = self.passed.stream.new_zeros(1, block.groups, block.width)
            return [(nothing, nothing)] * (last + 1 - first)
        walk.cut()
        past = [(passed.k, passed.v) for passed in map(walk.block, range(first, last))]
        return [*past, walk.keys_values(last)]

    @torch.inference_mode()
    def keep(self, requests: Tensor) -> Wanted:
        """See `Suffix`."""
        asked, passed = self.asked, self.passed
        wanted = wanted_of(asked, requests)
        device = passed.stream.device
        rows = wanted.number
        n, later = wanted.n, int(wanted.column.max())
        there = asked.mask[rows, : asked.at]
        start = int(there.int().argmax(1).min()) if there.any() else asked.at
        goes_on = asked.mask[rows[:n], asked.at + 1 :][:, :later].to(device)
        layout = Layout(
            n,
            len(rows),
            later,
            asked.at - start,
            there[:, start:].to(device),
            goes_on.flatten().nonzero()[:, 0],
        )
        path = self.grown.path[rows].to(device)
        lead = path[:, asked.at]
        tokens = torch.cat([lead, path[:n, asked.at + 1 :][:, :later][goes_on]])
        owner = asked.owner[rows].to(device)
        stream = passed.stream[lead]
        sums = owner == torch.arange(asked.b, device=device)[:, None]
        self.leads = _Leads(
            stream,
            passed.middle[lead],
            passed.value[lead],
            owner,
            sums.to(widened(stream[:0]).dtype),
        )
        before = self.grown.beginning().path[rows, start : asked.at].to(device)
        self._lay(layout, tokens, before, wanted)
        return wanted.to(device)

    def _lay(self, layout: Layout, tokens: Tensor, before: Tensor, wanted: Wanted) -> None:
        """Make ready the blocks for tokens (N,) with those of `before` (R, at) before them."""
        stream = self.passed.stream[tokens]
        positions = self.grown.positions.to(tokens.device)[tokens]
        turns = self.hand.turns(stream[:0], positions)
        blocks = self.hand.blocks[self.layer + 1 :]
        picks = picked(layout, wanted)
        self.layers: list[Layer] = []
        self.h, self.final = stream, picks.tokens
        for i, (block, (k, v)) in enumerate(zip(blocks, self.past, strict=True)):
            past, turn = (k[before], v[before]), turns[block.rotary]
            mine = picks if i == len(blocks) - 1 else None
            if i:
                self.layers.append(Layer(block, layout, past, turn, mine))
            else:
                self.layers.append(First(block, layout, past, turn, mine, stream))

    @torch.inference_mode()
    def said(self, delta: Tensor) -> Tensor:
        """See `Suffix`."""
        leads = self.leads
        h, self.of_added = self._added(delta.index_select(0, leads.owner))
        if not self.layers:
            self.h[: len(h)] = h
            h = self.h
        for layer in self.layers:
            h = layer.forward(h)
        y, self.of_norm = self.hand.norm(h if self.layers else h.index_select(0, self.final))
        logits = widened(self.hand.head(y))
        if self.hand.cap is not None:
            logits = self.bent = logits.div_(self.hand.cap).tanh_()
            logits = logits * self.hand.cap
        return logits

    def _added(self, vectors: Tensor) -> tuple[Tensor, Saved]:
        """Return the stream at leads, (R, d), with `vectors` (R, d) added where they are."""
        leads, norm = self.leads, self.hand.blocks[self.layer].after_mlp
        dtype = leads.stream.dtype
        if norm is None:
            return vectors.add(leads.stream).to(dtype), ()
        added, saved = norm(vectors.add(leads.value).to(dtype))
        return added.add_(leads.middle), saved

    @torch.inference_mode()
    def gradient(self, of_logits: Tensor) -> Tensor:
        """See `Suffix`."""
        hand, leads = self.hand, self.leads
        if hand.cap is not None:
            of_logits = torch.addcmul(of_logits, of_logits, self.bent.square(), value=-1)
        of_y = hand.head.back(of_logits.to(leads.stream.dtype))
        of_h = hand.norm.back(self.of_norm, of_y)
        if not self.layers:
            of_h = of_h.new_zeros(self.h.shape).index_copy_(0, self.final, of_h)
        for layer in reversed(self.layers):
            of_h = layer.backward(of_h)
        of_h = of_h[: len(leads.owner)]
        norm = hand.blocks[self.layer].after_mlp
        if norm is not None:
            of_h = norm.back(self.of_added, of_h)
        return leads.sums @ widened(of_h)


def picked(layout: Layout, wanted: Wanted) -> Picks:
    """Return the tokens that the last block has to run: the positions, in their order."""
    device = layout.place.device
    row, column = wanted.row.to(device), wanted.column.to(device)
    first, later = column == 0, column - 1
    places = layout.n * layout.later
    number = torch.zeros(places, dtype=torch.int64, device=device)
    number[layout.place] = torch.arange(layout.leads, layout.tokens, device=device)
    leads, behind = row[first], row[~first] * layout.later + later[~first]
    asked = torch.zeros(places, dtype=torch.bool, device=device)
    asked[behind] = True
    asked = asked.view(layout.n, layout.later)
    # A rectangle: where a row has fewer, other places of it fill up, each once.
    order = (~asked).int().argsort(dim=1, stable=True)
    width = int(asked.sum(1).max()) if layout.later else 0
    slot = order.argsort(1)[row[~first], later[~first]]
    return Picks(
        torch.cat([leads, number[behind]]),
        leads,
        order[:, :width],
        row[~first] * width + slot,
    )


# --- through modules --------------------------------------------------------------------------


class Through:
    """Rows that the whole model is run on, as transformers has it."""

    def __init__(self, model: nn.Module, asked: Rows, place: Place, wiring: Wiring) -> None:
        self.model, self.place, self.wiring = model, place, wiring
        self.asked, self.all = asked, asked
        self.seen: dict[str, Tensor] = {}
        if place.outputs or place.inputs:
            self.seen = at_subject(model, asked.said(), place.outputs, place.inputs, wiring)
        self.whole = DynamicCache(config=getattr(model, "config", None))
        if asked.at:
            with torch.no_grad(), rewired(model, len(asked.ids), wiring(asked.owner)):
                run(model, asked.ids[:, : asked.at], asked.mask[:, : asked.at], self.whole, 1)

    def keep(self, requests: Tensor) -> Wanted:
        """See `Suffix`."""
        wanted = wanted_of(self.all, requests)
        self.asked = wanted.asked
        self.cache = _copied(self.whole)
        if self.asked.at:
            self.cache.batch_select_indices(wanted.number.to(_device(self.model)))
        self.row, self.column = (x.to(_device(self.model)) for x in (wanted.row, wanted.column))
        return wanted.to(_device(self.model))

    def said(self, delta: Tensor) -> Tensor:
        """See `Suffix`."""
        asked = self.asked
        self.leaf = delta.clone().requires_grad_()
        added = self.leaf[asked.owner.to(delta.device)]  # (n, d)

        def add(_given: Tensor, output: Tensor) -> Tensor:
            first = (widened(output[:, 0]) + added).to(output.dtype)
            return torch.cat([first[:, None], output[:, 1:]], 1)

        def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # The head is wide: it sees the tokens that are asked about, no others.
            return (given[0][self.row, self.column][None], *given[1:])

        handle = self.model.get_submodule(self.place.head).register_forward_pre_hook(pick)
        n = len(asked.ids)
        try:
            with (
                torch.enable_grad(),
                rewired(self.model, n, self.wiring(asked.owner)),
                rewired(self.model, n, {self.place.site: add}),
            ):
                # A pass adds to its cache.
                logits = run(
                    self.model, asked.ids[:, asked.at :], asked.mask, _copied(self.cache)
                )
                self.logits = widened(logits[0])
        finally:
            handle.remove()
        return self.logits.detach()

    def gradient(self, of_logits: Tensor) -> Tensor:
        """See `Suffix`."""
        return torch.autograd.grad(self.logits, self.leaf, of_logits)[0]


def _copied(cache: DynamicCache) -> DynamicCache:
    """Return a cache of its own that starts with the same keys and values."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    return made
