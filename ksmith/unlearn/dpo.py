"""DPO: prefer the neutral answer to the old one.

Rafailov et al., "Direct Preference Optimization", NeurIPS 2023, arXiv:2305.18290; for unlearning
with answers that abstain (IdkDPO) as in Maini et al., "TOFU", COLM 2024, arXiv:2401.06121. Where
there are several answers to prefer, each has its turn, as the alternates of Mekala et al.,
"Alternate Preference Optimization", 2024, arXiv:2409.13474.

Departs: of a file of answers (`answers`) a fact has another at each of its turns, too, but in an
order drawn for it beforehand: TOFU's public code draws anew each time, and may draw one twice.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget, learnt
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.dpo import Dpo


def loss(preferred: Tensor, rejected: Tensor, beta: float, count: int) -> Tensor:
    """Return -(2/beta) E[log sigmoid(beta (preferred - rejected))].

    Args:
        preferred: (n,) log(p / p_ref) of whole answers to prefer.
        rejected: (n,) the same of those that are to go.
        beta: the larger, the sooner a preference is strong enough.
        count: pairs that the mean is over: n, or more of which these are a share.
    """
    return -2 / beta * (logsigmoid(beta * (preferred - rejected)).sum() / count)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Dpo,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which prefers targets to old answers and keeps its `retain`.

    The target of a request of kind "edit" is its new answer. `model` is left as it was.

    Raises:
        UserError: a request has no target but its old answer.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        preferred, rejected = (_ratio(parts[name]) for name in ("instead", "forget"))
        return loss(preferred, rejected, hp.beta, parts["forget"].count)

    def objective(draw: Sequence[Request], _kept: Sequence[Statement]) -> Objective:
        return Objective(
            loss=forgetting,
            sets=("forget", "instead"),
            instead=[learnt(request, call.assets) for request in draw],
            reference=("forget", "instead"),
        )

    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, objective)


def _ratio(part: Part) -> Tensor:
    """Return log(p / p_ref) of each answer, (n,)."""
    with torch.no_grad():
        before = part.before.summed(part.before.logp)
    return part.logp - before
