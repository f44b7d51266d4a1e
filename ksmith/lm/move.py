"""What moves in an unlearner's descent, who follows it, and what is told of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from ksmith.lm.adapters import Adapted, Part, adapted, linear
from ksmith.lm.assets import Assets, Progress, Result, steps_told
from ksmith.lm.descend import (
    Descent,
    Diverged,
    Divisible,
    Pace,
    Parts,
    descend,
    unit_lengths,
)
from ksmith.lm.halfway import Memory
from ksmith.lm.said import Weights
from ksmith.lm.sets import Share
from ksmith.lm.sites import sites
from ksmith.records import Json, Request, Statement, derived_seed
from ksmith.settings.unlearning import Unlearning

TRAINABLE: Mapping[str, tuple[Part, ...]] = {
    "mlp_out": ("mlp_out",),
    "mlp": ("mlp_in", "mlp_out"),
    "all": ("attention", "mlp_in", "mlp_out"),
}


class Seen(Protocol):
    """Who is told of what a step's pieces show."""

    def old(self, facts: Tensor, p: Tensor) -> None:
        """Take note of `Said.probability` (n,) of some facts' old answers."""

    def retain(self, loss: float) -> None:
        """Take note of what a piece adds to the retain loss, without its weight."""


class Dual(Memory, Protocol):
    """A weight of the retain loss that changes along the way."""

    weight: float

    def after(self, step: int, retain: float) -> None:
        """Take note of the retain loss of a step, without its weight."""


@dataclass(frozen=True, slots=True)
class Call:
    """What an unlearner is called with."""

    model: nn.Module
    draws: Sequence[Sequence[Request]]
    retain: Sequence[Sequence[Statement]]  # of each draw
    hp: Unlearning
    assets: Assets
    progress: Progress


@dataclass(frozen=True, slots=True)
class Moment:
    """A share of one step of a descent."""

    model: nn.Module  # what moves: the model itself, or a twin of it with adapters
    weights: Weights  # where it is
    step: int
    share: Share
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What descends for one draw."""

    parts: Callable[[Moment], dict[str, Tensor]]  # the weighted parts of the loss
    most: int  # shares that a step can be cut into
    facts: int  # in the forget set
    dual: Dual | None = None  # is told each step's retain loss
    log: Mapping[str, Json] = field(default_factory=dict[str, Json])


def moved(
    call: Call,
    work: Callable[[Sequence[Request], Sequence[Statement]], Work],
    layers: Sequence[int] | None = None,
) -> list[Result]:
    """Return one delta a draw: matrices of `layers`, by default of all, or their adapters.

    Raises:
        Diverged: the loss of a draw is not finite; it says which.
    """
    draws, steps = call.draws, call.hp.steps
    ground = _ground(call, layers) if any(draws) else None
    results: list[Result] = []
    for number, (draw, kept) in enumerate(zip(draws, call.retain, strict=True)):
        tell = steps_told(call.progress, len(draws), steps, number)
        if ground is None or not draw:
            results.append(Result(delta={}))
        else:
            try:
                results.append(_one(ground, call, draw, work(draw, kept), tell))
            except Diverged as error:
                raise (error.within(f"draw {number}") if len(draws) > 1 else error) from None
        call.assets.finished(results[-1])
        tell(steps)
    return results


@dataclass(frozen=True, slots=True)
class _Ground:
    """What is moved, in each draw from where it was."""

    model: nn.Module  # the model itself, or a twin that shares its weights and has adapters
    lengths: Mapping[str, float]
    twin: Adapted | None


def _ground(call: Call, layers: Sequence[int] | None) -> _Ground:
    model, hp = call.model, call.hp
    every = range(sites(model).n_layers) if layers is None else layers
    parts = [linear(model, layer) for layer in every]
    names = [name for part in parts for kind in TRAINABLE[hp.trainable] for name in part[kind]]
    if not hp.adapters:
        return _Ground(model, unit_lengths(model, names), None)
    twin = adapted(model, names, hp.adapters, float(hp.adapters))  # alpha = r: they count once
    return _Ground(twin.model, twin.units(), twin)


def _one(
    ground: _Ground,
    call: Call,
    draw: Sequence[Request],
    work: Work,
    tell: Callable[[int], None],
) -> Result:
    hp = call.hp
    if ground.twin is not None:
        seed = derived_seed(call.assets.seed, "adapters", min(request.id for request in draw))
        ground.twin.reset(torch.Generator().manual_seed(seed))
    follow = Follow(work.facts, hp.stop_forget, tell, work.dual)

    def share(number: int, shares: int) -> Parts:
        return lambda weights, step: work.parts(
            Moment(ground.model, weights, step, (number, shares), follow)
        )

    divisible = Divisible(
        into=lambda many: [share(number, many) for number in range(many)],
        start=min(hp.accumulate, work.most),
        most=work.most,
    )
    pace = Pace(lr=hp.lr, steps=hp.steps, warmup=hp.warmup)
    keeper = call.assets.keeper(draw)
    went = descend(ground.model, ground.lengths, divisible, pace, follow, keeper)
    delta = went.delta if ground.twin is None else ground.twin.delta(went.delta)
    log = {"curve": went.curve, **work.log, **_told(hp, went, follow, divisible.start)}
    return Result(delta=delta, log=log)


def _told(hp: Unlearning, went: Descent, follow: "Follow", pieces: int) -> dict[str, Json]:
    """Return what is out of the ordinary about a descent."""
    told: dict[str, Json] = {}
    if follow.stopped is not None:
        told["stopped"] = {"step": follow.stopped, "old": follow.mean}
    elif hp.stop_forget:  # not json's nan: some fact may never have had its turn
        old = None if math.isnan(follow.mean) else follow.mean
        told["unmet"] = {"stop_forget": hp.stop_forget, "old": old, "steps": hp.steps}
    if went.pieces > pieces:
        told["halved"] = {"pieces": went.pieces, "because": "memory did not suffice for fewer"}
    return told


@final
class Follow:
    """How far the old answers are, and what the retain loss is, step by step."""

    def __init__(
        self,
        facts: int,
        stop: float,
        tell: Callable[[int], None],
        dual: Dual | None,
    ) -> None:
        self.stopped: int | None = None  # the step before which the weights stayed
        self._p = torch.full((facts,), torch.nan)  # of old answers, when they were seen last
        self._stop = stop
        self._tell = tell
        self._dual = dual
        self._retain = 0.0

    @property
    def mean(self) -> float:
        """The mean probability of the old answers, each when its turn was last; nan at first."""
        return float(self._p.mean())

    def old(self, facts: Tensor, p: Tensor) -> None:
        """See `Seen`."""
        self._p[facts] = p.float().cpu()

    def retain(self, loss: float) -> None:
        """See `Seen`."""
        self._retain += loss

    def begin(self, step: int) -> None:
        """See `Watch`."""
        self._retain = 0.0

    def ended(self, step: int, losses: Mapping[str, float]) -> bool:
        """See `Watch`."""
        self._tell(step)
        if self._dual is not None:
            self._dual.after(step, self._retain)
        if self._stop and self.mean <= self._stop:
            self.stopped = step
        return self.stopped is not None

    def state(self) -> dict[str, Json]:
        """See `Memory`."""
        p = [
            None if math.isnan(x) else x for x in self._p.tolist()
        ]  # float32 in a float: exact
        dual = self._dual.state() if self._dual else None
        return {"old": p, "stopped": self.stopped, "dual": dual}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Memory`."""
        p = torch.tensor([math.nan if x is None else float(x) for x in state["old"]])
        stopped = None if state["stopped"] is None else int(state["stopped"])
        if p.shape != self._p.shape:
            raise ValueError(f"it is of {len(p)} facts, not {len(self._p)}")
        if self._dual is not None:
            self._dual.restore(state["dual"])
        self._p, self.stopped = p, stopped
