"""UNDIAL: teach the model what it says itself, but for the true token's logit, which is lowered.

Dong et al., "UNDIAL: Self-Distillation with Adjusted Logits for Robust Unlearning in Large
Language Models", NAACL 2025, arXiv:2402.10052.

Departs: public code averages over prompt and padding, and lowers the last word of the vocabulary
where a label is masked. Here there are tokens of answers alone.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.records import Request, Statement
from ksmith.settings.undial import Undial


def target(reference: Tensor, gold: Tensor, beta: float) -> Tensor:
    """Return softmax(z_ref - beta onehot(gold)), (m, vocab), for logits (m, vocab)."""
    lowered = torch.full_like(gold, -beta, dtype=reference.dtype)
    return reference.scatter_add(1, gold[:, None], lowered[:, None]).softmax(-1)


def loss(logits: Tensor, wanted: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean over answer tokens of the cross entropy to `wanted`, nats.

    Args:
        logits: (m, vocab).
        wanted: (m, vocab) probabilities.
        tokens: how many the mean is over: m in sum, or more of which these are a share.
    """
    return -(wanted * logits.log_softmax(-1)).sum() / tokens.sum().to(logits.device)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Undial,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers. `model` is left as it was.

    The base weights are asked in each step, for the facts whose turn it is.
    """

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        part = parts["forget"]
        wanted = target(part.before.logits, part.said.gold, hp.beta)
        return loss(part.said.logits, wanted, part.tokens)

    objective = Objective(loss=forgetting, reference=("forget",))
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
