"""One pass over a set of prompts, each with its answer and others beside it.

What a truth ratio weighs an answer against (five wrong ones, say) comes after the same prompt.
So a prompt and all its answers are a tree that is run by hand, `lm/forest.py`: nothing that rows
have in common from the start is run twice.

Models that are not known there, those that somebody has hooks in, and trees too large for it go
through transformers. There a prompt with several answers is run once: its last token says how
probable the first token of each of them is, and what they have beyond it goes on from the
prompt's cached keys and values. A prompt with one answer is a row like any other: see
`lm/tokens.py`, which also says what is told of a token. Of other answers that is the mean
log-probability alone.

Sizes: n prompts, p of them run together, m answers or tokens, t tokens of a prompt.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from ksmith.lm import forest
from ksmith.lm.cache import after, fork
from ksmith.lm.families import ByHand
from ksmith.lm.hooks import only_before
from ksmith.lm.ops import widened
from ksmith.lm.text import Batch, encode
from ksmith.lm.tokens import LOGITS, Numbers, Tokens, packed, vocabulary

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A set of n prompts."""

    prompts: Sequence[str]
    answers: Sequence[str]  # (n,) one for each
    others: Sequence[Sequence[str]]  # (n,) any number for each
    keep: Sequence[int] = ()  # answers, rising, of whose tokens the whole distribution is told


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model makes of a set."""

    tokens: Tokens  # of the answers, in order
    others: list[list[float]]  # mean log-probability of the tokens of each other answer, nats
    whole: (
        Tensor  # (tokens of the answers in `keep`, vocab) log-probability of every word, nats
    )


def look(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    asked: Asked,
    *,
    batch_tokens: int = 8192,
    batch_logits: int = LOGITS,
    batch_scores: int = forest.SCORES,
) -> Seen:
    """Return what `model` makes of the answers, and of others after the same prompts.

    A row that is there twice is run once. `batch_tokens` bounds the tokens, padding and those
    cached included, that the model sees at once, `batch_logits` the numbers that its head gives,
    `batch_scores` those of a block's attention, where a tree is run by hand; neither they nor
    the order of rows change a number beyond rounding.

    The token that ends an answer, where the form of the tokenizer has one, is its last.

    Raises:
        UserError: see `encode`; nothing is cut.
    """
    prompts, answers, others, keep = asked.prompts, asked.answers, asked.others, asked.keep
    places: dict[tuple[str, str], int] = {}
    mine = [places.setdefault(row, len(places)) for row in zip(prompts, answers, strict=True)]
    count = len(places)  # rows of which all is asked; the rest are others
    theirs = [
        [places.setdefault((prompt, end), len(places)) for end in ends]
        for prompt, ends in zip(prompts, others, strict=True)
    ]
    batch = encode(
        tokenizer, [prompt for prompt, _ in places], [end for _, end in places], ended=True
    )
    rows = _Rows(batch, count, keep=[mine[i] for i in keep])
    hand = forest.hand_of(model)
    with torch.inference_mode():
        if hand is not None:
            room = forest.Room(batch_tokens, batch_logits, batch_scores)
            forest.ask(hand, rows.trees(hand, room), rows, room)
        for at, logits, gold in packed(model, batch, rows.alone(), batch_tokens, batch_logits):
            rows.put(at, logits, gold)
        for group in rows.groups(batch_tokens):
            _ask(model, rows, group, batch_tokens, batch_logits)
    means = rows.means()
    return Seen(
        rows.numbers.made().of(torch.tensor(mine, dtype=torch.int64)),
        [[means[i] for i in ends] for ends in theirs],
        _kept(rows, [mine[i] for i in keep]),
    )


def _kept(rows: "_Rows", keep: Sequence[int]) -> Tensor:
    """Return the distributions of the rows in `keep`, in that order."""
    whole, slot = rows.numbers.whole(), rows.numbers.keep.cumsum(0) - 1
    spans = [slot[rows.start[i] : rows.start[i] + rows.counts[i]] for i in keep]
    return whole[torch.cat(spans)] if spans else whole


class _Rows:
    """All different rows: first those of which all is asked, then others."""

    def __init__(self, batch: Batch, count: int, keep: Sequence[int]) -> None:
        self.batch, self.count = batch, count
        counts = batch.answer.sum(1)
        self.counts: list[int] = counts.tolist()
        self.start: list[int] = (counts.cumsum(0) - counts).tolist()
        self.full = sum(self.counts[:count])  # tokens of which all is asked
        kept = torch.zeros(len(counts), dtype=torch.bool)
        kept[list(keep)] = True
        self.numbers = Numbers(counts[:count], kept[:count].repeat_interleave(counts[:count]))
        self._logp: Tensor | None = None  # (tokens of others,)
        self.ends: list[Ids] = []
        self.of: defaultdict[Ids, list[int]] = defaultdict(list)  # prompt -> its rows
        for i, (ids, length) in enumerate(
            zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True)
        ):
            cut = length - self.counts[i]
            self.of[tuple(ids[:cut])].append(i)
            self.ends.append(tuple(ids[cut:length]))

    def trees(self, hand: ByHand, room: forest.Room) -> list[forest.Tree]:
        """Return rows as trees, largest first, and go on without them: the rest are too large."""
        wood = forest.trees(
            {
                prompt: [(self.ends[i], self.start[i]) for i in mine]
                for prompt, mine in self.of.items()
            }
        )
        large = {tree.prompt for tree in wood if not room.fits(hand, tree)}
        for prompt in self.of.keys() - large:
            del self.of[prompt]
        return [tree for tree in wood if tree.prompt not in large]

    def alone(self) -> Tensor:
        """Return the rows that share their prompt with none."""
        found = sorted(rows[0] for rows in self.of.values() if len(rows) == 1)
        return torch.tensor(found, dtype=torch.int64)

    def groups(self, batch_tokens: int) -> Iterator[list[Ids]]:
        """Yield prompts of several rows, those of one length together, longest first."""
        lengths: defaultdict[int, list[Ids]] = defaultdict(list)
        for prompt, rows in self.of.items():
            if len(rows) > 1:
                lengths[len(prompt)].append(prompt)
        for length in sorted(lengths, reverse=True):
            size = max(1, batch_tokens // length)
            for start in range(0, len(lengths[length]), size):
                yield lengths[length][start : start + size]

    def put(self, at: Tensor, logits: Tensor, gold: Tensor) -> None:
        """Take in logits (m, vocab) of the tokens `at` (m,), which are `gold` (m,)."""
        all_of_it = at < self.full
        inside = all_of_it.to(logits.device)
        if all_of_it.all():
            self.numbers.put(at, logits, gold)
            return
        rest = logits[~inside]
        logp = rest.gather(1, gold[~inside, None])[:, 0] - rest.logsumexp(-1)
        self.put_others(at[~all_of_it], logp)
        if all_of_it.any():
            self.numbers.put(at[all_of_it], logits[inside], gold[inside])

    def take(self, at: Tensor, logits: Tensor, of: Tensor, gold: Tensor) -> None:
        """Take in the tokens `at` (n,), which are `gold` (n,), by rows `of` (n,) of `logits`."""
        log_z = logits.logsumexp(-1)
        full = at < self.full
        inside = full.to(logits.device)
        rest = ~inside
        self.put_others(at[~full], logits[of[rest], gold[rest]] - log_z[of[rest]])
        if full.any():
            mine = of[inside]
            self.numbers.put(at[full], logits[mine], gold[inside], log_z[mine])

    def put_others(self, at: Tensor, logp: Tensor) -> None:
        """Take in the log-probabilities (m,) of tokens `at` (m,) of other answers."""
        if self._logp is None:
            self._logp = logp.new_empty(sum(self.counts) - self.full, device="cpu")
        self._logp[at - self.full] = logp.cpu()

    def means(self) -> list[float]:
        """Return the mean log-probability of the tokens of every row, answers and others."""
        own = self.numbers.made().logp
        parts = own if self._logp is None else torch.cat([own.to(self._logp), self._logp])
        return [float(part.double().mean()) for part in parts.split(self.counts)]


def _ask(
    model: nn.Module, rows: _Rows, prompts: Sequence[Ids], batch_tokens: int, batch_logits: int
) -> None:
    """Fill in what the model says to prompts of one length, each with several answers."""
    device = next(model.parameters()).device
    ids = torch.tensor(prompts, device=device)  # (p, t)
    cache = DynamicCache(config=getattr(model, "config", None))
    said = model(input_ids=ids, use_cache=True, logits_to_keep=1, **after(model, cache)).logits
    _first(rows, prompts, widened(said[:, -1]))
    longer = [(j, i) for j, prompt in enumerate(prompts) for i in rows.of[prompt]]
    longer = sorted(
        (x for x in longer if rows.counts[x[1]] > 1), key=lambda x: rows.counts[x[1]]
    )
    most = max(1, batch_logits // vocabulary(model))
    while longer:
        # Longest first, each as long as the first of its batch: the least padding.
        width = rows.counts[longer[-1][1]] - 1
        size = max(1, min(batch_tokens // (ids.shape[1] + width), most // width))
        _rest(model, rows, cache, longer[-size:])
        del longer[-size:]


def _first(rows: _Rows, prompts: Sequence[Ids], logits: Tensor) -> None:
    """Fill in the first token of every answer from the logits (p, vocab) after its prompt."""
    pairs = [(j, i) for j, prompt in enumerate(prompts) for i in rows.of[prompt]]
    for full in (False, True):
        mine = [(j, i) for j, i in pairs if (i < rows.count) == full]
        if not mine:
            continue
        at = torch.tensor([rows.start[i] for _, i in mine])
        of = torch.tensor([j for j, _ in mine], device=logits.device)
        gold = torch.tensor([rows.ends[i][0] for _, i in mine], device=logits.device)
        if full:
            rows.numbers.put(at, logits[of], gold)
        else:
            rows.put_others(at, logits[of, gold] - logits.logsumexp(-1)[of])


def _rest(model: nn.Module, rows: _Rows, cache: Any, some: Sequence[tuple[int, int]]) -> None:
    """Fill in further tokens of some rows, given as (place of the prompt in `cache`, row)."""
    device = next(model.parameters()).device
    width = max(rows.counts[i] for _, i in some) - 1
    # Padding is on the right, where causal attention does not look.
    ends = [rows.ends[i][:-1] + (0,) * (width + 1 - rows.counts[i]) for _, i in some]
    places = [(j, c) for j, (_, i) in enumerate(some) for c in range(1, rows.counts[i])]
    row, column = (torch.tensor(x, device=device) for x in zip(*places, strict=True))
    at = torch.tensor([rows.start[some[j][1]] + c for j, c in places])
    gold = torch.tensor([rows.ends[some[j][1]][c] for j, c in places], device=device)
    ids = torch.tensor(ends, device=device)
    with only_before(model, row, column):
        own = fork(cache, torch.tensor([j for j, _ in some], device=device))
        logits = model(input_ids=ids, use_cache=True, **after(model, own)).logits[0]
    rows.put(at, widened(logits), gold)
