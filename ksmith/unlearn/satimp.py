"""SatImp: gradient ascent on tokens that are neither sure nor gone.

Yang et al., "Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning", ICML 2025,
arXiv:2505.11953: saturation p^beta1 spares what is gone already, importance (1 - p)^beta2 what
everybody would say.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.satimp import SatImp


def loss(logp: Tensor, beta1: float, beta2: float, tokens: Tensor) -> Tensor:
    """Return -E[p^beta1 (1 - p)^beta2 NLL], the mean over answer tokens.

    No gradient goes through the weight.

    Args:
        logp: (m,) log-probabilities of tokens.
        beta1: saturation.
        beta2: importance.
        tokens: how many the mean is over: m in sum, or more of which these are a share.
    """
    sure = logp.detach()
    rest = -torch.expm1(sure)  # 1 - p, also where p is nearly 1
    weight = (beta1 * sure).exp() * rest**beta2
    return (weight * logp).sum() / tokens.sum().to(logp.device)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: SatImp,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too: with weight 1, for gamma goes by
    the size of this loss. `model` is left as it was.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        part = parts["forget"]
        return loss(part.said.logp, hp.beta1, hp.beta2, part.tokens)

    objective = Objective(loss=forgetting, new=1.0)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
