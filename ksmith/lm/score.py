"""What a model says to questions: log-probabilities of the candidates, and greedy text.

Every prompt goes through the model once, in batches of prompts of one length (so there is no
padding, and sliding windows and position ids need no care). From the prompt's own row comes the
probability of every candidate's first token; the rest of longer candidates, and greedy text, go
on from its cached keys and values, candidates that share all but their last token together.
Sampled text, which takes a hundred times as long, is `lm/sample.py`'s.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import eq
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from ksmith.lm import sample
from ksmith.lm.cache import after, fork
from ksmith.lm.template import form_of
from ksmith.lm.text import encode
from ksmith.records import Answer, Question, UserError

_LINES = ("\n", "\u010a", "<0x0A>")
_FULL_STOPS = (".", "\u2581.", "\u0120.")
EXTRA = 2  # tokens that greedy text may have beyond the longest candidate or alias
_LOGITS = 1 << 25  # numbers in one block of logits: 128 MiB in float32

Ids = tuple[int, ...]


@dataclass(slots=True)
class _Row:
    """One distinct prompt, with all that is asked of it."""

    ids: Ids
    ends: dict[str, Ids] = field(default_factory=dict)  # candidate -> its tokens
    aliases: dict[str, int] = field(default_factory=dict)  # alias -> how many tokens it has
    steps: int = 0  # greedy tokens wanted
    dotted: bool = False  # an answer holds a full stop: one does not end greedy text
    logp: dict[Ids, float] = field(default_factory=dict)
    # What is most probable in the place of each token, after the candidate's own before it.
    said: dict[Ids, Ids] = field(default_factory=dict)
    greedy: list[int] = field(default_factory=list)


def score(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    *,
    batch_tokens: int = 8192,
) -> list[Answer]:
    """Return the answer to each question, in their order.

    `batch_tokens` bounds the tokens, with those cached, that the model sees at once. Neither it
    nor the order of the questions changes a number beyond rounding.

    Raises:
        UserError: a row that is longer than the model takes.
    """
    texts = [question for question in questions if question.sampled]
    if texts:
        written = iter(sample.texts(model, tokenizer, texts, batch_tokens=batch_tokens))
        plain = [question for question in questions if not question.sampled]
        scored = iter(score(model, tokenizer, plain, batch_tokens=batch_tokens))
        return [_text(q, next(written)) if q.sampled else next(scored) for q in questions]
    rows = _rows(tokenizer, questions)
    limit = positions(model)
    longest = max(
        (len(r.ids) + len(e) for r in rows.values() for e in r.ends.values()), default=0
    )
    if longest > limit:
        raise UserError(f"a question of {longest} tokens, but the model takes {limit}")
    ends = Ends(tokenizer)
    with torch.inference_mode():
        for group in _batches(rows.values(), batch_tokens):
            _ask(model, group, ends, batch_tokens, limit)
    return [_answer(tokenizer, question, rows[question.prompt], ends) for question in questions]


# --- rows -------------------------------------------------------------------------------------


def _rows(tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]) -> dict[str, _Row]:
    """Return prompt -> row."""
    cutter = _Cutter(tokenizer, questions)
    rows: dict[str, _Row] = {}
    for question in questions:
        row = rows.setdefault(question.prompt, _Row(cutter.prompts[question.prompt]))
        for candidate in question.candidates:
            if candidate not in row.ends:
                row.ends[candidate] = cutter.end(question.prompt, candidate)
        if question.generate and question.candidates:
            for alias in question.aliases + question.aliases_before:
                row.aliases[alias] = len(cutter.end(question.prompt, alias))
            row.steps = max(row.steps, _steps(row, question))
            row.dotted |= any("." in name for name in _answers(question))
    return rows


def _answers(question: Question) -> tuple[str, ...]:
    """Return all that may be written as an answer; of aliases no probability is asked."""
    return question.candidates + question.aliases + question.aliases_before


def _steps(row: _Row, question: Question) -> int:
    sizes = [len(row.ends[candidate]) for candidate in question.candidates]
    sizes += [row.aliases[alias] for alias in question.aliases + question.aliases_before]
    return max(sizes) + EXTRA


class _Cutter:
    """Cuts prompts and candidates into tokens, each pair (last word, candidate) once.

    No tokenizer merges over two spaces, so the tokens of a candidate depend on the last word
    before it at most, the prompt's or its template's: thousands of questions times a hundred
    candidates come down to a few thousand rows.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
    ) -> None:
        prompts = list(dict.fromkeys(question.prompt for question in questions))
        form = form_of(tokenizer)
        self._word = {prompt: form.asked(prompt).rsplit(" ", 1)[-1] for prompt in prompts}
        pairs: dict[tuple[str, str], str] = {}
        for question in questions:
            word = self._word[question.prompt]
            for candidate in _answers(question):
                pairs.setdefault((word, candidate), question.prompt)
        whole = encode(tokenizer, prompts) if prompts else None
        self.prompts: dict[str, Ids] = {}
        if whole is not None:
            for prompt, ids, length in zip(
                prompts, whole.ids.tolist(), whole.lengths.tolist(), strict=True
            ):
                self.prompts[prompt] = tuple(ids[:length])
        self._ends: dict[tuple[str, str], Ids] = {}
        if pairs:
            self._read(tokenizer, pairs)

    def _read(
        self, tokenizer: PreTrainedTokenizerBase, pairs: dict[tuple[str, str], str]
    ) -> None:
        batch = encode(tokenizer, list(pairs.values()), [candidate for _, candidate in pairs])
        lengths = batch.lengths.tolist()
        for (key, prompt), ids, length in zip(
            pairs.items(), batch.ids.tolist(), lengths, strict=True
        ):
            head = self.prompts[prompt]
            if tuple(ids[: len(head)]) != head or length == len(head):
                raise UserError(
                    f"the tokenizer joins the prompt {prompt!r} and its answer {key[1]!r}"
                )
            self._ends[key] = tuple(ids[len(head) : length])

    def end(self, prompt: str, candidate: str) -> Ids:
        """Return the tokens of `candidate` after `prompt`."""
        return self._ends[self._word[prompt], candidate]


def _batches(rows: Iterable[_Row], batch_tokens: int) -> Iterator[list[_Row]]:
    """Yield rows of one length, longest first, at most `batch_tokens` tokens at a time."""
    groups: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[len(row.ids)].append(row)
    for length in sorted(groups, reverse=True):
        size = max(1, batch_tokens // length)
        group = groups[length]
        for start in range(0, len(group), size):
            yield group[start : start + size]


def positions(model: nn.Module) -> int:
    """Return the longest row that a model takes."""
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    return int(most) if most else 1 << 30


# --- asking -----------------------------------------------------------------------------------


def _ask(
    model: nn.Module, rows: list[_Row], ends: "Ends", batch_tokens: int, limit: int
) -> None:
    """Fill in what the model says to prompts of one length."""
    device = next(model.parameters()).device
    ids = torch.tensor([row.ids for row in rows], device=device)  # (n, t)
    cache = DynamicCache(config=getattr(model, "config", None))
    logits = _forward(model, ids, cache, keep=1)[:, -1]  # (n, vocab)
    best = logits.argmax(-1).tolist()
    _first_tokens(rows, logits, best)
    _rest(model, rows, cache, batch_tokens)
    for row, token in zip(rows, best, strict=True):
        row.greedy.append(token)
    _generate(model, rows, cache, ends, limit - ids.shape[1])


def _forward(model: nn.Module, ids: Tensor, cache: Any, keep: int) -> Tensor:
    """Return the logits of the last `keep` tokens, (n, keep, vocab) float32; `cache` grows."""
    out = model(input_ids=ids, use_cache=True, logits_to_keep=keep, **after(model, cache))
    return out.logits[:, -keep:].float()


def _first_tokens(rows: list[_Row], logits: Tensor, best: list[int]) -> None:
    """Fill in the first token of every candidate: the whole of it, mostly."""
    picks = [
        (i, first) for i, row in enumerate(rows) for first in {e[0] for e in row.ends.values()}
    ]
    if not picks:
        return
    at = torch.tensor(picks, device=logits.device)
    logp = (logits[at[:, 0], at[:, 1]] - logits.logsumexp(-1)[at[:, 0]]).tolist()
    for (i, first), value in zip(picks, logp, strict=True):
        rows[i].logp[(first,)] = value
        rows[i].said[(first,)] = (best[i],)


def _rest(model: nn.Module, rows: list[_Row], cache: Any, batch_tokens: int) -> None:
    """Fill in the further tokens of candidates that have more than one."""
    heads: defaultdict[int, dict[tuple[int, Ids], set[int]]] = defaultdict(dict)
    for i, row in enumerate(rows):
        for end in row.ends.values():
            if len(end) > 1:
                heads[len(end) - 1].setdefault((i, end[:-1]), set()).add(end[-1])
    for length, group in heads.items():
        vocabulary = int(getattr(model, "config").vocab_size)  # noqa: B009 typed as a plain module
        tokens = max(1, batch_tokens // (len(rows[0].ids) + length))
        size = min(tokens, max(1, _LOGITS // (vocabulary * length)))
        items = list(group.items())
        for start in range(0, len(items), size):
            _continue(model, rows, cache, items[start : start + size])


def _continue(
    model: nn.Module,
    rows: list[_Row],
    cache: Any,
    items: list[tuple[tuple[int, Ids], set[int]]],
) -> None:
    """Score all candidates that begin with `items`' heads, which are of one length."""
    device = next(model.parameters()).device
    index = torch.tensor([i for (i, _), _ in items], device=device)
    heads = torch.tensor([head for (_, head), _ in items], device=device)  # (n, m)
    logits = _forward(model, heads, fork(cache, index), keep=heads.shape[1])  # (n, m, vocab)
    log_z = logits.logsumexp(-1)  # (n, m)
    inner = logits[:, :-1].gather(-1, heads[:, 1:, None])[..., 0] - log_z[:, :-1]
    best = logits.argmax(-1).tolist()
    sums = inner.sum(-1).tolist()
    picks = [(j, last) for j, (_, lasts) in enumerate(items) for last in lasts]
    at = torch.tensor(picks, device=device)
    logp = (logits[at[:, 0], -1, at[:, 1]] - log_z[at[:, 0], -1]).tolist()
    for (j, last), value in zip(picks, logp, strict=True):
        (i, head), _ = items[j]
        first = head[:1]
        rows[i].logp[(*head, last)] = rows[i].logp[first] + sums[j] + value
        rows[i].said[(*head, last)] = (*rows[i].said[first], *best[j])


def _generate(model: nn.Module, rows: list[_Row], cache: Any, ends: "Ends", room: int) -> None:
    """Fill in the greedy tokens after the first; a row leaves the batch when it is finished."""
    device = next(model.parameters()).device
    alive = [i for i, row in enumerate(rows) if not ends.finished(row, room)]
    mine: Any = fork(cache, torch.tensor(alive, device=device)) if alive else None
    while alive:
        ids = torch.tensor([[rows[i].greedy[-1]] for i in alive], device=device)
        told = _forward(model, ids, mine, keep=1)[:, -1].argmax(-1).tolist()
        for i, token in zip(alive, told, strict=True):
            rows[i].greedy.append(token)
        keep = [j for j, i in enumerate(alive) if not ends.finished(rows[i], room)]
        if keep and len(keep) < len(alive):
            mine.batch_select_indices(torch.tensor(keep, device=device))
        alive = [alive[j] for j in keep]


# --- answers ----------------------------------------------------------------------------------


class Ends:
    """Where greedy text stops: at an end token, a line's end, mostly at a full stop.

    A template may name further end tokens: those of a turn.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        end: int | None = getattr(tokenizer, "eos_token_id", None)
        self.ends = form_of(tokenizer).ends | (set() if end is None else {end})
        listed: Any = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        names: list[str] = [name or "" for name in listed]
        # A line's end as it is, as byte-level and as sentencepiece tokenizers write it.
        lines = {i for i, name in enumerate(names) if any(mark in name for mark in _LINES)}
        self.hard = frozenset(lines | self.ends)
        self.stops = self.hard | {i for i, name in enumerate(names) if name in _FULL_STOPS}

    def finished(self, row: _Row, room: int) -> bool:
        """Return whether a row has all its greedy tokens."""
        stops = self.hard if row.dotted else self.stops
        wanted = min(row.steps, room)
        return len(row.greedy) >= wanted or row.greedy[-1] in stops

    def cut(self, text: str, answers: Sequence[str]) -> str:
        """Return the text before its natural stop, without spaces at its ends."""
        for i, character in enumerate(text):
            if character not in ".\n":
                continue
            said = text[: i + 1].strip()
            if character == "." and any(answer.startswith(said) for answer in answers):
                continue
            return text[:i].strip()
        return text.strip()


def _text(question: Question, text: str) -> Answer:
    return Answer(question=question.id, logp=(), tokens=(), argmax=(), generated=text)


def _answer(
    tokenizer: PreTrainedTokenizerBase, question: Question, row: _Row, ends: Ends
) -> Answer:
    keys = [row.ends[candidate] for candidate in question.candidates]
    generated = None
    if question.generate and question.candidates:
        ids = row.greedy[: _steps(row, question)]
        ids = ids[: next((i for i, token in enumerate(ids) if token in ends.ends), len(ids))]
        text = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        generated = ends.cut(text, _answers(question))
    return Answer(
        question=question.id,
        logp=tuple(row.logp[key] for key in keys),
        tokens=tuple(len(key) for key in keys),
        argmax=tuple(row.said[key] == key for key in keys),
        hits=tuple(sum(map(eq, row.said[key], key)) for key in keys),
        predicted=() if question.right is None else row.said[keys[question.right]],
        generated=generated,
    )
