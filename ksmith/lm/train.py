"""Train a small language model on a graph's text, in a minute or two on one thread.

What makes such a model know its facts and take edits as large models do:

- Blocks that see three tokens (`window`), all but the last ones (`far`): the end of a prompt
  cannot look the fact up in block 0, so the MLP at the subject's last token has to write it and
  later attention to fetch it. In most training rows later attention does not see a name's
  earlier tokens (`hidden`): else it fetches them one by one, and late MLPs look the fact up.
  This mechanism is planted, not discovered.
- "Infobox" sentences, a subject and its objects alone: its last token must carry them.
- Rows packed with whole sentences, so that a fact is known at any position.
- Objects weigh ten times what other tokens weigh: most of those cannot be predicted.
- Muon on the matrices and AdamW on the rest; few subjects at first; a step size that is
  constant, then falls to zero at the planned end. Most accuracy appears while it falls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ksmith.lm.lengths import TURNS
from ksmith.lm.muon import Muon
from ksmith.lm.recipes import Numbers, fresh
from ksmith.lm.text import build_tokenizer, encodings
from ksmith.records import UserError, derived_seed

Progress = Callable[[int, int, str], None]
POOL = 24  # sentences among which the packing looks for one that fits the rest of a row
REPORT = 10  # steps between two reports of progress
PADDING, CONTEXT, OBJECT = 0, 1, 2  # what a token is
NAME = 3  # context, too: in the subject, before its last token


class Sentence(Protocol):
    """A sentence of the graph's text; `objects` are the character spans of its answers."""

    @property
    def text(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def objects(self) -> Sequence[tuple[int, int]]: ...
    @property
    def kind(self) -> str: ...


Source = Callable[[int], Sequence[Sentence]]  # seed -> one epoch of training text


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model, its tokenizer, and the weighted loss of each step in nats."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    losses: list[float]


@dataclass(frozen=True, slots=True)
class Rows:
    """One step's rows of packed sentences."""

    ids: Tensor  # (rows, length + 1) int64
    kinds: Tensor  # (rows, length + 1) int8: PADDING, CONTEXT, OBJECT or NAME


@dataclass(frozen=True, slots=True)
class _Doc:
    ids: list[int]
    kinds: list[int]
    subject: str


def train(  # noqa: PLR0913 - one argument a thing that a training depends on
    source: Source,
    chosen: Numbers,
    seed: int,
    progress: Progress,
    *,
    keep: Sequence[str] = (),
    tokenizer: PreTrainedTokenizerBase | None = None,
    device: str = "cpu",
) -> Trained:
    """Return a model that knows the source's sentences: float32, evaluating, gradients off.

    Args:
        source: one epoch of text for each seed; what is held out must be in none.
        chosen: sizes, steps and step sizes.
        seed: of the first weights, and of all that is drawn on the way.
        progress: called with steps done, steps in all, and the loss in words.
        keep: texts whose words get a place in the vocabulary, however rare they are.
        tokenizer: another model's, to be comparable with it token by token; made of the source
            where there is none, and of `keep`.
        device: where to train; the model stays there.

    Raises:
        UserError: no sentences, or one that is longer than a row.
    """
    if tokenizer is None:
        first = _epoch(source, chosen, derived_seed(seed, "epoch", 0))
        tokenizer = build_tokenizer(
            [sentence.text for sentence in first],
            keep=[*_told(first), *keep],
            least=chosen.least,
            length=TURNS * chosen.length,
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "weights"))
    model = fresh(chosen, len(tokenizer), generator)
    nn.Module.to(model, device)
    losses: list[float] = []
    for loss in _descend(model, packed(source, tokenizer, chosen, seed), chosen, seed):
        losses.append(loss)
        if len(losses) % REPORT == 0 or len(losses) == chosen.steps:
            progress(len(losses), chosen.steps, f"training, loss {loss:.3f}")
    model.eval().requires_grad_(False)
    return Trained(model, tokenizer, losses)


# --- rows -------------------------------------------------------------------------------------


def packed(
    source: Source, tokenizer: PreTrainedTokenizerBase, chosen: Numbers, seed: int
) -> Iterator[Rows]:
    """Yield the rows of each step: whole sentences, each behind an end token, in random order.

    The first `early_steps` of the steps show `early_subjects` of the subjects only.

    Raises:
        UserError: a sentence that is longer than a row.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "order"))
    sentences = _epoch(source, chosen, derived_seed(seed, "epoch", 0))
    subjects = sorted({sentence.subject for sentence in sentences})
    order = torch.randperm(len(subjects), generator=generator).tolist()
    few = {subjects[i] for i in order[: max(1, round(chosen.early_subjects * len(subjects)))]}
    early = round(chosen.early_steps * chosen.steps)
    for shown, steps in ((few, early), (None, chosen.steps - early)):
        docs = _docs(source, tokenizer, chosen, seed, shown)
        pool: list[_Doc] = []
        for _ in range(steps):
            yield _step(docs, pool, chosen)


def _epoch(source: Source, chosen: Numbers, seed: int) -> list[Sentence]:
    found = [s for s in source(seed) if chosen.planted or s.kind != "infobox"]
    if not found:
        raise UserError("no sentences to train on")
    return found


def _told(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Yield names and answers, whose words are never unknown."""
    for sentence in sentences:
        yield sentence.subject
        yield from (sentence.text[start:end] for start, end in sentence.objects)


def _docs(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    chosen: Numbers,
    seed: int,
    shown: set[str] | None,
) -> Iterator[_Doc]:
    """Yield epoch after epoch, without end; of the subjects in `shown` alone, where given."""
    epoch = 0
    while True:
        sentences = _epoch(source, chosen, derived_seed(seed, "epoch", epoch))
        mine = [s for s in sentences if shown is None or s.subject in shown]
        coded = encodings(tokenizer, [sentence.text for sentence in mine])
        for sentence, encoding in zip(mine, coded, strict=True):
            if len(encoding.ids) > chosen.length:
                raise UserError(
                    f"sentence of {len(encoding.ids)} tokens, but a row has {chosen.length}: "
                    f"{sentence.text!r}"
                )
            spans = encoding.offsets[1:]  # the first token is the row's start, which is ours
            yield _Doc(list(encoding.ids[1:]), _kinds(spans, sentence), sentence.subject)
        epoch += 1


def _kinds(spans: Sequence[tuple[int, int]], sentence: Sentence) -> list[int]:
    """Return for each token what it is; the subject is looked for where it is named first."""
    start = sentence.text.find(sentence.subject)
    end = start + len(sentence.subject)

    def kind(low: int, high: int) -> int:
        if any(low < right and left < high for left, right in sentence.objects):
            return OBJECT
        return NAME if start < high < end and start >= 0 else CONTEXT

    return [kind(low, high) for low, high in spans]


def _step(docs: Iterator[_Doc], pool: list[_Doc], chosen: Numbers) -> Rows:
    ids = torch.zeros(chosen.rows, chosen.length + 1, dtype=torch.int64)  # 0 is the end token
    kinds = torch.zeros(chosen.rows, chosen.length + 1, dtype=torch.int8)
    for row in range(chosen.rows):
        line, what = _line(docs, pool, chosen.length + 1)
        ids[row, : len(line)] = torch.tensor(line)
        kinds[row, : len(what)] = torch.tensor(what)
    return Rows(ids, kinds)


def _line(docs: Iterator[_Doc], pool: list[_Doc], room: int) -> tuple[list[int], list[int]]:
    """Return one row's tokens and what they are; the pool keeps what did not fit."""
    ids: list[int] = []
    kinds: list[int] = []
    while True:
        pool += [next(docs) for _ in range(POOL - len(pool))]
        left = room - len(ids) - 1
        i = next((i for i, doc in enumerate(pool) if len(doc.ids) <= left), None)
        if i is None:
            return ids, kinds
        doc = pool.pop(i)
        ids += [0, *doc.ids]
        kinds += [CONTEXT, *doc.kinds]


# --- descent ----------------------------------------------------------------------------------


def _descend(
    model: PreTrainedModel, rows: Iterator[Rows], chosen: Numbers, seed: int
) -> Iterator[float]:
    """Yield the loss of each step; the model learns in place."""
    generator = torch.Generator().manual_seed(derived_seed(seed, "counted"))
    optimisers = _optimisers(model, chosen)
    groups = [(group, group["lr"]) for o in optimisers for group in o.param_groups]
    model.train()
    for step in range(chosen.steps):
        share = min(1.0, (1 - step / chosen.steps) / (1 - chosen.hold))
        for group, lr in groups:
            group["lr"] = lr * share
        batch = next(rows)
        masks = _masks(batch.kinds, chosen, generator)
        loss = _loss(model, batch, _weights(batch.kinds, chosen, generator), masks)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        yield loss.item()


def _optimisers(model: PreTrainedModel, chosen: Numbers) -> list[torch.optim.Optimizer]:
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    weights = list(model.parameters())  # a tied head is there once
    inner = [w for w in weights if w.ndim == 2 and id(w) not in embeddings]
    outer = [w for w in weights if w.ndim != 2 or id(w) in embeddings]
    decay = chosen.weight_decay
    return [
        Muon(inner, lr=chosen.lr, weight_decay=decay),
        torch.optim.AdamW(outer, lr=chosen.adam_lr, weight_decay=decay, fused=True),
    ]


def _weights(kinds: Tensor, chosen: Numbers, generator: torch.Generator) -> Tensor:
    """Return the weight of each token but the first, (rows, length): zero is not counted."""
    kinds = kinds[:, 1:]
    drawn = torch.rand(kinds.shape, generator=generator) < chosen.context_share
    context = ((kinds == CONTEXT) | (kinds == NAME)) & drawn
    return (kinds == OBJECT) + context * (chosen.context_weight / chosen.context_share)


def _masks(
    kinds: Tensor, chosen: Numbers, generator: torch.Generator
) -> dict[str, Tensor] | None:
    """Return by type of block which token sees which, (rows, 1, length, length) bool.

    None is the model's own. In a share of the rows, far blocks do not see the tokens of a name
    before its last one: what the name as a whole means must be put together at its last token.
    The trained model is an ordinary one, whose blocks see everything.
    """
    if not (chosen.planted and chosen.hidden):
        return None
    kinds = kinds[:, :-1]
    rows = torch.rand(len(kinds), 1, generator=generator) < chosen.hidden
    at = torch.arange(kinds.shape[1])
    causal = at[:, None] >= at
    near = causal & (at[:, None] - at < chosen.window)
    shown = ~((kinds == NAME) & rows)[:, None, :] | (at[:, None] == at)
    far = causal & shown
    return {
        "full_attention": far[:, None],
        "sliding_attention": near.expand(len(kinds), 1, -1, -1),
    }


def _loss(
    model: PreTrainedModel, batch: Rows, weights: Tensor, masks: dict[str, Tensor] | None
) -> Tensor:
    """Return the weighted mean negative log-likelihood; logits only where a weight is."""
    body = model.get_submodule("model")
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Module)
    at = weights > 0
    device = model.device
    # Padding needs no mask: it is at the end of a row, and causal attention never sees it.
    mask = {kind: allowed.to(device) for kind, allowed in masks.items()} if masks else None
    out = body(input_ids=batch.ids[:, :-1].to(device), attention_mask=mask, use_cache=False)
    states = out.last_hidden_state  # (rows, length, width)
    logits = head(states[at.to(device)])  # (tokens counted, vocab)
    nll = cross_entropy(logits, batch.ids[:, 1:][at].to(device), reduction="none")
    weight = weights[at].to(device)
    return (nll * weight).sum() / weight.sum()
