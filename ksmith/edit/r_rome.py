"""r-ROME: ROME with one key throughout, so that no edit explodes.

Gupta, Baskaran, Anumanchipalli, "Rebuilding ROME: Resolving Model Collapse during Sequential
Model Editing", EMNLP 2024, arXiv:2403.07175.

Shapes: m draws, b requests optimised at once (one of each draw), d = d_model, f = d_ff.
"""

from collections.abc import Sequence

from torch import nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.insert import Pair, insert
from ksmith.records import Request
from ksmith.settings.r_rome import RRome


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: RRome,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one rank-n delta a draw of n requests; `model` is left as it was.

    The mean key k over contexts is the one that is given the value v* = v0 + delta, v0 that of
    the bare prompt: D = (v* - W k) u^T / (u.k) with u = C^-1 k, so that (W + D) k = v* and u.k > 0.
    """
    return insert(model, draws, hp, assets, _mean_over_contexts, progress)


def _mean_over_contexts(_bare: Pair, mean: Pair) -> Pair:
    return mean
