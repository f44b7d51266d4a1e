"""RMU: steer the states of the forget set to a random direction, hold those of the retain set.

Li et al., "The WMDP Benchmark: Measuring and Reducing Malicious Use with Unlearning", ICML 2024,
arXiv:2403.03218: ||h(forget) - c u||^2 + alpha ||h(retain) - h_ref(retain)||^2 after one layer,
by the MLPs of that layer and the two before it. A coefficient that goes by the norm of the
states is from Dang et al., AAAI 2025, arXiv:2408.06223.

Departs: both squares are relative to the mean squared norm of the forget set's states before, so
that one c serves all models. States are looked at from the last token of the subject on: what
stands before it is in questions about others, too, and cannot be told apart from theirs.

Shapes: n rows, t tokens, m of them looked at, d = d_model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.descend import picked
from ksmith.lm.forget import bit_by_bit, old, stated
from ksmith.lm.move import Call, Moment, Work, moved
from ksmith.lm.said import Weights, held, said
from ksmith.lm.sets import Sets, Turn, gathered
from ksmith.lm.sites import sites
from ksmith.lm.text import Wording, subject_spans
from ksmith.records import Request, Statement, derived_seed
from ksmith.settings.rmu import Rmu

BEFORE = 2  # layers before the steered one whose matrices move, too


def loss(states: Tensor, wanted: Tensor, size: float, count: int) -> Tensor:
    """Return E[||h - wanted||^2] / size^2 over tokens.

    Args:
        states: (m, d).
        wanted: (d,), or (m, d).
        size: the unit of length.
        count: tokens that the mean is over: m, or more of which these are a share.
    """
    return (states - wanted).square().sum() / count / size**2


def direction(width: int, seed: int) -> Tensor:
    """Return a random vector of length 1 without negative elements, (d,)."""
    drawn = torch.rand(width, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm()


def steered(model: nn.Module, hp: Rmu, assets: Assets) -> int:
    """Return the layer whose output is steered.

    Where none is named, matrices move from the peak of the causal trace on: as in the paper,
    whose 7 is two above what traces of models of that size find.

    Raises:
        UserError: no layer is named and no peak known, or the model has no such layer.
    """
    s = sites(model)
    if hp.layer is not None:
        return s.layer(hp.layer)
    return min(assets.place(None) + BEFORE, s.n_layers - 1)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Rmu,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which leads what is known of its subjects astray.

    `model` is left as it was.
    """
    layer = steered(model, hp, assets) if any(draws) else 0

    def work(draw: Sequence[Request], kept: Sequence[Statement]) -> Work:
        at = _Place.of(draw, kept if hp.retain_weight else (), layer, assets)
        size = at.size(model)
        seed = derived_seed(assets.seed, "rmu", min(request.id for request in draw))
        return Work(
            parts=_Steering(model, at, hp, size, seed).of,
            most=at.sets.most(hp.batch),
            facts=len(draw),
            log={"layer": layer, "norm": size},
        )

    call = Call(model, draws, retain, hp, assets, progress)
    return moved(call, work, range(max(0, layer - BEFORE), layer + 1))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where states are looked at."""

    sets: Sets
    marks: Tensor  # (n, t - 1) bool, of the rows of all sets
    layer: int

    @classmethod
    def of(
        cls,
        draw: Sequence[Request],
        kept: Sequence[Statement],
        layer: int,
        assets: Assets,
    ) -> "_Place":
        pairs = {"forget": old(draw), "retain": stated(kept)}
        sets = gathered(assets.tokenizer, {n: [[pair] for pair in p] for n, p in pairs.items()})
        wordings = [Wording(fact.template, fact.subject) for fact in (*draw, *kept)]
        first = torch.tensor([last for _, last in subject_spans(assets.tokenizer, wordings)])
        column = torch.arange(sets.batch.ids.shape[1])
        # The last token of a row has nothing after it that its state would be for.
        inside = (column >= first[:, None]) & (column + 1 < sets.batch.lengths[:, None])
        return cls(sets, inside[:, :-1], layer)

    def states(
        self,
        model: nn.Module,
        rows: Tensor,
        weights: Weights | None = None,
        again: bool = False,
    ) -> Tensor:
        """Return the states looked at of some rows, (m, d) float32 or wider, row after row."""
        found = held(model, picked(self.sets.batch, rows), self.layer, weights, again=again)
        mine = found[self.marks[rows].to(found.device)]
        return mine.to(torch.promote_types(mine.dtype, torch.float32))

    def size(self, model: nn.Module) -> float:
        """Return the mean norm of the forget set's states by the weights as they are."""
        rows = torch.tensor([row for fact in self.sets.rows["forget"] for row in fact])

        def norms(some: Tensor) -> Tensor:
            return torch.linalg.vector_norm(self.states(model, some), dim=-1)

        parts = bit_by_bit(rows, _ROWS, norms)
        return float(torch.cat(list(parts)).mean())


_ROWS = 1024  # that are run at once where nothing is kept


@dataclass(frozen=True, slots=True)
class _Steering:
    """The terms of the loss of one draw."""

    model: nn.Module  # as it was before
    at: _Place
    hp: Rmu
    size: float  # the mean norm of the forget set's states before
    seed: int

    def of(self, moment: Moment) -> dict[str, Tensor]:
        """Return the weighted terms of a share of a step."""
        at, hp = self.at, self.hp
        turns = at.sets.step(moment.step, hp.batch, moment.share)
        rows = torch.cat([turn.rows for turn in turns.values()])
        states = at.states(moment.model, rows, moment.weights, hp.checkpointing)
        tokens = [int(at.marks[turn.rows].sum()) for turn in turns.values()]
        now = dict(zip(turns, states.split(tokens), strict=True))
        terms: dict[str, Tensor] = {}
        if "forget" in turns:
            astray = hp.c * self.size * direction(states.shape[1], self.seed).to(states)
            terms["forget"] = hp.forget_weight * self._far(now, turns, "forget", astray)
            if hp.stop_forget:
                _tell_old(moment, at.sets, turns["forget"])
        if "retain" in turns:
            with torch.no_grad():
                reference = at.states(self.model, turns["retain"].rows)
            terms["retain"] = hp.retain_weight * self._far(now, turns, "retain", reference)
        return terms

    def _far(
        self, now: Mapping[str, Tensor], turns: Mapping[str, Turn], name: str, wanted: Tensor
    ) -> Tensor:
        """Return what a share of a set adds to the mean over the step."""
        count = int(self.at.marks[turns[name].all_rows].sum())
        return loss(now[name], wanted, self.size, count)


def _tell_old(moment: Moment, sets: Sets, turn: Turn) -> None:
    """Tell how probable old answers are: the pass to the steered layer says nothing of that."""
    with torch.no_grad():
        found = said(moment.model, picked(sets.batch, turn.rows), moment.weights)
    moment.seen.old(turn.facts, found.probability)
