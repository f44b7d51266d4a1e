"""MEMIT: write many facts at once, spread over the MLP matrices of several layers.

Meng et al., "Mass-Editing Memory in a Transformer", ICLR 2023, arXiv:2210.07229.

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
from ksmith.settings.memit import Memit


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Memit,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    Departs: lambda is `hp.weight * d_ff`. For an ordinary token k^T C^-1 k is d_ff on average,
    so that a weight means the same in a small and in a large model (the papers' 15000 on GPT-J
    is 0.92).
    """
    writes: dict[int, Write] = {}
    device = next(model.parameters()).device
    for layer in layers_of(hp, assets, sites(model)):
        L = assets.factor(layer, hp.ridge, device)
        writes[layer] = _write(L, hp.weight if hp.absolute else hp.weight * len(L))
    made = write_many(model, draws, hp, assets, writes, progress)
    return [draw.result for draw in made]


def _write(L: Tensor, weight: float) -> Write:
    def write(K: Tensor, R: Tensor) -> LowRank:
        return least_squares(K, R, L.to(K.device), weight)

    return write
