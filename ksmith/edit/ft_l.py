"""FT-L: fine-tune one MLP matrix on the new facts, no weight moving further than epsilon.

Zhu et al., "Modifying Memories in Transformer Models", 2020, arXiv:2012.00363; as the baseline
of ROME.
"""

from collections.abc import Sequence

from torch import nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.tune import tune
from ksmith.records import Request
from ksmith.settings.ft_l import FtL


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: FtL,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    Departs: each token of the answer is scored after those before it; public code scores them
    all from the one distribution after the prompt. A bias stays as it is. A step goes by all
    facts of a draw, where public code takes batches of 64. The box stands around the base
    weights, in a sequence too; public code sets it up anew around each batch's start, so that a
    long sequence goes anywhere.
    """
    return tune(model, draws, hp, assets, hp.epsilon, progress)
