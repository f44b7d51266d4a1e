"""ROME: write one fact as a rank-one change of one MLP matrix.

Meng et al., "Locating and Editing Factual Associations in GPT", NeurIPS 2022, arXiv:2202.05262;
as its public code has it.

Shapes: m draws, b requests optimised at once (one of each draw), d = d_model, f = d_ff.
"""

from collections.abc import Sequence

from torch import nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.insert import Pair, insert
from ksmith.records import Request
from ksmith.settings.rome import Rome


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Rome,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one rank-n delta a draw of n requests; `model` is left as it was.

    The mean key over contexts gives the direction u = C^-1 k; the bare prompt's key k0 is the
    one that is given the value v* = v0 + delta: D = delta u^T / (u.k0). Nothing keeps u.k0 from
    being near zero, and D from being huge: r_rome mends that, and `hp.guard` watches it.
    """
    return insert(model, draws, hp, assets, _of_bare_prompt, progress)


def _of_bare_prompt(bare: Pair, _mean: Pair) -> Pair:
    return bare
