"""Unlearning as it is usually written: what ksmith's descent is held to.

Each set of a step goes through the model by itself, where there is a reference through a copy of
it, too; logits of the whole vocabulary at every position, which are masked in the loss; autograd,
torch's AdamW on the weights. The facts of a step are those that ksmith takes.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, logsigmoid

from ksmith.lm.adapters import linear
from ksmith.lm.assets import Assets
from ksmith.lm.delta import Delta
from ksmith.lm.descend import unit_lengths
from ksmith.lm.forget import old, stated
from ksmith.lm.move import TRAINABLE
from ksmith.lm.sets import Pair, turn
from ksmith.lm.sites import as_rows, sites
from ksmith.lm.text import Batch, Wording, encode, subject_spans
from ksmith.records import Request, Statement, derived_seed
from ksmith.unlearn.pdu import SLACK
from ksmith.unlearn.rmu import BEFORE, direction
from tests.benchmarks.plain_tuning import descended


@dataclass(frozen=True)
class Looked:
    """What a model says of a batch, at all positions but the last."""

    logits: Tensor  # (n, t, vocab) float32
    gold: Tensor  # (n, t)
    mine: Tensor  # (n, t) bool: of answers

    @cached_property
    def words(self) -> Tensor:
        """Log-probabilities of all words, (n, t, vocab)."""
        return self.logits.log_softmax(-1)

    @cached_property
    def logp(self) -> Tensor:
        """Log-probabilities of the tokens that are there, (n, t)."""
        return self.words.gather(2, self.gold[..., None])[..., 0]

    @property
    def answers(self) -> Tensor:
        """Log-probabilities of answers, (n,)."""
        return (self.logp * self.mine).sum(1)

    def mean(self, values: Tensor, mine: Tensor | None = None) -> Tensor:
        """Return the mean over the tokens of answers of `values` (n, t)."""
        mine = self.mine if mine is None else mine
        return values.masked_fill(~mine, 0).sum() / mine.sum()


@dataclass(frozen=True)
class Trial:
    """One draw."""

    model: nn.Module
    base: nn.Module  # a copy: the reference
    batches: Mapping[str, Batch]  # set -> all its rows
    rows: Mapping[str, Sequence[Sequence[int]]]  # set -> fact -> its rows
    hp: Any

    def batch(self, name: str, step: int) -> Batch:
        """Return the rows of a set in a step, padded to the longest of them."""
        rows = self.rows[name]
        facts, visits = turn(len(rows), self.hp.batch, step)
        pairs = zip(facts.tolist(), visits.tolist(), strict=True)
        chosen = [rows[fact][times % len(rows[fact])] for fact, times in pairs]
        whole = self.batches[name]
        t = int(whole.lengths[chosen].max())
        return Batch(
            whole.ids[chosen, :t], whole.mask[chosen, :t], whole.answer[chosen, :t]
        ).to(next(self.model.parameters()).device)

    def now(self, name: str, step: int) -> Looked:
        """Return what the model says."""
        return looked(self.model, self.batch(name, step))

    def before(self, name: str, step: int) -> Looked:
        """Return what the reference says."""
        with torch.no_grad():
            return looked(self.base, self.batch(name, step))

    def kept(self, step: int) -> Tensor:
        """Return the retain loss."""
        found, how = self.now("retain", step), getattr(self.hp, "retain_loss", "nll")
        losses = [-found.mean(found.logp)] if how != "kl" else []
        if how != "nll":
            reference = self.before("retain", step).words
            apart = kl_div(found.words, reference, reduction="none", log_target=True)
            losses.append(found.mean(apart.sum(-1)))
        return torch.stack(losses).sum()


def looked(model: nn.Module, batch: Batch) -> Looked:
    """Return what a model says of a batch."""
    logits = model(input_ids=batch.ids, attention_mask=batch.mask.long()).logits
    return Looked(logits[:, :-1].float(), batch.ids[:, 1:], batch.answer[:, 1:])


# --- losses -----------------------------------------------------------------------------------


def _graddiff(trial: Trial, step: int) -> Tensor:
    found = trial.now("forget", step)
    return found.mean(found.logp)


def _npo(trial: Trial, step: int) -> Tensor:
    beta, found = trial.hp.beta, trial.now("forget", step)
    apart = found.answers - trial.before("forget", step).answers
    return -2 / beta * logsigmoid(-beta * apart).mean()


def _simnpo(trial: Trial, step: int) -> Tensor:
    beta, found = trial.hp.beta, trial.now("forget", step)
    each = -found.answers / found.mine.sum(1)
    return -2 / beta * logsigmoid(beta * (each - trial.hp.delta)).mean()


def _dpo(trial: Trial, step: int) -> Tensor:
    preferred, rejected = (
        trial.now(name, step).answers - trial.before(name, step).answers
        for name in ("instead", "forget")
    )
    beta = trial.hp.beta
    return -2 / beta * logsigmoid(beta * (preferred - rejected)).mean()


def _undial(trial: Trial, step: int) -> Tensor:
    found, logits = trial.now("forget", step), trial.before("forget", step).logits
    lowered = torch.full_like(logits[..., :1], -trial.hp.beta)
    wanted = logits.scatter_add(2, found.gold[..., None], lowered).softmax(-1)
    return -found.mean((wanted * found.words).sum(-1))


def _ce_u(trial: Trial, step: int) -> Tensor:
    found, skip = trial.now("forget", step), trial.hp.skip
    place = found.mine.cumsum(1)
    counted = found.mine & ((place > skip) | (found.mine.sum(1, keepdim=True) <= skip))
    barred = found.logits.detach().scatter(2, found.gold[..., None], -torch.inf)
    return -found.mean((barred.softmax(-1) * found.words).sum(-1), counted)


def _wga(trial: Trial, step: int) -> Tensor:
    found = trial.now("forget", step)
    return found.mean(found.logp.detach().exp() ** trial.hp.beta * found.logp)


def _satimp(trial: Trial, step: int) -> Tensor:
    found = trial.now("forget", step)
    p = found.logp.detach().exp()
    return found.mean(p**trial.hp.beta1 * (1 - p) ** trial.hp.beta2 * found.logp)


def _relearn(trial: Trial, step: int) -> Tensor:
    found = trial.now("instead", step)
    return -found.mean(found.logp)


FORGET: dict[str, Callable[[Trial, int], Tensor]] = {
    "ga": _graddiff,
    "graddiff": _graddiff,
    "npo": _npo,
    "simnpo": _simnpo,
    "dpo": _dpo,
    "undial": _undial,
    "ce_u": _ce_u,
    "wga": _wga,
    "satimp": _satimp,
    "relearn": _relearn,
}
INSTEAD = ("dpo", "relearn")


# --- the loop ---------------------------------------------------------------------------------


def plain(
    method: str,
    model: nn.Module,
    draw: Sequence[Request],
    kept: Sequence[Statement],
    hp: Any,
    assets: Assets,
) -> Delta:
    """Return the change that the loop ends with; the model is as it was."""
    trial = opened(model, draw, kept, hp, assets)
    layers: Sequence[int] = range(sites(model).n_layers)
    if method == "rmu":
        loss, layers = _rmu(trial, draw, kept, assets)
    elif method == "pdu":
        loss = _pdu(trial)
    else:
        forgetting = FORGET[method]

        def loss(_model: nn.Module, step: int, /) -> Tensor:
            found = hp.forget_weight * forgetting(trial, step)
            return found + hp.retain_weight * trial.kept(step) if hp.retain_weight else found

    parts = [linear(model, layer) for layer in layers]
    names = [n for part in parts for kind in TRAINABLE[hp.trainable] for n in part[kind]]
    return descended(model, unit_lengths(model, names), loss, lr=hp.lr, steps=hp.steps)


def opened(
    model: nn.Module,
    draw: Sequence[Request],
    kept: Sequence[Statement],
    hp: Any,
    assets: Assets,
) -> Trial:
    """Return a draw that is ready for its first step."""
    sets: dict[str, list[list[Pair]]] = {
        "forget": [[pair] for pair in old(draw)],
        "retain": [[pair] for pair in stated(kept)],
        "instead": [
            [(request.prompt, name) for name in request.targets if name != request.old]
            for request in draw
        ],
    }
    batches: dict[str, Batch] = {}
    rows: dict[str, list[list[int]]] = {}
    for name, facts in sets.items():
        pairs = [pair for fact in facts for pair in fact]
        batches[name] = encode(assets.tokenizer, [p for p, _ in pairs], [a for _, a in pairs])
        numbers = iter(range(len(pairs)))
        rows[name] = [[next(numbers) for _ in fact] for fact in facts]
    return Trial(model, copy.deepcopy(model), batches, rows, hp)


def _pdu(trial: Trial) -> Callable[[nn.Module, int], Tensor]:
    """Return the loss of PDU, whose weight of the retain set rises beyond a bound."""
    hp = trial.hp
    with torch.no_grad():
        forget, retain = (looked(trial.base, trial.batches[n]) for n in ("forget", "retain"))
        size = _margin(forget)
        bound = -SLACK * retain.mean(retain.logp) if hp.epsilon is None else hp.epsilon
    weight = hp.retain_weight

    def loss(_model: nn.Module, step: int) -> Tensor:
        nonlocal weight
        kept = trial.kept(step)
        found = hp.forget_weight * _margin(trial.now("forget", step)) / size + weight * kept
        if step >= hp.dual_warmup:
            weight = max(0.0, weight + hp.dual_step * float(kept.detach() - bound))
        return found

    return loss


def _margin(found: Looked) -> Tensor:
    return found.mean((found.logits.amax(-1) - found.logits.mean(-1)).square())


def _rmu(
    trial: Trial, draw: Sequence[Request], kept: Sequence[Statement], assets: Assets
) -> tuple[Callable[[nn.Module, int], Tensor], range]:
    """Return the loss of RMU, and the layers that move: whole passes, of which a hook sees one."""
    hp, device = trial.hp, next(trial.model.parameters()).device
    firsts: dict[str, Tensor] = {}
    for name, facts in (("forget", draw), ("retain", kept)):
        spans = subject_spans(assets.tokenizer, [Wording(f.template, f.subject) for f in facts])
        firsts[name] = torch.tensor([last for _, last in spans], device=device)

    def states(model: nn.Module, batch: Batch, first: Tensor) -> Tensor:
        seen: list[Tensor] = []
        block = model.get_submodule(sites(model).block(hp.layer))
        handle = block.register_forward_hook(
            lambda _module, _given, output: seen.append(as_rows(output, len(batch.ids)))
        )
        model(input_ids=batch.ids, attention_mask=batch.mask.long())
        handle.remove()
        column = torch.arange(batch.ids.shape[1], device=device)
        inside = (column >= first[:, None]) & (column + 1 < batch.lengths[:, None])
        return seen[0][inside].float()

    with torch.no_grad():
        size = states(trial.base, trial.batches["forget"].to(device), firsts["forget"])
    norm = float(size.norm(dim=-1).mean())
    seed = derived_seed(assets.seed, "rmu", min(request.id for request in draw))
    astray = hp.c * norm * direction(size.shape[1], seed).to(size)

    def loss(model: nn.Module, step: int) -> Tensor:
        total = torch.zeros((), device=device)
        for name, weight in (("forget", hp.forget_weight), ("retain", hp.retain_weight)):
            batch = trial.batch(name, step)
            facts, _ = turn(len(firsts[name]), hp.batch, step)
            first = firsts[name][facts.to(device)]
            found, wanted = states(model, batch, first), astray
            if name == "retain":
                with torch.no_grad():
                    wanted = states(trial.base, batch, first)
            total = total + weight * (found - wanted).square().sum() / len(found) / norm**2
        return total

    return loss, range(max(0, hp.layer - BEFORE), hp.layer + 1)
