"""The descent that unlearners share: old answers down, a retain set kept, new answers up.

A method gives its `Objective`; which facts have their turn, what goes through the model, what
keeps the rest and what moves is the same for all, so that methods differ in nothing else.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Result
from ksmith.lm.descend import picked
from ksmith.lm.move import Call, Dual, Moment, Work, moved
from ksmith.lm.room import lacking
from ksmith.lm.said import Said, kl, nll, said
from ksmith.lm.sets import Pair, Sets, Turn, gathered
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch, encode
from ksmith.records import Json, Request, Statement, UserError
from ksmith.settings.unlearning import Keeping, Unlearning


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Answers of one set in a step, or a share of them, and what the model says of them."""

    facts: Tensor  # (n,) which of the set
    said: Said
    reference: Said | None  # the same by the base weights, where the objective wants it
    tokens: Tensor  # (N,) of each answer in the whole step: all means are over those

    @property
    def logp(self) -> Tensor:
        """The log-probability of each answer, (n,)."""
        return self.said.summed(self.said.logp)

    @property
    def count(self) -> int:
        """N, the answers in the whole step."""
        return len(self.tokens)

    @property
    def before(self) -> Said:
        """What the base weights say."""
        assert self.reference is not None
        return self.reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is one method's own for one draw."""

    loss: Callable[[Mapping[str, Part]], Tensor]  # of a share: what it adds to the step's mean
    sets: tuple[str, ...] = ("forget",)  # those that the loss looks at, "instead" among them
    instead: Sequence[Sequence[Pair]] = ()  # for each request, questions with other answers
    reference: Collection[
        str
    ] = ()  # sets of which the loss has to know the base weights' words
    new: float | None = None  # weight of the new answers' NLL; None: `loss` teaches them
    dual: Dual | None = None
    log: Mapping[str, Json] = field(default_factory=dict[str, Json])


def forget(
    call: Call,
    objective: Callable[[Sequence[Request], Sequence[Statement]], Objective],
) -> list[Result]:
    """Return one delta a draw: of gamma (forget loss + NLL(new)) + alpha (retain loss).

    Requests of kind "edit" are taught their new answers. The facts of a step are the next
    `hp.batch` of each set, so that after a few steps each has had its turn.
    """

    def work(draw: Sequence[Request], kept: Sequence[Statement]) -> Work:
        own = objective(draw, kept)
        sets = gathered(call.assets.tokenizer, _sets(draw, kept, call.hp, own))
        return Work(
            parts=_Terms(call.model, sets, call.hp, own).of,
            most=sets.most(call.hp.batch),
            facts=len(draw),
            dual=own.dual,
            log=own.log,
        )

    return moved(call, work)


def _sets(
    draw: Sequence[Request], kept: Sequence[Statement], hp: Unlearning, own: Objective
) -> dict[str, Sequence[Sequence[Pair]]]:
    """Return what goes through the model, one set after another."""
    sets: dict[str, Sequence[Sequence[Pair]]] = {}
    if "forget" in own.sets or hp.stop_forget:
        sets["forget"] = [[pair] for pair in old(draw)]
    sets["instead"] = own.instead
    if own.new is not None:
        sets["new"] = [[(r.prompt, r.new)] for r in draw if r.kind == "edit"]
    if hp.retain_weight or own.dual is not None:
        sets["retain"] = [[pair] for pair in stated(kept)]
    return sets


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of the loss of one draw."""

    model: nn.Module  # as it was before
    sets: Sets
    hp: Unlearning
    own: Objective

    def of(self, moment: Moment) -> dict[str, Tensor]:
        """Return the weighted terms of a share of a step: one pass over all sets."""
        own, hp = self.own, self.hp
        found = self._looked(moment)
        terms: dict[str, Tensor] = {}
        if any(name in found for name in own.sets):
            terms["forget"] = hp.forget_weight * own.loss(found)
        if hp.stop_forget and "forget" in found:
            part = found["forget"]
            moment.seen.old(part.facts, part.said.probability.detach())
        if "new" in found and own.new is not None:
            terms["new"] = own.new * nll(found["new"].logp, found["new"].tokens)
        if "retain" in found:
            weight = hp.retain_weight if own.dual is None else own.dual.weight
            loss = self._kept(found["retain"])
            moment.seen.retain(float(loss.detach()))
            terms["retain"] = weight * loss
        return terms

    @property
    def _how(self) -> str:
        return self.hp.retain_loss if isinstance(self.hp, Keeping) else "nll"

    def _kept(self, part: Part) -> Tensor:
        """Return the retain loss."""
        losses: list[Tensor] = []
        if self._how != "kl":
            losses.append(nll(part.logp, part.tokens))
        if self._how != "nll":
            losses.append(kl(part.before.logits, part.said.logits, part.tokens))
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]

    def _looked(self, moment: Moment) -> dict[str, Part]:
        """Return what is said of each set whose turn it is, by the weights as they are now.

        And by the base weights, where that is wanted: computed here and dropped again, for a
        second model, or the logits of all facts, would take more memory than a pass does.
        """
        batch = self.sets.batch
        turns = self.sets.step(moment.step, self.hp.batch, moment.share)
        wanted = {*self.own.reference, *(["retain"] if self._how != "nll" else [])}
        mine = picked(batch, torch.cat([turn.rows for turn in turns.values()]))
        again = self.hp.checkpointing
        now = said(moment.model, mine, moment.weights, again=again)
        then = _before(self.model, batch, {n: t for n, t in turns.items() if n in wanted})
        return {
            name: Part(
                facts=turns[name].facts,
                said=part,
                reference=then.get(name),
                tokens=batch.answer[turns[name].all_rows].sum(1),
            )
            for name, part in _by_set(now, turns).items()
        }


def _by_set(found: Said, turns: Mapping[str, Turn]) -> dict[str, Said]:
    return dict(zip(turns, found.split([len(t.rows) for t in turns.values()]), strict=True))


def _before(model: nn.Module, batch: Batch, turns: Mapping[str, Turn]) -> dict[str, Said]:
    """Return what is said of some sets by the weights before."""
    if not turns:
        return {}
    with torch.no_grad():
        rows = torch.cat([turn.rows for turn in turns.values()])
        return _by_set(said(model, picked(batch, rows)), turns)


# --- what is known of answers before a descent ------------------------------------------------

_NUMBERS = 2**28  # logits of what is run at once; of small models that is everything


def asked(model: nn.Module, assets: Assets, pairs: Sequence[Pair]) -> Iterator[Said]:
    """Yield what the weights as they are say of answers, some rows after the other."""
    if not pairs:
        return
    prompts, answers = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    batch = encode(assets.tokenizer, prompts, answers, ended=True)
    head = model.get_parameter(f"{sites(model).head}.weight")
    size = max(1, _NUMBERS // (batch.ids.shape[1] * len(head)))
    rows = torch.arange(len(pairs))
    yield from bit_by_bit(rows, size, lambda some: said(model, picked(batch, some)))


T = TypeVar("T")


def bit_by_bit(rows: Tensor, size: int, look: Callable[[Tensor], T]) -> Iterator[T]:
    """Yield what `look` finds of some rows after the other, without a way back.

    `size` at once; where memory does not suffice for so many, half of them from then on.
    """
    while len(rows):
        some = rows[:size]
        try:
            with torch.no_grad():
                found = look(some)
        except (RuntimeError, MemoryError) as error:
            if len(some) == 1 or not lacking(error):
                raise
            size = len(some) // 2
            continue
        rows = rows[size:]
        yield found


def before(model: nn.Module, assets: Assets, pairs: Sequence[Pair]) -> Tensor:
    """Return the log-probability of each answer by the weights as they are, (n,), nats."""
    return torch.cat([part.summed(part.logp) for part in asked(model, assets, pairs)])


def old(draw: Sequence[Request]) -> list[Pair]:
    """Return the questions of a draw with the answers that are to go."""
    return [(request.prompt, request.old) for request in draw]


def instead(request: Request) -> list[Pair]:
    """Return its question with each answer that it should get, of which the old one is none.

    Raises:
        UserError: there is no other.
    """
    found = [(request.prompt, name) for name in request.targets if name != request.old]
    if not found:
        raise UserError(
            f"request {request.id}, {request.fact!r}: nothing to learn in the place of "
            f"{request.old!r}, its target is that answer itself; give it another "
            "(task.neutral), or take a method that learns no answer"
        )
    return found


def learnt(request: Request, assets: Assets) -> Sequence[Pair]:
    """Return what a request is to answer; where nothing was made for it, as `instead` has it."""
    return assets.instead.get(request.id) or instead(request)


def stated(kept: Sequence[Statement]) -> list[Pair]:
    """Return statements as questions with their answers."""
    return [(statement.prompt, statement.object) for statement in kept]
