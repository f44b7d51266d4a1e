"""PDU: flatten what is said of the forget set, as long as the retain loss stays within a bound.

Entesari et al., "Constrained Entropic Unlearning: A Primal-Dual Framework for Large Language
Models", NeurIPS 2025, arXiv:2506.05314: min E[(max z - mean z)^2] on the forget set, such that
NLL(retain) <= epsilon, with lambda <- max(0, lambda + eta (NLL(retain) - epsilon)).

Departs: the margin counts as a share of what it is at the start, for logits are large in one
model and small in another, and lambda would have to find out; without a given epsilon the bound
is 1.05 times the retain loss at the start; public code averages over prompt and padding, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, asked, forget, old, stated
from ksmith.lm.move import Call
from ksmith.records import Json, Request, Statement
from ksmith.settings.pdu import Pdu

SLACK = 1.05  # x the retain loss at the start


def loss(logits: Tensor, count: int) -> Tensor:
    """Return E[(max z - mean z)^2] over tokens.

    Args:
        logits: (m, vocab).
        count: tokens that the mean is over: m, or more of which these are a share.
    """
    return (logits.amax(-1) - logits.mean(-1)).square().sum() / count


@final
class Bound:
    """Lambda, what the retain loss weighs: it rises while that is beyond epsilon."""

    def __init__(self, weight: float, epsilon: float, step: float, warmup: int) -> None:
        self.weight = weight
        self.epsilon = epsilon
        self.course: list[float] = []  # lambda in each step
        self._step = step
        self._warmup = warmup

    def after(self, step: int, retain: float) -> None:
        """Take note of the retain loss of a step, nats a token."""
        self.course.append(self.weight)
        if step >= self._warmup:
            self.weight = max(0.0, self.weight + self._step * (retain - self.epsilon))

    def state(self) -> dict[str, Json]:
        """See `Memory`."""
        return {"weight": self.weight, "course": list(self.course)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Memory`."""
        weight, course = float(state["weight"]), [float(x) for x in state["course"]]
        self.weight, self.course[:] = weight, course  # the log has this very list


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Pdu,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    The log has lambda for each step. `model` is left as it was.
    """

    def objective(draw: Sequence[Request], kept: Sequence[Statement]) -> Objective:
        margin, _ = _means(model, old(draw), assets)
        epsilon = hp.epsilon
        if epsilon is None:
            epsilon = SLACK * _means(model, stated(kept), assets)[1]
        bound = Bound(hp.retain_weight, epsilon, hp.dual_step, hp.dual_warmup)

        def forgetting(parts: Mapping[str, Part]) -> Tensor:
            part = parts["forget"]
            return loss(part.said.logits, int(part.tokens.sum())) / margin

        log = {"lambda": bound.course, "epsilon": epsilon}
        return Objective(loss=forgetting, dual=bound, log=log)

    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, objective)


def _means(
    model: nn.Module, pairs: Sequence[tuple[str, str]], assets: Assets
) -> tuple[float, float]:
    """Return the mean squared margin and the mean NLL a token of answers; 0 where none are."""
    margin = nll = tokens = 0.0
    for part in asked(model, assets, pairs):
        margin += float(loss(part.logits, 1))
        nll -= float(part.logp.sum())
        tokens += len(part.gold)
    return (margin / tokens, nll / tokens) if tokens else (0.0, 0.0)
