"""CE-U: teach the model what it would say itself if it could not say the true token.

Yang, "CE-U: Cross Entropy Unlearning", 2025, arXiv:2503.01224.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.forget import Objective, Part, forget
from ksmith.lm.move import Call
from ksmith.lm.template import form_of
from ksmith.records import Request, Statement
from ksmith.settings.ce_u import CeU


def loss(logits: Tensor, gold: Tensor, count: int) -> Tensor:
    """Return the mean over tokens of the cross entropy to softmax(z with z_gold = -inf), nats.

    The target is the model's own as it is, and no gradient goes through it.

    Args:
        logits: (m, vocab).
        gold: (m,) the true tokens.
        count: tokens that the mean is over: m, or more of which these are a share.
    """
    barred = logits.detach().scatter(1, gold[:, None], -torch.inf)
    return -(barred.softmax(-1) * logits.log_softmax(-1)).sum() / count


def counted(tokens: Tensor, skip: int, ends: int = 0) -> Tensor:
    """Return how many tokens of answers of so many (n,) count: all but the first `skip`.

    Of an answer that has no more than that, beside `ends` tokens at its end, all count: else
    only where a word ends would be unlearned.

    >>> counted(torch.tensor([1, 2, 5]), skip=1).tolist()
    [1, 1, 4]
    >>> counted(torch.tensor([2, 3, 6]), skip=1, ends=1).tolist()
    [2, 2, 5]
    """
    return torch.where(tokens - ends > skip, tokens - skip, tokens)


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: CeU,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """
    ends = int(form_of(assets.tokenizer).end is not None)

    def forgetting(parts: Mapping[str, Part]) -> Tensor:
        part = parts["forget"]
        said = part.said
        short = said.tokens - ends <= hp.skip
        mine = short[said.row] | (said.place >= hp.skip)  # (m,)
        count = int(counted(part.tokens, hp.skip, ends).sum())
        return loss(said.logits[mine], said.gold[mine], count)

    objective = Objective(loss=forgetting, new=hp.forget_weight)
    call = Call(model, draws, retain, hp, assets, progress)
    return forget(call, lambda _draw, _kept: objective)
