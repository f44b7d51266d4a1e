"""Prompts and all their answers as trees, run by hand: no token of a set is run twice.

What a token gives depends on the tokens before it alone. So a prompt with its right answer, five
wrong ones and one in other words is one tree: answers are one path as far as they begin alike.
Tokens of all trees stand one after another, without padding, and go through all that a block
does to single tokens so. In attention those that a path adds to the tree (its branch) look at
that path: there alone branches of unlike lengths are padded. No answer's last token is run, for
nothing is asked after it.

The least that can be run is the number of different beginnings that rows have: each of them says
how the vocabulary goes on, and what one says does not follow from the others.

Sizes: N tokens, R branches of a part, t tokens of the longest one, S of the longest path, A
tokens after which something is asked, n answer tokens that are asked about (several after one
where answers part), d = d_model, H heads, G groups that share keys and values, e = width.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.blocks import Block
from ksmith.lm.families import ByHand, by_hand
from ksmith.lm.hooks import untouched
from ksmith.lm.ops import by_group, by_token
from ksmith.lm.tree import masked, repeated

Ids = tuple[int, ...]

TREE = 512  # tokens of a tree to which another answer is added
SCORES = 1 << 25  # scores of a block's attention at once: 128 MiB in float32
CACHED = 1024  # tokens at once on a CPU: what a block makes of more does not stay in its cache


@dataclass(slots=True)
class Tree:
    """A prompt with some of its answers; what is asked, an entry for each token of an answer."""

    prompt: Ids
    ids: list[int]  # of its tokens: the prompt's, then what each answer adds
    depth: list[int]  # tokens before each
    # Paths, and how many of their tokens others had before: all but what they add.
    branches: list[tuple[int, list[int]]] = field(default_factory=list[tuple[int, list[int]]])
    node: list[int] = field(default_factory=list[int])  # what an asked token comes after
    at: list[int] = field(default_factory=list[int])  # its number among those of all answers
    gold: list[int] = field(default_factory=list[int])  # what it is
    path: list[int] = field(default_factory=list[int])  # of the answer added last

    @classmethod
    def of(cls, prompt: Ids) -> "Tree":
        """Return a prompt without answers."""
        size = len(prompt)
        return cls(prompt, list(prompt), list(range(size)), path=list(range(size)))

    def add(self, answer: Ids, start: int) -> None:
        """Take in an answer, the number of whose first token is `start`.

        Answers come sorted, so that each has most in common with the one before it.
        """
        head = len(self.prompt)
        old = self.path[head:]
        room = min(len(old), len(answer) - 1)
        same = next((k for k in range(room) if self.ids[old[k]] != answer[k]), room)
        new = answer[same:-1]
        self.path = [*self.path[: head + same], *range(self.size, self.size + len(new))]
        known = head + same if self.branches else 0  # the first path adds the prompt, too
        if known < len(self.path):
            self.branches.append((known, self.path))
        self.ids += new
        self.depth += range(head + same, len(self.path))
        self.node += self.path[head - 1 :]
        self.at += range(start, start + len(answer))
        self.gold += answer

    @property
    def size(self) -> int:
        """Tokens to run."""
        return len(self.ids)

    @property
    def longest(self) -> int:
        """Tokens of the longest path."""
        return max(self.depth) + 1

    @property
    def scores(self) -> int:
        """Scores of a head, about: every branch as long as the longest path."""
        return len(self.branches) * self.longest**2


class Sink(Protocol):
    """What takes in what a model says."""

    def take(self, at: Tensor, logits: Tensor, of: Tensor, gold: Tensor) -> None:
        """Take in the tokens `at` (n,), which are `gold` (n,), by rows `of` (n,) of `logits`."""
        ...


def hand_of(model: nn.Module) -> ByHand | None:
    """Return the operations of `model`; None where they are not known, or not all there is."""
    return by_hand(model) if untouched(model) else None


def trees(rows: Mapping[Ids, Iterable[tuple[Ids, int]]]) -> list[Tree]:
    """Return prompt -> (answer, number of its first token) as trees, longest paths first."""
    made: list[Tree] = []
    for prompt, answers in rows.items():
        tree: Tree | None = None
        for answer, start in sorted(answers):
            if tree is None or tree.size > TREE:
                tree = Tree.of(prompt)
                made.append(tree)
            tree.add(answer, start)
    return sorted(made, key=lambda tree: (tree.longest, tree.size), reverse=True)


@dataclass(frozen=True, slots=True)
class Room:
    """What may be there at once."""

    tokens: int
    logits: int  # numbers that the head gives
    scores: int = SCORES  # numbers of a block's attention

    def fits(self, hand: ByHand, tree: Tree) -> bool:
        """Return whether a tree's scores do; its logits are made in as many parts as it takes."""
        return tree.scores * _heads(hand) <= self.scores


def _heads(hand: ByHand) -> int:
    return max(block.heads for block in hand.blocks)


def ask(hand: ByHand, wood: Sequence[Tree], sink: Sink, room: Room) -> None:
    """Let `sink` take in what the model says of trees, each answer token once.

    Args:
        hand: the model.
        wood: longest paths first; each fits.
        sink: what is told.
        room: what may be there at once.
    """
    on_cpu = hand.head.weight.device.type == "cpu"
    most = min(room.tokens, CACHED) if on_cpu else room.tokens
    for group in groups(wood, most, room.scores // _heads(hand)):
        _pass(hand, group, sink, room.logits)


def groups(wood: Sequence[Tree], most: int, scores: int) -> Iterator[Sequence[Tree]]:
    """Yield trees that are run together: at most so many tokens, and scores of a head."""
    start = 0
    while start < len(wood):
        stop, size, branches = start, 0, 0
        while stop < len(wood):
            size += wood[stop].size
            branches += len(wood[stop].branches)
            if stop > start and (size > most or branches * wood[start].longest ** 2 > scores):
                break
            stop += 1
        yield wood[start:stop]
        start = stop


def _pass(hand: ByHand, group: Sequence[Tree], sink: Sink, most: int) -> None:
    bases = [0]
    for tree in group:
        bases.append(bases[-1] + tree.size)
    each = list(zip(bases, group, strict=False))
    node = torch.tensor([base + k for base, tree in each for k in tree.node])
    at = torch.tensor([k for tree in group for k in tree.at])
    gold = torch.tensor([k for tree in group for k in tree.gold])
    asked, of = node.unique(return_inverse=True)
    order = of.argsort(stable=True)
    at, gold, of = at[order], gold[order], of[order]
    h = _Walk(hand, each).up(asked)
    size = max(1, most // hand.head.weight.shape[1])
    for first in range(0, len(asked), size):
        logits = hand.logits(h[first : first + size])
        start, stop = torch.searchsorted(of, torch.tensor([first, first + size])).tolist()
        mine = slice(start, stop)
        device = logits.device
        sink.take(at[mine], logits, (of[mine] - first).to(device), gold[mine].to(device))


# --- running ----------------------------------------------------------------------------------


class _Part:
    """Branches whose tokens look at their paths together."""

    def __init__(self, branches: Sequence[tuple[int, list[int]]], like: Tensor) -> None:
        """Lay them out.

        Args:
            branches: tokens that are known on a path, and the path, by numbers in 0 to N - 1.
            like: an empty tensor of the dtype and on the device of what is run.
        """
        self.like = like
        width = max(len(path) for _, path in branches)
        added = max(len(path) - known for known, path in branches)
        keys = [path + [0] * (width - len(path)) for _, path in branches]
        asking = [path[known:] + [0] * (added - len(path) + known) for known, path in branches]
        sizes = torch.tensor([[known, len(path)] for known, path in branches])
        self.rows = len(branches)
        queries = torch.tensor(asking)  # (R, t)
        self.keys = torch.tensor(keys).flatten().to(like.device)  # (R S,) which tokens
        self.queries = queries.flatten().to(like.device)  # (R t,)
        # Where tokens stand on their paths; padding as the last of all, and nobody reads it.
        self.depth = (sizes[:, :1] + torch.arange(added)).minimum(sizes[:, 1:] - 1)  # (R, t)
        self.place = torch.arange(width)  # (S,)
        there = torch.arange(added) < sizes[:, 1:] - sizes[:, :1]
        self.inside = there.flatten().nonzero()[:, 0].to(like.device)
        self.token = queries[there].to(like.device)
        self.masks: dict[int | None, Tensor] = {}

    def mask(self, block: Block) -> Tensor:
        """Return what is added to scores, (R G, H/G t, S)."""
        if block.window not in self.masks:
            back = self.depth[:, :, None] - self.place  # how far behind a key is
            seen = back >= 0
            if block.window is not None:
                seen &= back < block.window
            self.masks[block.window] = repeated(masked(seen, self.like), block)
        return self.masks[block.window]

    def look(self, block: Block, q: Tensor, k: Tensor, v: Tensor, into: Tensor) -> None:
        """Write what the tokens of the branches find, into (N, H e)."""
        groups = block.groups
        found, _ = block.looking(
            by_group(q[self.queries], self.rows, groups),
            by_group(k[self.keys], self.rows, groups),
            by_group(v[self.keys], self.rows, groups),
            self.mask(block),
        )
        wide = found.new_empty(len(self.queries), into.shape[1])
        by_token(found, self.rows, groups, wide)
        into[self.token] = wide[self.inside]


class _Walk:
    """The tokens of some trees, on their way through the blocks of a model."""

    def __init__(self, hand: ByHand, each: Sequence[tuple[int, Tree]]) -> None:
        """`each` tree, and where its tokens begin."""
        self.hand = hand
        self.like = hand.blocks[0].q.weight[:0, :0]
        device = self.like.device
        ids = torch.tensor([k for _, tree in each for k in tree.ids]).to(device)
        depths = torch.tensor([k for _, tree in each for k in tree.depth]).to(device)
        self.h, self.turns = hand.stem(ids, depths), hand.turns(self.like, depths)
        branches = [
            (known, [base + k for k in path])
            for base, tree in each
            for known, path in tree.branches
        ]
        # The first branch of a tree has its prompt, and is the longer for it.
        parts = [one for one in branches if not one[0]], [one for one in branches if one[0]]
        self.parts = [_Part(part, self.like) for part in parts if part]

    def up(self, asked: Tensor) -> Tensor:
        """Return the stream after the last block of the tokens in `asked` (A,), as (A, d)."""
        for i in range(len(self.hand.blocks)):
            last = i == len(self.hand.blocks) - 1
            self._block(self.hand.blocks[i], asked.to(self.h.device) if last else None)
        return self.h

    def _block(self, block: Block, only: Tensor | None) -> None:
        x, _ = block.norm(self.h)
        turn = self.turns[block.rotary]
        k, v, _ = block.keys_values(x, turn)
        q, _ = block.queries(x, turn)
        seen = x.new_empty(len(x), block.heads * block.width)
        for part in self.parts:
            part.look(block, q, k, v, seen)
        if only is not None:
            self.h, x, seen = self.h[only], x[only], seen[only]
        self.h, _ = block.leave(self.h, x, seen)
