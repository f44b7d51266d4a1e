"""What a model makes of every token of an answer, from one pass over a set of rows.

The metrics of unlearning (probability, truth ratio, extraction strength, exact memorisation,
membership inference by loss, zlib, min-k and min-k++) are arithmetic on four numbers a token.
So a set goes through the model once: rows that are about as long together, padded on the right,
and the head sees the tokens before those of answers and no others. Of the distribution over the
vocabulary two moments are kept, never the distribution.

    p_t        over the vocabulary, after the tokens before t
    logp_t     log p_t(y_t)
    hit_t      y_t is the most probable token
    mean_t     E_{z ~ p_t} log p_t(z)                     Zhang et al. 2024, arXiv:2404.02936
    std_t      the standard deviation of log p_t(z), z ~ p_t

Sizes: n rows, T answer tokens of all rows, row after row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedTokenizerBase

from ksmith.lm.hooks import only_before
from ksmith.lm.ops import widened
from ksmith.lm.score import score
from ksmith.lm.text import Batch, encode
from ksmith.records import Question

LOGITS = 1 << 25  # numbers in one block of logits: 128 MiB in float32


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of answer tokens, on the CPU, in float32 or wider."""

    counts: Tensor  # (n,) int64 tokens of each answer, all > 0
    logp: Tensor  # (T,) nats
    hit: Tensor  # (T,) bool
    mean: Tensor  # (T,) nats
    std: Tensor  # (T,) nats

    def of(self, rows: Tensor) -> "Tokens":
        """Return the numbers of some rows (m,), in that order, each as often as it is named."""
        counts = self.counts[rows]
        start = (self.counts.cumsum(0) - self.counts)[rows]
        inside = torch.arange(int(counts.sum())) - (
            counts.cumsum(0) - counts
        ).repeat_interleave(counts)
        at = start.repeat_interleave(counts) + inside
        return Tokens(counts, self.logp[at], self.hit[at], self.mean[at], self.std[at])


def tokens(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[str],
    *,
    batch_tokens: int = 8192,
    batch_logits: int = LOGITS,
) -> Tokens:
    """Return what the model makes of the tokens of `answers`, each after its prompt.

    A row that is there twice is run once. `batch_tokens` bounds the tokens of a pass, padding
    included, `batch_logits` the numbers that its head gives; neither they nor the order of rows
    change a number beyond rounding. A start token
    belongs to the prompt, and no end token is asked for.

    Raises:
        UserError: see `encode`; nothing is cut.
    """
    places: dict[tuple[str, str], int] = {}
    turn = [places.setdefault(row, len(places)) for row in zip(prompts, answers, strict=True)]
    batch = encode(tokenizer, [prompt for prompt, _ in places], [end for _, end in places])
    found = Numbers(batch.answer.sum(1))
    every = torch.arange(len(batch.ids))
    with torch.inference_mode():
        for at, logits, gold in packed(model, batch, every, batch_tokens, batch_logits):
            found.put(at, logits, gold)
    return found.made().of(torch.tensor(turn, dtype=torch.int64))


class Numbers:
    """Numbers of answer tokens, filled in as passes give them, in any order."""

    def __init__(self, counts: Tensor, keep: Tensor | None = None) -> None:
        """Begin with nothing.

        Args:
            counts: (n,) tokens of each answer.
            keep: (T,) bool: tokens of whose place the whole distribution is kept.
        """
        self.counts = counts
        self.keep = torch.zeros(int(counts.sum()), dtype=torch.bool) if keep is None else keep
        self._slot = self.keep.cumsum(0) - 1
        self._found: tuple[Tensor, ...] = ()
        self._whole: Tensor | None = None

    def put(
        self, at: Tensor, logits: Tensor, gold: Tensor, log_z: Tensor | None = None
    ) -> None:
        """Fill in the tokens `at` (m,), which are `gold` (m,), from `logits` (m, vocab).

        The logits are overwritten. `log_z` (m,) are the logarithms of their sums, if known.
        """
        kept = self.keep[at]
        if kept.any():
            mine = logits[kept.to(logits.device)]
            if self._whole is None:
                self._whole = mine.new_empty(
                    (int(self.keep.sum()), mine.shape[1]), device="cpu"
                )
            self._whole[self._slot[at[kept]]] = mine.log_softmax(-1).cpu()
        parts = [part.cpu() for part in moments(logits, gold, log_z)]
        if not self._found:
            self._found = tuple(part.new_empty(len(self.keep)) for part in parts)
        for whole, part in zip(self._found, parts, strict=True):
            whole[at] = part

    def made(self) -> Tokens:
        """Return what was filled in."""
        none = torch.empty(0)
        found = self._found or (none, none.bool(), none, none)
        # Tensors of inference mode take part in nothing else.
        return Tokens(self.counts, *(part.clone() for part in found))

    def whole(self) -> Tensor:
        """Return the log-probabilities (kept, vocab) of all words where `keep` says, nats."""
        return torch.empty(0, 0) if self._whole is None else self._whole.clone()


def packed(
    model: nn.Module, batch: Batch, rows: Tensor, batch_tokens: int, batch_logits: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield places (m,) among all answer tokens of `batch`, their logits (m, vocab), the tokens.

    Of some `rows` of it, those of about one length together, each once.
    """
    counts = batch.answer.sum(1)
    ends = counts.cumsum(0)
    most = max(1, batch_logits // vocabulary(model))
    for group in _packed(_cut(batch, rows), batch_tokens, most) if len(rows) else ():
        mine = rows[group]
        spans = [torch.arange(int(ends[i] - counts[i]), int(ends[i])) for i in mine.tolist()]
        yield torch.cat(spans), *answer_logits(model, _cut(batch, mine))


def vocabulary(model: nn.Module) -> int:
    """Return how many words the head of `model` gives a logit."""
    return int(getattr(model, "config").vocab_size)  # noqa: B009 typed as a plain module


def moments(
    logits: Tensor, gold: Tensor, log_z: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p of `gold` (m,), whether it is the most probable, mean and deviation of log p.

    Ties of the most probable go to the word of the lowest number, as argmax has it.

    Args:
        logits: (m, vocab), float32 or wider; overwritten.
        gold: (m,).
        log_z: (m,) log sum exp of the logits, where it is known.
    """
    hit = logits.argmax(-1) == gold
    logits -= (logits.logsumexp(-1) if log_z is None else log_z)[:, None]  # log p
    logp = logits.gather(-1, gold[:, None])[:, 0]
    p = logits.exp()
    # A word without any probability adds nothing: 0 * -inf would be no number.
    logits.clamp_(min=torch.finfo(logits.dtype).min / 2)
    mean = (p * logits).sum(-1)
    logits -= mean[:, None]
    return logp, hit, mean, p.mul_(logits).mul_(logits).sum(-1).clamp(min=0).sqrt()


def answer_logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the logits (m, vocab) where the m tokens of answers stand, and these tokens (m,).

    Row after row; float32 or wider. Padding is on the right, where causal attention does not
    look, and is asked nothing.
    """
    row, column = batch.answer.nonzero(as_tuple=True)
    ids = batch.ids[:, :-1].to(next(model.parameters()).device)
    with only_before(model, row.to(ids.device), column.to(ids.device)):
        logits = model(input_ids=ids, use_cache=False).logits[0]
    return widened(logits), batch.ids[row, column].to(ids.device)


def _packed(batch: Batch, most: int, answers: int) -> Iterator[Tensor]:
    """Yield which rows go through together, longest first: few tokens of padding.

    At most `most` tokens, padding included, and `answers` tokens of answers; one row is a pass
    however long it is.
    """
    order = batch.lengths.argsort(descending=True, stable=True).tolist()
    lengths, asked = batch.lengths.tolist(), batch.answer.sum(1).tolist()
    group: list[int] = []
    told = 0
    for row in order:
        full = group and (len(group) + 1) * lengths[group[0]] > most
        if full or (group and told + asked[row] > answers):
            yield torch.tensor(group)
            group, told = [], 0
        group.append(row)
        told += asked[row]
    if group:
        yield torch.tensor(group)


def _cut(batch: Batch, rows: Tensor) -> Batch:
    """Return some rows of a batch, no wider than the longest."""
    width = int(batch.lengths[rows].max())
    return Batch(*(part[rows, :width] for part in (batch.ids, batch.mask, batch.answer)))


# --- what takes passes of its own -------------------------------------------------------------


def greedy(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[str],
) -> list[str]:
    """Return what a model writes after each prompt that it was trained to go on from.

    Up to a full stop, with which such a text ends; `write.greedy` is for all others. That takes
    a step of the model a token, over cached keys and values. A text has at most 2 tokens more
    than the longest of the prompt's `answers`.
    """
    asked = [
        Question(
            id=str(i),
            draw=0,
            request="",
            probe="memory",
            set="unrelated",
            prompt=prompt,
            candidates=(answer,),
            right=0,
            right_before=0,
            rival=None,
            subject="",
            fact="",
        )
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    return [said.generated or "" for said in score(model, tokenizer, asked)]


def gradient_norms(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[str],
) -> Tensor:
    """Return the mean, over parameters, of the norm of each row's gradient, (n,) float32.

    The gradient of the answer's mean NLL; a matrix that is tied counts once. One pass there and
    back a row: a mean over rows would lose what is asked.
    """
    batch = encode(tokenizer, prompts, answers)
    leaves = {name: w.detach().requires_grad_() for name, w in model.named_parameters()}
    found: list[Tensor] = []
    for i in range(len(batch.ids)):
        row = _cut(batch, torch.tensor([i]))
        loss = _loss(model, leaves, row)
        norms = [g.float().norm() for g in torch.autograd.grad(loss, list(leaves.values()))]
        found.append(torch.stack(norms).mean().cpu())
    return torch.stack(found) if found else torch.empty(0)


def _loss(model: nn.Module, weights: dict[str, Tensor], row: Batch) -> Tensor:
    """Return the mean NLL of the answer of one row, with `weights` for the model's own."""
    (at,) = row.answer[0].nonzero(as_tuple=True)
    ids = row.ids[:, :-1].to(next(model.parameters()).device)
    arguments: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    with only_before(model, torch.zeros_like(at).to(ids.device), at.to(ids.device)):
        logits = functional_call(model, weights, kwargs=arguments).logits[0]
    return nn.functional.cross_entropy(widened(logits), row.ids[0, at].to(ids.device))
