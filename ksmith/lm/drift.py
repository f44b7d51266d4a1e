"""How far an update moves a model: what it says next, what it holds inside, its matrices.

Two passes over a few prompts, one before an update and one after, in batches sorted by length;
no text is generated. The divergence counts a draw's own prompts. CKA, whose size depends on how
many there are, takes the prompts of all draws, after a few draws' updates: it hardly differs
between draws, and would cost more than all else. Matrices go by their singular values; those of
the base weights are computed once a model.

Sizes: n prompts, t tokens, d = d_model.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.delta import Delta, norms
from ksmith.lm.descend import picked
from ksmith.lm.geometry import Spectrum, cka, kl, moved, spectrum
from ksmith.lm.hooks import only_before, watched
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import Question

PLUS, MINUS = ("target", "entailed"), ("neighbour", "unrelated")
STATES = 5  # draws, spread evenly, after whose updates hidden states are looked at
_LOGITS = 1 << 24  # numbers in one block of logits: 64 MiB in float32
_WORK = 5e11  # for the spectra of a trial, at k^3 a matrix: draws beyond that are left out

Kind = Literal[
    "kl",
    "cka",
    "norm",
    "relative",
    "distance",
    "scaling",
    "scaling_cv",
    "rotation_left",
    "rotation_right",
    "effective_rank",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number of tensors.parquet; what it is not about is None."""

    draw: int
    measure: Kind
    value: float
    step: int = 1
    parameter: str | None = None
    layer: int | None = None
    question: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model says next after each prompt, and what it holds at their last tokens."""

    logp: Tensor  # (n, vocab) float32, on the CPU
    hidden: Tensor  # (layers, n, d) float32, on the CPU


@dataclass(frozen=True, slots=True)
class Before:
    """The questions to look at, and what was seen before any update."""

    questions: list[Question]
    rows: Batch  # their prompts, (n, t)
    seen: Seen
    states: frozenset[int]  # the draws that are looked at in full


def chosen(questions: Sequence[Question], facts: int, seed: int) -> list[Question]:
    """Return one question a fact: half of `facts` of Q+, half of Q-, from all draws in turn."""
    found: list[Question] = []
    for sets, most in ((PLUS, facts - facts // 2), (MINUS, facts // 2)):
        groups: dict[int, dict[str, Question]] = {}
        for question in questions:
            if question.set in sets and question.prompt:
                groups.setdefault(question.draw, {}).setdefault(question.fact, question)
        shuffled = [
            random.Random(f"{seed} {draw}").sample(list(group.values()), len(group))
            for draw, group in sorted(groups.items())
        ]
        turns = zip_longest(*shuffled)
        found += [q for turn in turns for q in turn if q is not None][:most]
    return found


def look(model: nn.Module, rows: Batch, batch_tokens: int = 8192) -> Seen:
    """Return what `model` says and holds after each prompt of `rows`, in their order.

    `batch_tokens` bounds the tokens of a pass; it changes no number beyond rounding.
    """
    s, config = sites(model), getattr(model, "config")  # noqa: B009 typed as a plain module
    blocks = [s.block(i) for i in range(s.n_layers)]
    logp = torch.empty(len(rows.ids), int(config.vocab_size))
    hidden: Tensor | None = None
    with torch.inference_mode():
        for at in _batches(rows.lengths, batch_tokens, logp.shape[1]):
            last = rows.lengths[at] - 1
            ids = rows.ids[at, : int(last.max()) + 1]
            with watched(model, len(at), blocks) as states:
                logp[at] = _next(model, ids, last)
            place = (torch.arange(len(at)), last)
            found = torch.stack([states[block][place].float().cpu() for block in blocks])
            if hidden is None:
                hidden = found.new_empty(s.n_layers, len(rows.ids), found.shape[-1])
            hidden[:, at] = found
    return Seen(logp, torch.empty(s.n_layers, 0, 0) if hidden is None else hidden)


def _batches(lengths: Tensor, batch_tokens: int, vocabulary: int) -> Iterator[Tensor]:
    """Yield the rows of each batch, longest first, so that little of it is padding."""
    order = lengths.argsort(descending=True, stable=True)
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        size = max(1, min(batch_tokens // longest, _LOGITS // vocabulary))
        yield order[start : start + size]
        start += size


def _next(model: nn.Module, ids: Tensor, last: Tensor) -> Tensor:
    """Return the log-probabilities after the token `last` (n,) of each row, (n, vocab).

    Padding is on the right, where causal attention does not look, and is asked nothing.
    """
    ids = ids.to(next(model.parameters()).device)
    row, last = torch.arange(len(ids), device=ids.device), last.to(ids.device)
    with only_before(model, row, last + 1):
        logits = model(input_ids=ids, use_cache=False).logits[0]
    return logits.float().log_softmax(-1).cpu()


def before(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
) -> Before:
    """Return what is seen of the model without an update."""
    rows = encode(tokenizer, [question.prompt for question in questions])
    draws = sorted({question.draw for question in questions})
    step = max(1, -(-len(draws) // STATES))
    return Before(list(questions), rows, look(model, rows), frozenset(draws[::step]))


def behaviour(model: nn.Module, was: Before, draw: int, step: int = 1) -> Iterator[Row]:
    """Yield what a draw's update, now applied to `model`, moved in what it says and holds."""
    full = draw in was.states
    own = [i for i, question in enumerate(was.questions) if question.draw == draw]
    if not own:
        return
    asked = range(len(was.questions)) if full else own
    now = look(model, picked(was.rows, torch.tensor(asked)))
    mine = own if full else range(len(own))
    apart = kl(was.seen.logp[own], now.logp[list(mine)]).tolist()
    for i, value in zip(own, apart, strict=True):
        yield Row(draw=draw, step=step, measure="kl", value=value, question=was.questions[i].id)
    if not full:
        return
    for layer, (X, Y) in enumerate(zip(was.seen.hidden, now.hidden, strict=True)):
        yield Row(draw=draw, step=step, measure="cka", value=cka(X, Y), layer=layer)


# --- matrices ---------------------------------------------------------------------------------


def sizes(
    model: nn.Module, update: Delta, draw: int, step: int = 1, *, distance: bool = False
) -> Iterator[Row]:
    """Yield, for each parameter that a draw changed, the change's size beside the weight's.

    With `distance` also the size over the number of weights, as sequences of edits are followed
    by in arXiv:2401.07453.
    """
    layers = _layers(model)
    for name, size in norms(model, update).items():
        values: dict[Kind, float] = {"norm": size["norm"], "relative": size["relative"]}
        if distance:
            values["distance"] = size["norm"] / model.get_parameter(name).numel()
        yield from _of_matrix(draw, name, layers.get(name), values, step)


def matrices(
    model: nn.Module, updates: Sequence[Delta], known: dict[str, Spectrum], step: int = 1
) -> Iterator[Row]:
    """Yield what each draw's update does to the singular values and directions of matrices.

    `known` keeps the decompositions of the base weights, by parameter: the caller's, for as
    long as the model. Large models' draws are left out, evenly, where all would take too long.
    """
    layers = _layers(model)
    for draw in _affordable(model, updates):
        for name, block in updates[draw].items():
            if len(block.shape) != 2:
                continue
            if name not in known:
                known[name] = spectrum(model.get_parameter(name))
            found = moved(known[name], block)
            left, right = found.rotation_left, found.rotation_right
            if _transposed(model, name):  # left is where a matrix writes to, in any layout
                left, right = right, left
            values: dict[Kind, float] = {
                "scaling": found.scaling,
                "scaling_cv": found.scaling_cv,
                "rotation_left": left,
                "rotation_right": right,
                "effective_rank": found.effective_rank,
            }
            yield from _of_matrix(draw, name, layers.get(name), values, step)


def _of_matrix(
    draw: int, name: str, layer: int | None, values: Mapping[Kind, float], step: int
) -> Iterator[Row]:
    for measure, value in values.items():
        yield Row(
            draw=draw, step=step, measure=measure, value=value, parameter=name, layer=layer
        )


def _affordable(model: nn.Module, updates: Sequence[Delta]) -> list[int]:
    """Return the draws whose spectra are computed: all of them, in all but large models."""
    work = [
        sum(float(min(block.shape)) ** 3 for block in update.values() if len(block.shape) == 2)
        for update in updates
    ]
    most = max(1, int(_WORK * len(work) / max(sum(work), 1.0)))
    step = max(1, -(-len(work) // most))
    return list(range(0, len(work), step))


def _layers(model: nn.Module) -> Mapping[str, int]:
    """Return parameter -> its layer, for those inside of one."""
    s = sites(model)
    starts = {f"{s.block(i)}.": i for i in range(s.n_layers)}
    return {
        name: layer
        for name, _ in model.named_parameters(remove_duplicate=False)
        for start, layer in starts.items()
        if name.startswith(start)
    }


def _transposed(model: nn.Module, name: str) -> bool:
    """Return whether a matrix is stored as (in, out), as GPT-2 does with those of its blocks."""
    return sites(model).transposed and name in _layers(model)
