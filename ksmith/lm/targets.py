"""The value that a layer should give at the subject for the model to answer anew.

The search for v* (ROME, arXiv:2202.05262, eq. 4) and for z (MEMIT, arXiv:2210.07229, eq. 16):
gradient descent on a vector that is added at the subject's last token, for many requests at
once. Both add it to the output of the MLP's second matrix: in a residual stream that is the
same as adding it to the output of the whole layer, as MEMIT says it.

Rows are aligned: the subject's last token stands in column `at` of every row, padding at both
ends. So what comes before it is run once, and each step runs only the tokens from there on.
Requests share no number: each has its own step size, its own stop and its own Adam, so a batch
gives what one by one gives.

Shapes: n rows, b requests, t tokens from the subject's last one on, d = d_model.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from ksmith.lm.adam import Adam
from ksmith.lm.assets import Progress, silent
from ksmith.lm.cache import after
from ksmith.lm.hooks import Change, rewired, watched
from ksmith.lm.text import encode, subject_last, with_prefix
from ksmith.records import Json, Request, UserError

_TOKENS = 1024  # tokens of one step: more do not fit a core's cache, and are slower


class Climb(Protocol):
    """The hyperparameters of the search, explained in settings/rome.py and memit.py."""

    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def clamp(self) -> float: ...
    @property
    def kl_weight(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def contexts(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests in several contexts, tokenised and aligned."""

    ids: Tensor  # (n, at + t)
    mask: Tensor  # (n, at + t) bool: not padding
    at: int  # the column of the subject's last token
    owner: Tensor  # (n,) which request
    bare: Tensor  # (n,) bool: the prompt with nothing before it
    stay: Tensor  # (n,) bool: the row of the KL term, which says what the subject is
    gold: Tensor  # (n, t) the token that should follow; -1 where none is asked

    b: int  # number of requests, also of those without a row here

    def where(self, keep: Tensor) -> "Rows":
        """Return the rows where `keep`, (n,) bool; requests keep their numbers."""
        names = ("ids", "mask", "owner", "bare", "stay", "gold")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def said(self) -> "Rows":
        """Return the rows that say the prompt: all but those of the KL term."""
        return self.where(~self.stay)

    @property
    def present(self) -> Tensor:
        """Which requests have rows, (b,) bool."""
        found = torch.zeros(self.b, dtype=torch.bool)
        found[self.owner] = True
        return found

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over each request's rows of `values` (n, width), as (b, width)."""
        total = values.new_zeros(self.b, values.shape[1])
        total.index_add_(0, self.owner.to(values.device), values)
        count = torch.bincount(self.owner, minlength=self.b).to(values)
        return total / count.clamp(min=1)[:, None]


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
) -> Rows:
    """Return a row for each request and text of `before`, and one each for a `kl_template`."""
    heads: list[list[int]] = []  # tokens to the subject's last, with it
    tails: list[list[int]] = []  # tokens after it
    golds: list[
        list[int]
    ] = []  # what should follow the last token of the head and each of the tail
    owner: list[int] = []
    kinds: list[tuple[bool, bool]] = []
    for i, request in enumerate(requests):
        prompts = [with_prefix(text, request.prompt) for text in before]
        batch = encode(tokenizer, prompts, [request.new] * len(prompts))
        for j, text in enumerate(before):
            at = subject_last(tokenizer, request.template, request.subject, text)
            ids = batch.ids[j, : int(batch.lengths[j])].tolist()
            answer = batch.answer[j].tolist()
            heads.append(ids[: at + 1])
            tails.append(ids[at + 1 : -1])
            golds.append([ids[k] if answer[k] else -1 for k in range(at + 1, len(ids))])
            owner.append(i)
            kinds.append((not text, False))
        if kl_template is not None:
            # Attention is causal: what the template says after the subject makes no difference.
            at = subject_last(tokenizer, kl_template, request.subject)
            ids = (
                encode(tokenizer, [kl_template.replace("{}", request.subject)]).ids[0].tolist()
            )
            heads.append(ids[: at + 1])
            tails.append([])
            golds.append([-1])
            owner.append(i)
            kinds.append((False, True))
    return _aligned(heads, tails, golds, owner, kinds)


def _aligned(
    heads: list[list[int]],
    tails: list[list[int]],
    golds: list[list[int]],
    owner: list[int],
    kinds: list[tuple[bool, bool]],
) -> Rows:
    left = max(map(len, heads), default=1)
    right = max(map(len, tails), default=0)
    n = len(heads)
    ids = torch.zeros(n, left + right, dtype=torch.int64)
    mask = torch.zeros(n, left + right, dtype=torch.bool)
    gold = torch.full((n, right + 1), -1, dtype=torch.int64)
    for i, (head, tail, wanted) in enumerate(zip(heads, tails, golds, strict=True)):
        span = slice(left - len(head), left + len(tail))
        ids[i, span] = torch.tensor(head + tail)
        mask[i, span] = True
        gold[i, : len(wanted)] = torch.tensor(wanted)
    kind = torch.tensor(kinds, dtype=torch.bool).reshape(n, 2)
    return Rows(
        ids=ids,
        mask=mask,
        at=left - 1,
        owner=torch.tensor(owner, dtype=torch.int64),
        bare=kind[:, 0],
        stay=kind[:, 1],
        gold=gold,
        b=len(set(owner)),
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

    What those in `inputs` are given stands under "<name> in".
    """
    stop = asked.at + 1
    with (
        torch.no_grad(),
        rewired(model, len(asked.ids), wiring(asked.owner)),
        watched(model, len(asked.ids), outputs, inputs) as seen,
    ):
        _run(model, asked.ids[:, :stop], asked.mask[:, :stop], None, logits=1)
    return {name: widened(value[:, -1]) for name, value in seen.items()}


def widened(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32, or as it is where it is wider."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _run(model: nn.Module, ids: Tensor, mask: Tensor, cache: Any, logits: int = 0) -> Tensor:
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


class _Suffix:
    """Rows from the subject's last token on; what comes before it has been run, once."""

    def __init__(self, model: nn.Module, asked: Rows, place: "Place", wiring: Wiring) -> None:
        self.model, self.asked, self.place, self.wiring = model, asked, place, wiring
        self.cache = DynamicCache(config=getattr(model, "config", None))
        if asked.at:
            with torch.no_grad(), rewired(model, len(asked.ids), wiring(asked.owner)):
                _run(model, asked.ids[:, : asked.at], asked.mask[:, : asked.at], self.cache, 1)

    def keep(self, requests: Tensor, before: Tensor) -> Tensor:
        """Go on with some requests (b,); return their rows of `before` (KL rows, vocab)."""
        staying = requests[self.asked.owner]
        if staying.all():
            return before
        before = before[staying[self.asked.stay].to(before.device)]
        self.asked = self.asked.where(staying)
        if self.asked.at:
            self.cache.batch_select_indices(staying.nonzero()[:, 0].to(self._device))
        return before

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def logp(self, delta: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Return log-probabilities after the tokens at (row, column), (m, vocab) float32."""
        asked = self.asked
        row, column = row.to(self._device), column.to(self._device)
        added = delta[asked.owner.to(delta.device)]  # (n, d)

        def add(_given: Tensor, output: Tensor) -> Tensor:
            first = (widened(output[:, 0]) + added).to(output.dtype)
            return torch.cat([first[:, None], output[:, 1:]], 1)

        def pick(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            # The head is wide: it sees the tokens that are asked about, no others.
            return (given[0][row, column][None], *given[1:])

        handle = self.model.get_submodule(self.place.head).register_forward_pre_hook(pick)
        cache = copy.copy(self.cache)  # a pass adds to its cache
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        n = len(asked.ids)
        try:
            with (
                rewired(self.model, n, self.wiring(asked.owner)),
                rewired(self.model, n, {self.place.site: add}),
            ):
                logits = _run(self.model, asked.ids[:, asked.at :], asked.mask, cache)
        finally:
            handle.remove()
        return widened(logits[0]).log_softmax(-1)


# --- the search -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What the search ended with."""

    delta: Tensor  # (b, d) float32 or wider: what to add at the site
    loss: Tensor  # (b,) the whole loss at that delta
    curve: Tensor  # (evaluations, b) ... and on the way there; nan after a request's end
    steps: Tensor  # (b,) int: steps taken

    @property
    def first(self) -> Tensor:
        """The loss at the start, (b,)."""
        return self.curve[0]

    def log(self, i: int, request: Request, size: float) -> dict[str, Json]:
        """Return what is worth knowing of request `i`; `size` is the norm of the value before."""
        losses = self.curve[: int(self.steps[i]) + 1, i]
        return {
            "id": request.id,
            "steps": int(self.steps[i]),
            "value_norm": size,
            "change_norm": float(self.delta[i].norm()),
            "loss": [float(f"{loss:.4g}") for loss in losses.tolist()],
        }


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vectors are added, and what they are measured by."""

    site: str
    head: str  # the module that gives the logits
    size: Tensor  # (b,) norm of what they are added to


def search(
    model: nn.Module,
    asked: Rows,
    place: Place,
    hp: Climb,
    wiring: Wiring = unchanged,
    progress: Progress = silent,
) -> Found:
    """Return the vectors that, added at the subject, make the new objects likely.

    The loss of a request: mean over contexts of the mean over answer tokens of -log p; plus
    kl_weight * KL(now || before) of the token after the subject in the KL row; plus
    weight_decay * (norm(delta) / size)^2.

    Departs: step, clamp and decay go by each request's own norm. Public code has one absolute
    step, and norm(delta) / size^2 as decay, which mean another thing in every model.
    """
    found = Found(
        delta=place.size.new_zeros(asked.b, _width(model, asked, place.site)),
        loss=torch.zeros(asked.b, dtype=place.size.dtype),
        curve=torch.full((hp.steps, asked.b), torch.nan, dtype=place.size.dtype),
        steps=torch.zeros(asked.b, dtype=torch.int64),
    )
    per_request = max(1, len(asked.ids) // max(1, asked.b)) * asked.gold.shape[1]
    chunk = max(1, _TOKENS // per_request)
    for start in range(0, asked.b, chunk):
        mine = asked.where((asked.owner >= start) & (asked.owner < start + chunk))
        _climb(_Suffix(model, mine, place, wiring), hp, found)
        progress(min(start + chunk, asked.b), asked.b, "values found")
    return found


def _width(model: nn.Module, asked: Rows, site: str) -> int:
    one = asked.where(torch.arange(len(asked.ids)) == 0)
    return at_subject(model, one, [site])[site].shape[1] if asked.b else 0


def _climb(rows: "_Suffix", hp: Climb, found: Found) -> None:
    """Fill in `found` for the requests that have rows."""
    delta, size = found.delta, rows.place.size
    lr = hp.lr * size[:, None] / delta.shape[1] ** 0.5  # a first step has the norm hp.lr * size
    adam = Adam(delta)
    before: Tensor | None = None
    for step in range(hp.steps):
        leaf = delta.clone().requires_grad_()
        losses, before = _losses(rows, leaf, hp, before)
        asked = rows.asked.present
        now = losses.detach().cpu()
        if not bool(now.isfinite().all()):  # it would pass for a finished search
            raise FloatingPointError(f"the loss of the search is not finite at step {step}")
        found.loss[asked] = found.curve[step, asked] = now[asked]
        climbing = asked & (now >= hp.stop_loss)
        # As in public code: the last of `steps` evaluations is not followed by a step.
        if step == hp.steps - 1 or not climbing.any():
            return
        # The sum over requests, which share nothing: each has the gradient that it has alone.
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        moved = _clamped(delta - lr * adam.direction(gradient), hp.clamp * size)
        on = climbing.to(delta.device)
        delta[on] = moved[on]
        found.steps[climbing] += 1
        before = rows.keep(climbing, before)


def _clamped(vectors: Tensor, most: Tensor) -> Tensor:
    """Return `vectors` (b, d), none longer than its `most` (b,)."""
    norm = vectors.norm(dim=1).clamp(min=torch.finfo(vectors.dtype).tiny)
    return vectors * (most / norm).clamp(max=1)[:, None]


def _losses(
    rows: "_Suffix", delta: Tensor, hp: Climb, before: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return each request's loss (b,), 0 for those without rows, and what the KL compares with.

    `before` holds log-probabilities (KL rows, vocab); without it, those of now are taken.
    """
    asked, device = rows.asked, delta.device
    row, column = (asked.gold >= 0).nonzero(as_tuple=True)
    stay = asked.stay.nonzero()[:, 0]
    logp = rows.logp(delta, torch.cat([row, stay]), torch.cat([column, stay * 0]))
    said, kept = logp[: len(row)], logp[len(row) :]
    before = kept.detach() if before is None else before
    nll = -said.gather(1, asked.gold[row, column].to(device)[:, None])[:, 0]
    # The mean over the answer's tokens, then over the request's contexts.
    tokens = (asked.gold >= 0).sum(1)
    contexts = torch.bincount(asked.owner[~asked.stay], minlength=asked.b)
    weight = 1 / (tokens[row] * contexts[asked.owner[row]]).to(device)
    losses = delta.new_zeros(asked.b).index_add(0, asked.owner[row].to(device), nll * weight)
    kl = (kept.exp() * (kept - before)).sum(1)
    losses = losses.index_add(0, asked.owner[stay].to(device), hp.kl_weight * kl)
    # The square: norm() has no gradient at 0, where the search starts.
    decay = hp.weight_decay * delta.square().sum(1) / rows.place.size**2
    return losses + decay * asked.present.to(device), before
