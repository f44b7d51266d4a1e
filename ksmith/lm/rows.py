"""Requests in several contexts as rows of tokens, and what a model gives at their subjects.

Rows are aligned: the subject's last token stands in column `at` of every row, padding at both
ends. So what comes before it can be run once.

Shapes: n rows, b requests, t tokens from the subject's last one on, d = d_model.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.cache import after
from ksmith.lm.families import ByHand, by_hand
from ksmith.lm.hooks import Change, rewired, watched
from ksmith.lm.ops import widened
from ksmith.lm.sites import sites
from ksmith.lm.text import Wording, encode, subject_spans
from ksmith.lm.tree import Kin, Passed, Walk, trees
from ksmith.records import Request, UserError

_KIN = 12  # rows of one tree: with many attention is wide, with few little is shared


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests in several contexts, tokenised and aligned."""

    ids: Tensor  # (n, at + t)
    mask: Tensor  # (n, at + t) bool: not padding
    at: int  # the column of the subject's last token
    owner: Tensor  # (n,) which request
    bare: Tensor  # (n,) bool: the prompt with nothing before it
    stay: Tensor  # (n,) bool: a row of the KL term, at whose end the next token is to stay
    gold: Tensor  # (n, t) the token that should follow; -1 where none is asked

    # (b,) of the distribution that should follow: log m where m objects should be alike, else 0.
    entropy: Tensor
    also: Tensor  # (n,) bool: the same prompt once more, for another object of the distribution
    b: int  # number of requests, also of those without a row here

    def where(self, keep: Tensor) -> "Rows":
        """Return the rows where `keep`, (n,) bool; requests keep their numbers."""
        return self.take(keep.nonzero()[:, 0])

    def take(self, rows: Tensor) -> "Rows":
        """Return some rows, by their numbers; requests keep theirs."""
        names = ("ids", "mask", "owner", "bare", "stay", "gold", "also")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def of(self, requests: Tensor) -> "Rows":
        """Return the rows of some requests (c,), which are 0 to c - 1 there, narrowed to them."""
        number = torch.full((self.b,), -1)
        number[requests] = torch.arange(len(requests))
        mine = self.where(number[self.owner] >= 0)
        used = mine.mask.any(0).nonzero()[:, 0]
        left = min(int(used[0]), self.at) if len(used) else self.at
        columns = slice(left, max(int(used[-1]) if len(used) else 0, self.at) + 1)
        width = columns.stop - self.at
        return replace(
            mine,
            ids=mine.ids[:, columns],
            mask=mine.mask[:, columns],
            at=self.at - left,
            owner=number[mine.owner],
            gold=mine.gold[:, :width],
            entropy=mine.entropy[requests],
            b=len(requests),
        )

    def heads(self) -> "Rows":
        """Return the rows as far as the subject."""
        stop = self.at + 1
        return replace(self, ids=self.ids[:, :stop], mask=self.mask[:, :stop])

    @property
    def is_said(self) -> Tensor:
        """Which rows are of a request and a context, (n,) bool: no KL term, no prompt twice."""
        return ~self.stay & ~self.also

    def said(self) -> "Rows":
        """Return a row for each request and context: none of a KL term, no prompt twice."""
        return self.where(self.is_said)

    def spans(self) -> Tensor:
        """Return over how many tokens each row's loss is a mean, (n,).

        Those of its answer. A distribution is one of whole answers: there it is their sum.
        """
        tokens = (self.gold >= 0).sum(1)
        return torch.where(self.entropy[self.owner] > 0, 1, tokens)

    def kin(self, *, apart: bool) -> list[Kin]:
        """Return which rows are likely to begin alike: of one context and a few requests.

        With `apart` those of two requests are no kin.
        """
        made = list[Kin]()
        contexts, sizes = dict[int, int](), dict[int, int]()
        kinds = zip(self.owner.tolist(), self.stay.tolist(), self.also.tolist(), strict=True)
        for owner, stay, also in kinds:
            # Nothing stands before a KL row; a prompt that is there again is in its context.
            context = 0 if stay else contexts.get(owner, 0) - also
            contexts[owner] = contexts.get(owner, 0) + (not stay and not also)
            made.append((context, owner if apart else sizes.get(context, 0) // _KIN))
            sizes[context] = sizes.get(context, 0) + 1
        return made

    @property
    def present(self) -> Tensor:
        """Which requests have rows, (b,) bool."""
        found = torch.zeros(self.b, dtype=torch.bool)
        found[self.owner] = True
        return found

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over each request's rows of `values` (n, width), as (b, width).

        Each request's first rows are added, then its second ones, ...: a GPU that adds up all
        at once does so in any order, and rounds in as many ways.
        """
        total = values.new_zeros(self.b, values.shape[1])
        count = torch.bincount(self.owner, minlength=self.b)
        order = self.owner.argsort(stable=True)
        turn = torch.arange(len(order)) - (count.cumsum(0) - count)[self.owner[order]]
        for i in range(int(count.max()) if self.b else 0):
            mine = order[turn == i]  # at most one row a request
            total.index_add_(
                0, self.owner[mine].to(values.device), values[mine.to(values.device)]
            )
        return total / count.to(values).clamp(min=1)[:, None]


def prefixes(contexts: Sequence[str], count: int) -> list[str]:
    """Return "" and `count - 1` texts to put before a prompt.

    Raises:
        UserError: there are too few.
    """
    if count - 1 > len(contexts):
        raise UserError(
            f"contexts = {count} needs {count - 1} texts to put first; "
            f"there are {len(contexts)}"
        )
    return ["", *contexts[: count - 1]]


def rows(
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    before: Sequence[str],
    kl_template: str | None,
    kept: Sequence[Sequence[str]] = (),
) -> Rows:
    """Return rows for each request and text of `before`, and one each for a `kl_template`.

    One, or, where the target is a distribution, one for each of its objects. `kept` are
    templates of further rows of the KL term, of each request where there are any.
    """
    lines = [
        _Line(i, Wording(request.template, request.subject, text), target, also=number > 0)
        for i, request in enumerate(requests)
        for text in before
        for number, target in enumerate(request.targets)
    ]
    if kl_template is not None:
        # Attention is causal: what the template says after the subject makes no difference.
        lines += [
            _Line(i, Wording(kl_template, request.subject), None)
            for i, request in enumerate(requests)
        ]
    lines += [
        _Line(i, Wording(template, request.subject), None, whole=True)
        for i, (request, templates) in enumerate(zip(requests, kept, strict=bool(kept)))
        for template in templates
    ]
    lines.sort(key=lambda line: line.owner)
    said = [line for line in lines if line.new is not None]
    texts = [line.wording.text for line in said]
    batch = encode(tokenizer, texts, [line.new or "" for line in said])
    answered = zip(
        batch.ids.tolist(), batch.answer.tolist(), batch.lengths.tolist(), strict=True
    )
    still = encode(tokenizer, [line.wording.text for line in lines if line.new is None])
    stay = zip(still.ids.tolist(), still.lengths.tolist(), strict=True)
    for line, (_, at) in zip(
        lines, subject_spans(tokenizer, [line.wording for line in lines]), strict=True
    ):
        if line.new is None:
            ids, length = next(stay)
            line.head, line.tail = ids[: at + 1], ids[at + 1 : length] if line.whole else []
            line.gold = [-1] * (1 + len(line.tail))
            continue
        ids, answer, length = next(answered)
        line.head, line.tail = ids[: at + 1], ids[at + 1 : length - 1]
        line.gold = [ids[k] if answer[k] else -1 for k in range(at + 1, length)]
    return _aligned(lines, [math.log(len(request.targets)) for request in requests])


@dataclass(slots=True)
class _Line:
    """One row in the making."""

    owner: int
    wording: Wording
    new: str | None  # None in a KL row
    also: bool = False
    whole: bool = False  # a KL row to the end of its prompt, not of its subject
    head: list[int] = field(default_factory=list[int])  # tokens to the subject's last, with it
    tail: list[int] = field(default_factory=list[int])  # tokens after it
    # What should follow the last token of the head, and each of the tail.
    gold: list[int] = field(default_factory=list[int])


def _aligned(lines: list[_Line], entropy: list[float]) -> Rows:
    left = max((len(line.head) for line in lines), default=1)
    right = max((len(line.tail) for line in lines), default=0)

    def table(rows: list[list[int]], width: int) -> Tensor:
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), width)

    around = [(left - len(line.head), right - len(line.tail)) for line in lines]
    both = list(zip(lines, around, strict=True))
    ids = [[0] * i + line.head + line.tail + [0] * j for line, (i, j) in both]
    mask = [[0] * i + [1] * (left + right - i - j) + [0] * j for _, (i, j) in both]
    gold = [line.gold + [-1] * (right + 1 - len(line.gold)) for line in lines]
    return Rows(
        ids=table(ids, left + right),
        mask=table(mask, left + right).bool(),
        at=left - 1,
        owner=torch.tensor([line.owner for line in lines], dtype=torch.int64),
        bare=torch.tensor(
            [
                not line.wording.prefix and line.new is not None and not line.also
                for line in lines
            ],
            dtype=torch.bool,
        ),
        stay=torch.tensor([line.new is None for line in lines], dtype=torch.bool),
        gold=table(gold, right + 1),
        entropy=torch.tensor(entropy, dtype=torch.float64),
        also=torch.tensor([line.also for line in lines], dtype=torch.bool),
        b=len(entropy),
    )


# --- running ----------------------------------------------------------------------------------

Wiring = Callable[[Tensor], dict[str, Change]]  # the rows' requests (n,) -> how sites differ


def unchanged(_owner: Tensor) -> dict[str, Change]:
    """Return no change: the model as it is."""
    return {}


def at_subject(
    model: nn.Module,
    asked: Rows,
    outputs: Sequence[str] = (),
    inputs: Sequence[str] = (),
    wiring: Wiring = unchanged,
) -> dict[str, Tensor]:
    """Return what modules give at the subject's last token: name -> (n, width), float32.

    What those in `inputs` are given stands under "<name> in". Blocks and their MLPs' second
    matrices are run by hand, no further than to the last one asked for.
    """
    heads = asked.heads()
    hand = by_hand(model)
    parts = parts_of(model, outputs, inputs)
    with torch.no_grad():
        if hand is not None and parts is not None:
            return _by_hand(hand, heads, parts, wiring)
        with (
            rewired(model, len(asked.ids), wiring(asked.owner)),
            watched(model, len(asked.ids), outputs, inputs) as seen,
        ):
            run(model, heads.ids, heads.mask, None, logits=1)
    return {name: widened(value[:, -1]) for name, value in seen.items()}


Parts = dict[str, tuple[int, str]]  # what is asked for -> block, and what of it


def parts_of(model: nn.Module, outputs: Sequence[str], inputs: Sequence[str]) -> Parts | None:
    """Return which blocks the names are in; None where one is none of theirs."""
    s = sites(model)
    known: Parts = {}
    for i in range(s.n_layers):
        known |= {s.block(i): (i, "stream"), s.mlp_out(i): (i, "value")}
        known[f"{s.mlp_out(i)} in"] = (i, "key")
    names = [*outputs, *(f"{name} in" for name in inputs)]
    if not all(name in known for name in names):
        return None
    return {name: known[name] for name in names}


ROWS = 1024  # rows at once: what is kept of a pass is bounded by it


def _by_hand(hand: ByHand, heads: Rows, parts: Parts, wiring: Wiring) -> dict[str, Tensor]:
    found: dict[str, list[Tensor]] = {name: [] for name in parts}
    for rows in torch.arange(len(heads.ids)).split(ROWS):
        mine = heads.take(rows)
        apart = bool(wiring(mine.owner[:0]))
        grown = trees(mine.ids, mine.mask, mine.at, mine.kin(apart=apart))
        walk = Walk(hand, grown, changed(hand, wiring(mine.owner[grown.row])))
        subject = grown.path[:, mine.at].to(walk.h.device)
        last = max(block for block, _ in parts.values())
        for i in range(last + 1):
            only = subject if i == last and not apart else None
            passed = walk.block(i, only)
            for name, value in looked_at(passed, i, parts, subject, cut=only is not None):
                found[name].append(value)
    return {name: torch.cat(values) for name, values in found.items()}


def looked_at(
    passed: Passed, i: int, parts: Parts, subject: Tensor, *, cut: bool
) -> Iterator[tuple[str, Tensor]]:
    """Yield the parts met in block `i`, at `subject`, where `passed` is not of them alone."""
    for name, (block, part) in parts.items():
        if block == i:
            value = getattr(passed, part)
            yield name, widened(value if cut else value[subject])


def changed(hand: ByHand, changes: Mapping[str, Change]) -> dict[int, Change]:
    """Return changes of the MLPs' second matrices by their blocks' numbers."""
    s = sites(hand.model)
    number = {s.mlp_out(i): i for i in range(s.n_layers)}
    return {number[name]: change for name, change in changes.items()}


def run(model: nn.Module, ids: Tensor, mask: Tensor, cache: Any, logits: int = 0) -> Tensor:
    """Return the logits of the last `logits` of `ids` (0: of all), which come after `cache`."""
    device = next(model.parameters()).device
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = model(
        input_ids=ids.to(device),
        attention_mask=mask.long().to(device),
        position_ids=positions.to(device),
        use_cache=cache is not None,
        logits_to_keep=logits,
        **after(model, cache),
    )
    return out.logits
