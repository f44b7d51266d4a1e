"""The descent that unlearners share: old answers down, a retain set kept, new answers up."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Result
from ksmith.lm.descend import (
    Pace,
    Weights,
    answer_logp,
    answers,
    descend,
    nll,
    picked,
    turn,
    units,
)
from ksmith.lm.text import Batch
from ksmith.records import Request, Statement

# Of old answers, (n,) each: log-probabilities, numbers of tokens, rows in the draw -> loss
ForgetLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Terms(Protocol):
    """The hyperparameters of the descent, explained in settings/graddiff.py and npo.py."""

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
    """Return the delta of one draw: gamma (`loss` of the old + NLL(new)) + alpha NLL(kept).

    Only requests of kind "edit" are taught their new answers. The facts of a step are the next
    `hp.batch` of each set, so that after a few steps each has had its turn.
    """
    taught = [request for request in draw if request.kind == "edit"]
    sizes = {
        "forget": len(draw),
        "new": len(taught),
        "retain": len(kept) if hp.retain_weight else 0,
    }
    objects = [
        *(request.old for request in draw),
        *(request.new for request in taught),
        *(statement.object for statement in kept),
    ]
    batch = answers(assets.tokenizer, [*draw, *taught, *kept], objects)  # one after another

    def parts(weights: Weights, step: int) -> dict[str, Tensor]:
        turns: dict[str, Tensor] = {}
        start = 0
        for name, size in sizes.items():
            if size:
                turns[name] = start + turn(size, hp.batch, step)
            start += size
        mine = picked(batch, torch.cat(list(turns.values())))
        counts = [len(rows) for rows in turns.values()]
        logp = dict(zip(turns, answer_logp(model, mine, weights).split(counts), strict=True))
        tokens = dict(zip(turns, mine.answer.sum(1).split(counts), strict=True))
        found = {
            "forget": hp.forget_weight * loss(logp["forget"], tokens["forget"], turns["forget"])
        }
        for name, weight in (("new", hp.forget_weight), ("retain", hp.retain_weight)):
            if name in turns:
                found[name] = weight * nll(logp[name], tokens[name])
        return found

    went = descend(model, units(model), parts, Pace(lr=hp.lr, steps=hp.steps))
    return Result(delta=went.delta, log={"curve": went.curve})
