"""Models that read texts: does one contradict another, how alike are two, which names are there.

One forward a text or pair of texts, those of about one length together, each different one once.
A text that is longer than its judge takes is cut (of a pair, the longer text), and that it was
is told. Everything else about a row is the judge's own tokenizer's.

    contradiction    argmax over the labels of a pair (premise, hypothesis)
    similarity       v = mean of the last states over the tokens that are no padding, v / |v|
                     Reimers and Gurevych 2019, arXiv:1908.10084
    entities         a label a word (that of its first token); words of one type that follow each
                     other are one entity, but for one that begins another (B-)

Sizes: n texts, t tokens, d width of the states.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from tokenizers import Encoding
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ksmith.lm.load import load
from ksmith.records import UserError
from ksmith.settings.judges import FETCHED, OUTSIDE, labels, longest, of_config

BATCH = 8192  # tokens of a pass, padding included
LONGEST = 1 << 16  # tokens of a row, where nobody says how many there may be

# Tables of positions that begin after the number of the padding token.
OFFSET = ("camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod")
OPENED: dict[str, Any] = {
    "judge_nli": AutoModelForSequenceClassification,
    "judge_similarity": AutoModel,
    "judge_entities": AutoModelForTokenClassification,
}

T = TypeVar("T")
Progress = Callable[[int, int], None]  # rows done, of how many


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that reads, with what it can say."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    limit: int  # tokens of a row
    labels: tuple[str, ...]  # by number; () of an encoder


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What a judge says of each text, and of which it read the beginning alone."""

    said: T
    cut: list[bool]


def fetched(name: str, commit: str) -> Path:
    """Return the folder of the hub's cache with a model, which is fetched where it is not there.

    Weights in safetensors and words alone: neither what is pickled nor code comes along.

    Raises:
        UserError: the hub is out of reach, or has no such commit.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=list(FETCHED)))
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"cannot get the model {name!r} at {commit} from the hub or its cache: {first}"
        ) from error


def open_judge(role: str, folder: Path) -> Judge:
    """Return the judge `role` (a key of `OPENED`) that is in a folder, on the CPU.

    Raises:
        UserError: it can't be opened (see `load`), or is no such judge.
    """
    model, tokenizer = load(folder, kind=OPENED[role])
    config = model.config.to_dict()
    if reason := of_config(role, config):
        raise UserError(f"{folder}: {reason}")
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        kind = type(tokenizer).__name__
        raise UserError(f"{folder}: its tokenizer {kind} is not a fast one (no tokenizer.json)")
    names = labels(config) if role != "judge_similarity" else ()
    return Judge(model, tokenizer, room(folder, config, tokenizer), names)


def room(folder: Path, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the longest row that the model takes, special tokens included."""
    there = config.get("max_position_embeddings")
    found = [LONGEST, int(tokenizer.model_max_length), longest(folder)]
    if isinstance(there, int) and there > 0:
        first = int(config.get("pad_token_id") or 0) + 1
        found.append(there - first * (config.get("model_type") in OFFSET))
    return min(number for number in found if number)


# --- what they say ----------------------------------------------------------------------------


def classified(
    judge: Judge, pairs: Sequence[tuple[str, str]], tell: Progress | None = None
) -> Read[list[str]]:
    """Return the label that the judge gives each pair (premise, hypothesis)."""
    rows = encoded(judge, pairs)
    found = [""] * len(rows)
    for at, output, _ in _passes(judge, rows, tell):
        for i, label in zip(at, output.logits.argmax(-1).tolist(), strict=True):
            found[i] = judge.labels[label]
    return Read(found, _cut(rows))


def vectors(judge: Judge, texts: Sequence[str], tell: Progress | None = None) -> Read[Tensor]:
    """Return (n, d) float32 vectors of length 1, on the CPU."""
    rows = encoded(judge, texts)
    found = torch.empty(len(rows), 0)
    for at, output, mask in _passes(judge, rows, tell):
        weight = mask[..., None].float()  # (n, t, 1)
        states = output.last_hidden_state.float()  # (n, t, d)
        mean = (states * weight).sum(1) / weight.sum(1)
        made = nn.functional.normalize(mean, dim=-1).cpu()
        if not found.shape[1]:
            found = made.new_empty(len(rows), made.shape[1])
        found[at] = made
    return Read(found, _cut(rows))


def entities(
    judge: Judge, texts: Sequence[str], tell: Progress | None = None
) -> Read[list[list[str]]]:
    """Return the entities of each text as they stand there, in order."""
    rows = encoded(judge, texts)
    found: list[list[str]] = [[] for _ in rows]
    for at, output, _ in _passes(judge, rows, tell):
        for i, given in zip(at, output.logits.argmax(-1).tolist(), strict=True):
            tags = [judge.labels[label] for label in given[: len(rows[i].ids)]]
            found[i] = named(texts[i], rows[i], tags)
    return Read(found, _cut(rows))


def named(text: str, row: Encoding, tags: Sequence[str]) -> list[str]:
    """Return the entities of a text whose tokens have these labels."""
    spans: list[tuple[int, int]] = []
    last, kind = None, OUTSIDE  # the word before, and its type
    for word, tag, (start, end) in zip(row.word_ids, tags, row.offsets, strict=True):
        if word is None:
            continue
        if word == last:  # more of it, whatever its label
            if kind != OUTSIDE:
                spans[-1] = spans[-1][0], end
            continue
        bare = tag if tag[1:2] != "-" else tag[2:]
        goes_on = bare == kind and not tag.startswith("B-")
        last, kind = word, bare
        if bare != OUTSIDE:
            begin = spans.pop()[0] if goes_on else start
            spans.append((begin, end))
    names = [text[start:end].strip() for start, end in spans]
    return [name for name in names if name]


# --- passes -----------------------------------------------------------------------------------


def encoded(judge: Judge, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Encoding]:
    """Return a row a text or pair, cut to what the judge takes and not padded."""
    backend: Any = getattr(judge.tokenizer, "backend_tokenizer")  # noqa: B009 not of all kinds
    # A saved tokenizer remembers how it was last padded and truncated.
    backend.no_padding()
    backend.enable_truncation(judge.limit)
    return backend.encode_batch(list(texts), add_special_tokens=True)


def _cut(rows: Sequence[Encoding]) -> list[bool]:
    return [bool(row.overflowing) for row in rows]


def _passes(
    judge: Judge, rows: Sequence[Encoding], tell: Progress | None
) -> Iterator[tuple[list[int], Any, Tensor]]:
    """Yield which rows went through together, what came out, and the mask (n, t) of tokens."""
    device = next(judge.model.parameters()).device
    takes = signature(judge.model.forward).parameters
    typed = "token_type_ids" in takes and getattr(judge.model.config, "type_vocab_size", 0) > 1
    pad, done = int(judge.tokenizer.pad_token_id or 0), 0  # type: ignore[arg-type]
    for at in groups([len(row.ids) for row in rows]):
        width = max(1, *(len(rows[i].ids) for i in at))
        ids = torch.full((len(at), width), pad)
        kinds, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        mask[:, 0] = 1  # a text without any token is padding that is looked at
        for row, i in enumerate(at):
            size = len(rows[i].ids)
            ids[row, :size] = torch.tensor(rows[i].ids, dtype=torch.int64)
            kinds[row, :size] = torch.tensor(rows[i].type_ids, dtype=torch.int64)
            mask[row, :size] = 1
        given = {"input_ids": ids, "attention_mask": mask}
        given |= {"token_type_ids": kinds} if typed else {}
        with torch.inference_mode():  # left before the yield, whoever takes it
            output = judge.model(**{k: v.to(device) for k, v in given.items()})
        yield at, output, mask.to(device)
        done += len(at)
        if tell is not None:
            tell(done, len(rows))


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield rows that go through together, longest first, in at most BATCH tokens."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if group and (len(group) + 1) * lengths[group[0]] > BATCH:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
