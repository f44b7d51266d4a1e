"""EMMET: write many facts at once, each value met exactly or nearly so.

Gupta, Sajnani, Anumanchipalli, "A Unified Framework for Model Editing", EMNLP Findings 2024,
arXiv:2403.14236.

Shapes: b requests of a draw, d = d_model, f = d_ff.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import LowRank
from ksmith.lm.sites import sites
from ksmith.lm.solve import least_squares
from ksmith.lm.spread import Write, layers_of, write_many
from ksmith.records import Request
from ksmith.settings.emmet import Emmet


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Emmet,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    The slack is for several requests: as in public code, one alone is met exactly.

    Departs: lambda is `hp.weight * d_ff`, so that a weight means the same in every model.
    """
    writes: dict[int, Write] = {}
    device = next(model.parameters()).device
    for layer in layers_of(hp, assets, sites(model), count=1):
        writes[layer] = _write(assets.factor(layer, hp.ridge, device), hp)
    made = write_many(model, draws, hp, assets, writes, progress)
    return [draw.result for draw in made]


def _write(L: Tensor, hp: Emmet) -> Write:
    def write(K: Tensor, R: Tensor) -> LowRank:
        several = K.shape[1] > 1
        weight = hp.weight if hp.absolute else hp.weight * len(K)
        return least_squares(K, R, L.to(K.device), weight, hp.slack if several else 0.0)

    return write
