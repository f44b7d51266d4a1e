"""From text to token rows: whole-word tokenizers, padded batches, the subject's last token.

Everything goes by character offsets of the joined text, as a fast tokenizer reports them. So it
makes no difference whether a tokenizer writes a space as part of the next word (GPT-2), as a
token of its own, or as a mark (Llama), and whether it puts a start token first.

Prompts become tokens here and nowhere else, in the form that goes with the tokenizer: with the
template of a chat around them, where the study says so (`lm/template.py`). The whole text is
tokenised, template and all.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from tokenizers import Encoding, decoders, models, processors
from tokenizers import Tokenizer as Backend
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ksmith.lm.lengths import cutter
from ksmith.lm.template import Form, form_of
from ksmith.records import UserError

END, UNKNOWN = "<eos>", "<unk>"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens, padded on the right, so that the default position ids are right."""

    ids: Tensor  # (n, t) int64
    mask: Tensor  # (n, t) bool: not padding
    answer: Tensor  # (n, t) bool: the token belongs to the answer

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch on `device`."""
        return Batch(self.ids.to(device), self.mask.to(device), self.answer.to(device))

    @property
    def lengths(self) -> Tensor:
        """Tokens in each row, (n,)."""
        return self.mask.sum(1)


def build_tokenizer(
    texts: Iterable[str], *, keep: Iterable[str] = (), least: int = 1, length: int = 1024
) -> PreTrainedTokenizerFast:
    """Return a whole-word tokenizer whose vocabulary is the words of `texts`.

    A word is letters and digits, or one other character, together with the space before it, so
    that decoding gives the text back (texts have single spaces and none at the ends). Each row
    starts with `<eos>`. Words found fewer than `least` times in `texts`, and in no text of
    `keep`, are `<unk>`. `length` is the longest row that the model will take. The order of the
    texts makes no difference.
    """
    backend = Backend(models.WordLevel({}, unk_token=UNKNOWN))
    cut = cutter()
    counts = Counter(word for text in texts for word, _ in cut.pre_tokenize_str(text))
    kept = {word for text in keep for word, _ in cut.pre_tokenize_str(text)}
    words = kept | {word for word, count in counts.items() if count >= least}
    order = sorted(words, key=lambda word: (-counts[word], word))
    vocabulary = {word: i for i, word in enumerate([END, UNKNOWN, *order])}
    backend.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    backend.pre_tokenizer = cut
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    backend.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        padding_side="right",
        model_max_length=length,
        clean_up_tokenization_spaces=False,
    )


def encodings(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, special: bool = True
) -> list[Encoding]:
    """Return one encoding a text as it stands, neither padded nor cut.

    With the tokens that the tokenizer adds at its ends, unless not `special`.

    Raises:
        UserError: the tokenizer reports no character offsets.
    """
    backend = cast("Backend | None", getattr(tokenizer, "backend_tokenizer", None))
    if backend is None:
        kind = type(tokenizer).__name__
        raise UserError(
            f"tokenizer {kind} reports no character offsets: a tokenizer.json is needed"
        )
    # A saved fast tokenizer remembers how it was last padded and truncated.
    backend.no_padding()
    backend.no_truncation()
    return backend.encode_batch(list(texts), add_special_tokens=special)


def asked_ids(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each prompt, in the form in which it is asked."""
    form = form_of(tokenizer)
    heads = [form.asked(prompt) for prompt in prompts]
    return [list(one.ids) for one in _put(tokenizer, form, heads, heads)]


def _put(
    tokenizer: PreTrainedTokenizerBase, form: Form, heads: Sequence[str], texts: Sequence[str]
) -> list[Encoding]:
    """Return one encoding a text; those of no head are plain, whatever the form."""
    both = list(zip(heads, texts, strict=True))
    turns = encodings(tokenizer, [text for head, text in both if head], special=form.special)
    plain = encodings(tokenizer, [text for head, text in both if not head])
    left = {True: iter(turns), False: iter(plain)}
    return [next(left[bool(head)]) for head in heads]


def start_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that stands before a text which has nothing before it.

    Raises:
        UserError: the tokenizer has neither a start token nor an end token.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(cast(Any, token))
    raise UserError(
        "tokenizer has neither a bos nor an eos token to start an empty prompt with"
    )


def encode(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[str] | None = None,
    *,
    limit: int | None = None,
    form: Form | None = None,
    ended: bool = False,
) -> Batch:
    """Return the rows `prompt + " " + answer`, with the tokens of the answer marked.

    In a template the prompt is what the user says, and the answer begins the model's turn.
    An answer may be given with its space or without. An empty prompt is the start token alone,
    in any form, and the answer then is the whole text. `limit` is the longest row allowed, by
    default the tokenizer's own; `form` is how prompts are put, by default the tokenizer's own.
    With `ended` the token that ends an answer is its last, where the form has one; an answer that
    is written with it gets no second.

    Raises:
        UserError: an empty answer, a prompt that ends in a space or that the template changes,
            or a row longer than the limit. Nothing is ever cut.
    """
    if answers is not None and len(answers) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts but {len(answers)} answers")
    form = form_of(tokenizer) if form is None else form
    heads = [form.asked(prompt) for prompt in prompts]
    joined = (
        heads
        if answers is None
        else [
            form.answered(prompt, _answer(prompt, answer))
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
    )
    made = _put(tokenizer, form, heads, joined)
    last = [form.end] if ended and answers is not None and form.end is not None else []
    rows: list[list[int]] = []
    marks: list[list[bool]] = []
    for head, text, encoding in zip(heads, joined, made, strict=True):
        ids, mark = _marked(tokenizer, encoding, len(text if answers is None else head))
        end = last if ids[-1:] != last else []
        _check_row(text, len(ids + end), any(mark) or answers is None, _limit(tokenizer, limit))
        rows.append(ids + end)
        marks.append(mark + [True] * len(end))
    return _padded(tokenizer, rows, marks)


def _marked(
    tokenizer: PreTrainedTokenizerBase, encoding: Encoding, first: int
) -> tuple[list[int], list[bool]]:
    """Return a row, and which of its tokens end after the first so many characters."""
    ids, spans = _body(encoding)
    if not ids or (first == 0 and spans[0] is not None):
        ids, spans = [start_id(tokenizer), *ids], [None, *spans]
    return ids, [span is not None and span[1] > first for span in spans]


def with_prefix(prefix: str, text: str) -> str:
    """Return `text` after `prefix` and one space, or alone where there is no prefix."""
    return f"{prefix.rstrip()} {text}" if prefix.strip() else text


@dataclass(frozen=True, slots=True)
class Wording:
    """A text with a subject in it: `prefix`, a space, and `template` with its `{}` filled in."""

    template: str
    subject: str
    prefix: str = ""

    @property
    def text(self) -> str:
        """The whole text."""
        return with_prefix(self.prefix, self.template.replace("{}", self.subject))

    def span(self) -> tuple[int, int]:
        """Return where the subject is: the template's, however often its name occurs elsewhere.

        Raises:
            UserError: not exactly one `{}` in the template, or an empty subject.
        """
        if self.template.count("{}") != 1:
            raise UserError(f"template needs exactly one {{}}: {self.template!r}")
        if not self.subject.strip() or self.subject != self.subject.strip():
            raise UserError(f"subject is empty or has spaces at its ends: {self.subject!r}")
        end = len(self.text) - (len(self.template) - self.template.index("{}") - 2)
        return end - len(self.subject), end


def subject_spans(
    tokenizer: PreTrainedTokenizerBase, wordings: Sequence[Wording]
) -> list[tuple[int, int]]:
    """Return the indices, in the rows of `encode`, of each subject's first and last token.

    The rows are those of the wordings' texts, whatever follows.

    Raises:
        UserError: see `Wording.span`; or a subject that no token ends.
    """
    found: list[tuple[int, int]] = []
    form = form_of(tokenizer)
    before = len(form.before)
    spans = [wording.span() for wording in wordings]
    texts = [form.asked(wording.text) for wording in wordings]
    made = encodings(tokenizer, texts, special=form.special)
    for wording, span, encoding in zip(wordings, spans, made, strict=True):
        start, end = before + span[0], before + span[1]
        _, places = _body(encoding)
        inside = [i for i, s in enumerate(places) if s and s[0] < end and s[1] > start]
        last = places[inside[-1]] if inside else None
        # Beyond the end is allowed: GPT-2 reads the "!'" of "Yahoo!'s" as one token.
        if last is None or last[1] < end:
            raise UserError(
                f"no token ends the subject {wording.subject!r} in {wording.text!r}"
            )
        found.append((inside[0], inside[-1]))
    return found


def subject_span(
    tokenizer: PreTrainedTokenizerBase, template: str, subject: str, prefix: str = ""
) -> tuple[int, int]:
    """Return the indices of one subject's first and last token; see `subject_spans`."""
    return subject_spans(tokenizer, [Wording(template, subject, prefix)])[0]


def subject_last(
    tokenizer: PreTrainedTokenizerBase, template: str, subject: str, prefix: str = ""
) -> int:
    """Return the index of the subject's last token; see `subject_spans`."""
    return subject_span(tokenizer, template, subject, prefix)[1]


def _answer(prompt: str, answer: str) -> str:
    """Return an answer without its space, once it is sure that it can follow the prompt."""
    body = answer.removeprefix(" ")
    if not body.strip():
        raise UserError(f"empty answer to the prompt {prompt!r}")
    if prompt != prompt.rstrip():
        raise UserError(f"prompt ends in a space: {prompt!r} (the answer brings its own)")
    return body


def _body(encoding: Encoding) -> tuple[list[int], list[tuple[int, int] | None]]:
    """Return ids and character spans (None for special tokens), without what closes a row."""
    ids = list(encoding.ids)
    spans = [
        None if special else span
        for span, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    ]
    while (
        len(ids) > 1 and spans[-1] is None
    ):  # an end token would be read as part of the prompt
        ids.pop()
        spans.pop()
    return ids, spans


def _limit(tokenizer: PreTrainedTokenizerBase, limit: int | None) -> int:
    return int(tokenizer.model_max_length) if limit is None else limit


def _check_row(text: str, tokens: int, answered: bool, limit: int) -> None:
    shown = text if len(text) <= 80 else text[:77] + "..."
    if tokens > limit:
        raise UserError(f"row of {tokens} tokens, but the model takes {limit}: {shown!r}")
    if not answered:
        raise UserError(f"the tokenizer gives the answer no token: {shown!r}")


def _padded(
    tokenizer: PreTrainedTokenizerBase, rows: list[list[int]], marks: list[list[bool]]
) -> Batch:
    width = max(map(len, rows), default=0)
    pad = tokenizer.pad_token_id
    filler = int(cast(Any, pad)) if pad is not None else 0  # masked, so any id would do
    ids = [row + [filler] * (width - len(row)) for row in rows]
    mask = [[True] * len(row) + [False] * (width - len(row)) for row in rows]
    answer = [mark + [False] * (width - len(mark)) for mark in marks]
    shape = (len(rows), width)
    return Batch(
        torch.tensor(ids, dtype=torch.int64).reshape(shape),
        torch.tensor(mask, dtype=torch.bool).reshape(shape),
        torch.tensor(answer, dtype=torch.bool).reshape(shape),
    )
