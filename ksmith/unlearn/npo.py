"""NPO: treat the forget set as answers that the model should not prefer.

Zhang et al., "Negative Preference Optimization", COLM 2024, arXiv:2404.05868; with a retain
term, as NPO+RT: L = gamma NPO(forget) + alpha NLL(retain).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.descend import answer_logp
from ksmith.lm.forget import forget, old_answers
from ksmith.records import Request, Statement
from ksmith.settings.npo import Npo


def loss(logp: Tensor, logp_ref: Tensor, beta: float) -> Tensor:
    """Return -(2/beta) E[log sigmoid(-beta log(p/p_ref))].

    Both inputs are (n,) sums of token log-probabilities of the forget answers. At the start
    p = p_ref, so every answer contributes (2/beta) log 2:

    >>> logp = Tensor([-3.0, -7.0])
    >>> round(loss(logp, logp, beta=0.5).item(), 4)
    2.7726
    """
    return -2 / beta * logsigmoid(-beta * (logp - logp_ref)).mean()


def unlearn(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    retain: Sequence[Sequence[Statement]],
    hp: Npo,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw, which forgets its old answers and keeps its `retain`.

    Requests of kind "edit" are taught their new answers, too. `model` is left as it was.
    """
    results: list[Result] = []
    for draw, kept in zip(draws, retain, strict=True):
        results.append(_unlearn(model, draw, kept, hp, assets) if draw else Result(delta={}))
        progress(len(results), len(draws), "draws unlearned")
    return results


def _unlearn(
    model: nn.Module,
    draw: Sequence[Request],
    kept: Sequence[Statement],
    hp: Npo,
    assets: Assets,
) -> Result:
    with torch.no_grad():
        reference = answer_logp(model, old_answers(draw, assets))  # (n,) once: no second model

    def forgetting(logp: Tensor, _tokens: Tensor, rows: Tensor) -> Tensor:
        return loss(logp, reference[rows.to(reference.device)], hp.beta)

    return forget(model, draw, kept, hp, assets, forgetting)
