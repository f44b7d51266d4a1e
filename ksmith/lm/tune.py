"""Fine-tuning on the new facts: what it learns from, and its descent on one matrix.

Shared by FT and FT-L; `lessons` and `loss` by every editor that goes by gradients.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.descend import Pace, Weights, answer_logp, answers, descend, nll, units
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch
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


def lessons(tokenizer: PreTrainedTokenizerBase, draw: Sequence[Request]) -> Batch:
    """Return the rows that a draw is learnt from: each request's prompt with its new object."""
    return answers(tokenizer, draw, [request.new for request in draw])


def loss(model: nn.Module, batch: Batch, weights: Weights | None = None) -> Tensor:
    """Return the mean over the answers' tokens of -log p, each token after those before it."""
    return nll(answer_logp(model, batch, weights), batch.answer.sum(1))


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
        progress: is told of each draw.
    """
    results: list[Result] = []
    for draw in draws:
        results.append(_tune(model, draw, hp, assets, epsilon))
        progress(len(results), len(draws), "draws written")
    return results


def _tune(
    model: nn.Module,
    draw: Sequence[Request],
    hp: Tune,
    assets: Assets,
    epsilon: float | None,
) -> Result:
    if not draw:
        return Result(delta={}, state=dict(assets.state))
    layer = sites(model).layer(assets.place(hp.layer))
    batch = lessons(assets.tokenizer, draw)

    def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"new": loss(model, batch, weights)}

    name = sites(model).weight(layer)
    length, before = _base(model, layer, assets.state)
    if hp.absolute:
        length = 1.0
    pace = Pace(lr=hp.lr, steps=hp.steps, epsilon=epsilon, stop_loss=hp.stop_loss)
    went = descend(model, {name: length}, parts, pace, before)
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
