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
    counts = batch.answer.sum(1)
    ends = counts.cumsum(0)
    found: Tokens | None = None
    vocabulary = int(getattr(model, "config").vocab_size)  # noqa: B009 typed as a plain module
    with torch.inference_mode():
        for rows in _packed(batch, batch_tokens, max(1, batch_logits // vocabulary)):
            mine = _cut(batch, rows)
            logits, gold = answer_logits(model, mine)
            logp, hit, mean, std = (part.cpu() for part in moments(logits, gold))
            if found is None:
                total = int(counts.sum())
                wide = [logp.new_empty(total) for _ in range(3)]
                found = Tokens(counts, wide[0], hit.new_empty(total), wide[1], wide[2])
            spans = [
                torch.arange(int(ends[i] - counts[i]), int(ends[i])) for i in rows.tolist()
            ]
            at = torch.cat(spans)
            found.logp[at], found.hit[at] = logp, hit
            found.mean[at], found.std[at] = mean, std
    if found is None:
        none = torch.empty(0)
        return Tokens(counts, none, none.bool(), none, none)
    # Tensors of inference mode take part in nothing else.
    made = Tokens(
        counts, *(part.clone() for part in (found.logp, found.hit, found.mean, found.std))
    )
    return made.of(torch.tensor(turn))


def moments(logits: Tensor, gold: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log p of `gold` (m,), whether it is the most probable, mean and deviation of log p.

    Ties of the most probable go to the word of the lowest number, as argmax has it.

    Args:
        logits: (m, vocab), float32 or wider; overwritten.
        gold: (m,).
    """
    hit = logits.argmax(-1) == gold
    logits -= logits.logsumexp(-1, keepdim=True)  # log p
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
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide, batch.ids[row, column].to(ids.device)


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
    """Return what the model writes after each prompt, to its natural stop.

    That takes a step of the model a token, over cached keys and values: the only part of the
    metrics that is not in the pass. A text has at most 2 tokens more than the longest of the
    prompt's `answers`.
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
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return nn.functional.cross_entropy(wide, row.ids[0, at].to(ids.device))
