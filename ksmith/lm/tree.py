"""Rows of tokens as trees: what rows have in common from the start is run once.

Attention is causal: what a token gives depends on the tokens before it and on nothing else. So
rows that begin alike (contexts put before many prompts, a prompt before several answers) are
one path until they part. Which tokens are shared is read off the tokens themselves, never
assumed from the texts.

Shapes: g trees, m tokens of the largest one, N = g m tokens one after another, n rows, at =
tokens before the subject's last one, t = tokens from there on, d = d_model, G groups of heads,
e = width of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ksmith.lm.blocks import Block
from ksmith.lm.families import ByHand
from ksmith.lm.hooks import Change
from ksmith.lm.ops import by_group, by_token

Kin = tuple[int, int]  # rows of one are in one tree


@dataclass(frozen=True, slots=True)
class Trees:
    """Rows as paths; a token's number is its tree * m + its place there."""

    ids: Tensor  # (N,) tokens
    positions: Tensor  # (N,)
    before: Tensor  # (g, m, m) bool: what each token looks at: those before it, and itself
    row: Tensor  # (g,) the first row of each
    path: Tensor  # (n, at + t) the number of each row's tokens; 0 where there is padding
    past: int  # all tokens before a subject's last one are among the first `past` of a tree

    def beginning(self) -> "Trees":
        """Return the trees cut to `past`; so are the paths of what stands before a subject."""
        g, m = self.before.shape[:2]
        cut = slice(0, self.past)
        return Trees(
            self.ids.view(g, m)[:, cut].flatten(),
            self.positions.view(g, m)[:, cut].flatten(),
            self.before[:, cut, cut],
            self.row,
            self.path // m * self.past + self.path % m,
            self.past,
        )


@dataclass(slots=True)
class _Growing:
    """One tree, token by token; a parent comes before its children."""

    ids: list[int] = field(default_factory=list[int])
    parent: list[int] = field(default_factory=list[int])
    depth: list[int] = field(default_factory=list[int])
    past: list[bool] = field(default_factory=list[bool])
    found: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])

    def add(self, tokens: Sequence[int], head: int) -> list[int]:
        """Return the numbers of a row's tokens; `head` of them stand before the subject's last."""
        node, path = -1, list[int]()
        for depth, token in enumerate(tokens):
            child = self.found.get((node, token))
            if child is None:
                child = self.found[node, token] = len(self.ids)
                self.ids.append(token)
                self.parent.append(node)
                self.depth.append(depth)
                self.past.append(False)
            node = child
            if depth < head:
                self.past[node] = True
            path.append(node)
        return path

    def places(self) -> list[int]:
        """Return where each token is to stand: first what is before a subject's last token."""
        order = sorted(range(len(self.ids)), key=lambda node: not self.past[node])
        places = [0] * len(order)
        for place, node in enumerate(order):
            places[node] = place
        return places


def trees(ids: Tensor, mask: Tensor, at: int, kin: Sequence[Kin]) -> Trees:
    """Return rows of tokens (n, at + t), of which `mask` says what is none, as trees."""
    first, length = mask.int().argmax(1).tolist(), mask.sum(1).tolist()
    heads, tokens = mask[:, :at].sum(1).tolist(), ids.tolist()
    growing: dict[Kin, _Growing] = {}
    row, paths = list[int](), list[list[int]]()
    for i, key in enumerate(kin):
        if key not in growing:
            growing[key] = _Growing()
            row.append(i)
        mine = tokens[i][first[i] : first[i] + length[i]]
        paths.append(growing[key].add(mine, heads[i]))
    number = {key: i for i, key in enumerate(growing)}
    places = [tree.places() for tree in growing.values()]
    m, width = max(map(len, places)), ids.shape[1]
    path = [[0] * width for _ in kin]
    for i, (key, mine) in enumerate(zip(kin, paths, strict=True)):
        tree = number[key]
        span = slice(first[i], first[i] + length[i])
        path[i][span] = [tree * m + places[tree][node] for node in mine]
    return _packed(list(growing.values()), places, torch.tensor(row), torch.tensor(path))


def _packed(
    growing: list[_Growing], places: list[list[int]], row: Tensor, path: Tensor
) -> Trees:
    g, m = len(growing), max(map(len, places))
    ids, depths = [[0] * m for _ in growing], [[0] * m for _ in growing]
    parents = [list(range(m)) for _ in growing]  # a first token's parent is itself
    for i, (tree, place) in enumerate(zip(growing, places, strict=True)):
        for node, here in enumerate(place):
            ids[i][here], depths[i][here] = tree.ids[node], tree.depth[node]
            parents[i][here] = place[tree.parent[node]] if tree.parent[node] >= 0 else here
    positions, parent = torch.tensor(depths), torch.tensor(parents)
    before = torch.zeros(g, m, m, dtype=torch.bool)
    seen = torch.arange(m).repeat(g, 1)
    for _ in range(int(positions.max()) + 1):
        before.scatter_(2, seen[..., None], True)
        seen = parent.gather(1, seen)
    past = max(sum(tree.past) for tree in growing)
    return Trees(torch.tensor(ids).flatten(), positions.flatten(), before, row, path, past)


# --- running ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Passed:
    """What was met in a block."""

    stream: Tensor  # (N, d) after the block
    middle: Tensor  # (N, d) ... before its MLP adds to it
    key: Tensor  # (N, f) what the MLP's second matrix is given
    value: Tensor  # (N, d) what it gives
    k: Tensor  # (N, G, e) what later tokens look at
    v: Tensor


class Walk:
    """The tokens of some trees, on their way through the blocks of a model."""

    def __init__(self, hand: ByHand, grown: Trees, changes: Mapping[int, Change]) -> None:
        """`changes` says of which blocks the values differ, whose trees' keys are (g, m, f)."""
        self.hand, self.changes = hand, changes
        weight = hand.blocks[0].q.weight
        self.like = weight[:0, :0]
        self.h = hand.stem(grown.ids.to(weight.device), grown.positions.to(weight.device))
        self._lay(grown)

    def _lay(self, grown: Trees) -> None:
        self.grown = grown
        self.masks: dict[int | None, Tensor] = {}
        self.turns = self.hand.turns(self.like, grown.positions.to(self.like.device))

    def cut(self) -> None:
        """Go on with what stands before a subject's last token."""
        g, m = self.grown.before.shape[:2]
        self._lay(self.grown.beginning())
        self.h = self.h.view(g, m, -1)[:, : self.grown.past].flatten(0, 1)

    def keys_values(self, i: int) -> tuple[Tensor, Tensor]:
        """Return what block `i` lets later tokens look at: two of (N, G, e)."""
        block = self.hand.blocks[i]
        k, v, _ = block.keys_values(block.norm(self.h)[0], self.turns[block.rotary])
        return k, v

    def block(self, i: int, only: Tensor | None = None) -> Passed:
        """Go through block `i`; return what was met in it, by some tokens where they are given.

        With `only` it is the last block on the way: the others do not get through its MLP.
        """
        block, rows = self.hand.blocks[i], len(self.grown.before)
        turn = self.turns[block.rotary]
        x, _ = block.norm(self.h)
        k, v, _ = block.keys_values(x, turn)
        q, _ = block.queries(x, turn)
        groups = block.groups
        found, _ = block.looking(
            by_group(q, rows, groups),
            by_group(k, rows, groups),
            by_group(v, rows, groups),
            self._mask(block),
        )
        seen = found.new_empty(len(x), block.heads * block.width)
        by_token(found, rows, groups, seen)
        if only is not None:
            self.h, x, seen = self.h[only], x[only], seen[only]
        middle, given, _ = block.met(self.h, x, seen)
        key, _ = block.key(given)
        value = block.down(key)
        if i in self.changes:
            shaped = (x.view(rows, -1, x.shape[1]) for x in (key, value))
            value = self.changes[i](*shaped).flatten(0, 1)
        self.h = middle + block.added(value)[0]
        return Passed(self.h, middle, key, value, k, v)

    def _mask(self, block: Block) -> Tensor:
        """Return what is added to scores, (g G, H/G m, m)."""
        if block.window not in self.masks:
            seen = self.grown.before
            if block.window is not None:
                place = self.grown.positions.view(len(seen), -1)
                seen = seen & (place[:, :, None] - place[:, None] < block.window)
            self.masks[block.window] = repeated(masked(seen, self.like), block)
        return self.masks[block.window]


def masked(seen: Tensor, like: Tensor) -> Tensor:
    """Return 0 where `seen`, else minus infinity, in the dtype and on the device of `like`."""
    nothing = torch.zeros(seen.shape, dtype=like.dtype, device=like.device)
    return nothing.masked_fill_(~seen.to(like.device), float("-inf"))


def repeated(mask: Tensor, block: Block) -> Tensor:
    """Return a mask (R, t, S) for all heads of a block: (R G, H/G t, S)."""
    rows, t, keys = mask.shape
    groups, each = block.groups, block.heads // block.groups
    wide = mask[:, None, None].expand(rows, groups, each, t, keys)
    return wide.reshape(rows * groups, each * t, keys)
