"""Fine-tuning on the new facts: what it learns from, and its descent on one matrix.

Shared by FT and FT-L; `loss` by every editor that goes by gradients.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent, steps_told
from ksmith.lm.descend import (
    Pace,
    Parts,
    Taught,
    Told,
    Weights,
    answer_logp,
    descend,
    taught,
    units,
)
from ksmith.lm.sites import sites
from ksmith.records import Request


class Tune(Protocol):
    """The hyperparameters of the descent, explained in settings/ft.py."""

    @property
    def layer(self) -> int | None: ...
    @property
    def lr(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def absolute(self) -> bool: ...


def loss(model: nn.Module, new: Taught, weights: Weights | None = None) -> Tensor:
    """Return the loss of what is taught, each token of an answer after those before it."""
    return new.loss(answer_logp(model, new.batch, weights))


# Numbers in the residual streams of what is run at once, n_layers * d_model for each token: 2,048
# tokens in a model of 8 billion weights, about 10 GB for the way back. It goes by the model alone,
# not by what a machine has free: the same bits everywhere. Small models take all rows at once.
_NUMBERS = 2**28


def tokens_at_once(model: nn.Module, most: int = _NUMBERS) -> int:
    """Return how many tokens, padding included, a pass with a way back may have."""
    s = sites(model)
    width = model.get_submodule(s.norm).get_parameter("weight").shape[0]
    return most // (s.n_layers * width)


def learning(model: nn.Module, new: Taught, most: int = _NUMBERS) -> list[Parts]:
    """Return the loss of what is taught, in as many pieces as fit `most` numbers each."""

    def of(piece: Taught) -> Parts:
        return lambda weights, _step: {"new": loss(model, piece, weights)}

    return [of(piece) for piece in new.pieces(tokens_at_once(model, most))]


def tune(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Tune,
    assets: Assets,
    epsilon: float | None,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta of one matrix a draw; `model` is left as it was.

    Args:
        model: the model.
        draws: requests, each draw learnt by itself.
        hp: where, and how the descent goes.
        assets: the surroundings.
        epsilon: no weight moves further from the base weights, in units of `units`; None: any.
            In a sequence the state says where those are.
        progress: is told of each step.
    """
    results: list[Result] = []
    for number, draw in enumerate(draws):
        tell = steps_told(progress, len(draws), hp.steps, number)
        results.append(_tune(model, draw, hp, assets, epsilon, Told(tell)))
        assets.finished(results[-1])
        tell(hp.steps)
    return results


def _tune(
    model: nn.Module,
    draw: Sequence[Request],
    hp: Tune,
    assets: Assets,
    epsilon: float | None,
    told: Told,
) -> Result:
    if not draw:
        return Result(delta={}, state=dict(assets.state))
    layer = sites(model).layer(assets.place(hp.layer))
    new = taught(assets.tokenizer, draw, ended=True)
    name = sites(model).weight(layer)
    length, before = _base(model, layer, assets.state)
    if hp.absolute:
        length = 1.0
    pace = Pace(
        lr=hp.lr, steps=hp.steps, epsilon=epsilon, stop_loss=hp.stop_loss, before=before
    )
    keeper = assets.keeper(draw)
    went = descend(model, {name: length}, learning(model, new), pace, told, keeper)
    state: dict[str, Tensor] = {}
    if epsilon is not None:
        total = went.delta[name].cpu()
        total = total + before[name].cpu() if before else total
        state = {_CHANGE: total, _LENGTH: torch.tensor(length, dtype=torch.float64)}
    return Result(delta=went.delta, log={"layer": layer, "curve": went.curve}, state=state)


_CHANGE, _LENGTH = "tune.change", "tune.length"  # in the state that goes from batch to batch


def _base(
    model: nn.Module, layer: int, state: Mapping[str, Tensor]
) -> tuple[float, dict[str, Tensor]]:
    """Return the matrix's unit of length and how far it is from the base weights already."""
    name = sites(model).weight(layer)
    if _CHANGE not in state:
        return units(model, [layer])[name], {}
    return float(state[_LENGTH]), {name: state[_CHANGE]}
