"""The descent that unlearners share: old answers down, a retain set kept, new answers up where asked."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Result
from ksmith.lm.descend import (
    Weights,
    answer_logp,
    answers,
    descend,
    mlp_out_weights,
    nll,
    picked,
    turn,
)
from ksmith.lm.text import Batch
from ksmith.records import Request, Statement

# (n,) log-probabilities of old answers, their numbers of tokens, and their rows in the draw -> loss
ForgetLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Terms(Protocol):
    """The hyperparameters of the descent, as settings/graddiff.py and settings/npo.py explain them."""

    @property
    def lr(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def forget_weight(self) -> float: ...
    @property
    def retain_weight(self) -> float: ...


def old_answers(draw: Sequence[Request], assets: Assets) -> Batch:
    """Return the rows whose answers are to go, in the order of the draw."""
    return answers(assets.tokenizer, draw, [request.old for request in draw])


def forget(
    model: nn.Module,
    draw: Sequence[Request],
    kept: Sequence[Statement],
    hp: Terms,
    assets: Assets,
    loss: ForgetLoss,
) -> Result:
    """Return the delta of one draw: gamma * (`loss` of the old + NLL of the new) + alpha * NLL(kept).

    The new answers of requests of kind "edit" alone are taught. The facts of a step are the next
    `hp.batch` of each set, so that after a few steps each has had its turn.
    """
    old = old_answers(draw, assets)
    taught = [request for request in draw if request.kind == "edit"]
    new = answers(assets.tokenizer, taught, [request.new for request in taught])
    rest = answers(assets.tokenizer, kept, [statement.object for statement in kept])

    def part(batch: Batch, weights: Weights, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rows = turn(len(batch.ids), hp.batch, step)
        mine = picked(batch, rows)
        return answer_logp(model, mine, weights), mine.answer.sum(1), rows

    def parts(weights: Weights, step: int) -> dict[str, Tensor]:
        found = {"forget": hp.forget_weight * loss(*part(old, weights, step))}
        if taught:
            found["new"] = hp.forget_weight * nll(*part(new, weights, step)[:2])
        if kept and hp.retain_weight:
            found["retain"] = hp.retain_weight * nll(*part(rest, weights, step)[:2])
        return found

    went = descend(model, mlp_out_weights(model), parts, lr=hp.lr, steps=hp.steps)
    return Result(delta=went.delta, log={"curve": went.curve})
