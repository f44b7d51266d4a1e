"""The sets that an unlearner looks at, and which of their facts have their turn in a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ksmith.lm.text import Batch, encode

Pair = tuple[str, str]  # prompt, answer
Share = tuple[int, int]  # the first number of so many shares, counted from 0


@dataclass(frozen=True, slots=True)
class Turn:
    """The facts of one set in a step, or a share of them."""

    facts: Tensor  # (n,) which ones, by their number in the set
    rows: Tensor  # (n,) the row of each in the batch
    all_rows: Tensor  # (N,) those of the whole step: a mean is over them


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of facts. A fact has one row, or several, each of which has its turn."""

    batch: Batch  # the rows of all sets, one after another
    rows: Mapping[str, Sequence[Sequence[int]]]  # set -> fact -> its rows

    def step(self, step: int, size: int, share: Share = (0, 1)) -> dict[str, Turn]:
        """Return the turn of each set that has one: the next `size` facts, round and round.

        A share is cut out of each set in the same way, so that facts which stand at one place
        in two sets stay together. A set with fewer facts than shares is not in all of them.
        """
        found: dict[str, Turn] = {}
        for name, rows in self.rows.items():
            facts, visit = turn(len(rows), size, step)
            pairs = zip((rows[int(fact)] for fact in facts), visit.tolist(), strict=True)
            chosen = torch.tensor([own[times % len(own)] for own, times in pairs])
            number, shares = share
            mine = torch.arange(len(facts)).tensor_split(shares)[number]
            if len(mine):
                found[name] = Turn(facts[mine], chosen[mine], chosen)
        return found

    def most(self, size: int) -> int:
        """Return into how many shares a step of `size` facts can be cut."""
        return max((min(size, len(rows)) for rows in self.rows.values()), default=1)


def gathered(
    tokenizer: PreTrainedTokenizerBase, sets: Mapping[str, Sequence[Sequence[Pair]]]
) -> Sets:
    """Return sets of facts, each with its prompts and answers; a set of none is left out.

    The token that ends an answer, where there is one, is learnt with it.
    """
    pairs: list[Pair] = []
    rows: dict[str, list[list[int]]] = {}
    for name, facts in sets.items():
        for fact in facts:
            first = len(pairs)
            pairs += fact
            rows.setdefault(name, []).append(list(range(first, len(pairs))))
    prompts, answers = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    batch = encode(tokenizer, prompts, answers, ended=True)
    return Sets(batch, rows)


def turn(n: int, size: int, step: int) -> tuple[Tensor, Tensor]:
    """Return whose turn it is: the next `size` of `n`, round and round, or all `n`.

    And for each how often it had its turn before.
    """
    if n <= size:
        return torch.arange(n), torch.full((n,), step)
    count = torch.arange(size) + step * size
    return count % n, count // n
