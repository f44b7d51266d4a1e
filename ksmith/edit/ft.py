"""FT: fine-tune one MLP matrix on the new facts, with nothing to hold it back.

The baseline of ROME (Meng et al. 2022, arXiv:2202.05262) and of those who followed.
"""

from collections.abc import Sequence

from torch import nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.tune import tune
from ksmith.records import Request
from ksmith.settings.ft import Ft


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Ft,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    Departs: each token of the answer is scored after those before it; public code scores them
    all from the one distribution after the prompt. A bias stays as it is. A step goes by all
    facts of a draw, where public code takes batches of 64.
    """
    return tune(model, draws, hp, assets, None, progress)
