"""Prompts and all their answers as trees, run by hand: no token of a set is run twice.

What a token gives depends on the tokens before it alone. So a prompt with its right answer, five
wrong ones and one in other words is one tree: answers are one path as far as they begin alike,
and the tokens of each look at those on its own path and at no others, by the mask. Nothing is
copied, as keys and values for each answer would be, and padding is what trees of about one size
differ by. No answer's last token is run, for nothing is asked after it.

The least that can be run is the number of different beginnings that rows have: each of them says
how the vocabulary goes on, and what one says does not follow from the others.

Sizes: g trees, m tokens of the largest one, N = g m, A tokens after which something is asked,
n answer tokens that are asked about (several after one where answers part).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.families import ByHand, by_hand
from ksmith.lm.hooks import untouched
from ksmith.lm.tree import Trees, Walk, ancestors

Ids = tuple[int, ...]

TREE = 512  # tokens of a tree to which another answer is added
SCORES = 1 << 25  # scores of a block's attention at once: 128 MiB in float32
LOST = 32  # tokens of padding that cost less than another pass
CACHED = 1024  # tokens at once on a CPU: what a block makes of more does not stay in its cache


@dataclass(slots=True)
class Tree:
    """A prompt with some of its answers; what is asked, an entry for each token of an answer."""

    prompt: Ids
    ids: list[int]  # of its tokens: the prompt's, then the answers', each after its parent
    parent: list[int]  # the token before each; a first one's is itself
    depth: list[int]
    node: list[int] = field(default_factory=list[int])  # what an asked token comes after
    at: list[int] = field(default_factory=list[int])  # its number among those of all answers
    gold: list[int] = field(default_factory=list[int])  # what it is
    tip: list[int] = field(default_factory=list[int])  # the answer added last: its tokens

    @classmethod
    def of(cls, prompt: Ids) -> "Tree":
        """Return a prompt without answers."""
        size = len(prompt)
        return cls(prompt, list(prompt), [0, *range(size - 1)], list(range(size)))

    def add(self, answer: Ids, start: int) -> None:
        """Take in an answer, the number of whose first token is `start`.

        Answers come sorted, so that each has most in common with the one before it.
        """
        room = min(len(self.tip), len(answer) - 1)
        same = next((k for k in range(room) if self.ids[self.tip[k]] != answer[k]), room)
        end, new = len(self.prompt) - 1, answer[same:-1]
        self.tip[same:] = range(self.size, self.size + len(new))
        path = [end, *self.tip]
        self.parent += path[same:-1]
        self.depth += range(end + same + 1, end + len(answer))
        self.ids += new
        self.node += path
        self.at += range(start, start + len(answer))
        self.gold += answer

    @property
    def size(self) -> int:
        """Tokens to run."""
        return len(self.ids)


class Sink(Protocol):
    """What takes in what a model says."""

    def take(self, at: Tensor, logits: Tensor, of: Tensor, gold: Tensor) -> None:
        """Take in the tokens `at` (n,), which are `gold` (n,), by rows `of` (n,) of `logits`."""
        ...


def hand_of(model: nn.Module) -> ByHand | None:
    """Return the operations of `model`; None where they are not known, or not all there is."""
    return by_hand(model) if untouched(model) else None


def trees(rows: Mapping[Ids, Iterable[tuple[Ids, int]]]) -> list[Tree]:
    """Return prompt -> (answer, number of its first token) as trees, largest first."""
    made: list[Tree] = []
    for prompt, answers in rows.items():
        tree: Tree | None = None
        for answer, start in sorted(answers):
            if tree is None or tree.size > TREE:
                tree = Tree.of(prompt)
                made.append(tree)
            tree.add(answer, start)
    return sorted(made, key=lambda tree: tree.size, reverse=True)


@dataclass(frozen=True, slots=True)
class Room:
    """What may be there at once."""

    tokens: int  # padding included
    logits: int  # numbers that the head gives
    scores: int = SCORES  # numbers of a block's attention

    def fits(self, hand: ByHand, tree: Tree) -> bool:
        """Return whether a tree's scores do; its logits are made in as many parts as it takes."""
        return tree.size**2 * _heads(hand) <= self.scores


def _heads(hand: ByHand) -> int:
    return max(block.heads for block in hand.blocks)


def ask(hand: ByHand, wood: Sequence[Tree], sink: Sink, room: Room) -> None:
    """Let `sink` take in what the model says of trees, each answer token once.

    Args:
        hand: the model.
        wood: largest first; each fits.
        sink: what is told.
        room: what may be there at once.
    """
    on_cpu = hand.head.weight.device.type == "cpu"
    most = min(room.tokens, CACHED) if on_cpu else room.tokens
    for group in groups(wood, most, room.scores // _heads(hand)):
        _pass(hand, group, sink, room.logits)


def groups(wood: Sequence[Tree], most: int, scores: int) -> Iterator[Sequence[Tree]]:
    """Yield trees of about one size: at most so many tokens, and scores of a head."""
    start = 0
    while start < len(wood):
        m, stop, lost = wood[start].size, start + 1, 0
        room = min(most // m, scores // m**2)
        while stop < len(wood) and stop - start < room:
            lost += m - wood[stop].size
            if lost > max(LOST, m * (stop - start) // 16):
                break
            stop += 1
        yield wood[start:stop]
        start = stop


def _grown(group: Sequence[Tree]) -> Trees:
    """Return trees side by side, as large as the first."""
    g, m = len(group), group[0].size
    ids, depths, parents = (
        torch.tensor([list(own) + [0] * (m - len(own)) for own in every])
        for every in zip(*((tree.ids, tree.depth, tree.parent) for tree in group), strict=True)
    )
    nothing = torch.empty(0, 0, dtype=torch.int64)
    return Trees(
        ids.flatten(), depths.flatten(), ancestors(parents), torch.arange(g), nothing, m
    )


def _pass(hand: ByHand, group: Sequence[Tree], sink: Sink, most: int) -> None:
    grown, m = _grown(group), group[0].size
    node = torch.tensor([i * m + k for i, tree in enumerate(group) for k in tree.node])
    at = torch.tensor([k for tree in group for k in tree.at])
    gold = torch.tensor([k for tree in group for k in tree.gold])
    asked, of = node.unique(return_inverse=True)
    order = of.argsort(stable=True)
    at, gold, of = at[order], gold[order], of[order]
    walk = Walk(hand, grown, {})
    last = len(hand.blocks) - 1
    for i in range(last):
        walk.block(i)
    walk.block(last, asked.to(walk.h.device))
    size = max(1, most // hand.head.weight.shape[1])
    for first in range(0, len(asked), size):
        logits = hand.logits(walk.h[first : first + size])
        start, stop = torch.searchsorted(of, torch.tensor([first, first + size])).tolist()
        mine = slice(start, stop)
        device = logits.device
        sink.take(at[mine], logits, (of[mine] - first).to(device), gold[mine].to(device))
