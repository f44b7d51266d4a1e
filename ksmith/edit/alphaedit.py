"""AlphaEdit: write many facts at once, in directions that the keys of text do not use.

Fang et al., "AlphaEdit: Null-Space Constrained Knowledge Editing", ICLR 2025, arXiv:2410.02355.

Shapes: b requests of a draw, d = d_model, f = d_ff, r free directions.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import LowRank
from ksmith.lm.sites import sites
from ksmith.lm.solve import free_directions, projected
from ksmith.lm.spread import Write, layers_of, write_many
from ksmith.records import Json, Request
from ksmith.settings.alphaedit import AlphaEdit


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: AlphaEdit,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    A draw is written at once: there are no earlier keys to keep.

    Departs: public code calls a direction free below an absolute eigenvalue (0.02) and takes an
    absolute L2; both are relative here, so that they mean the same in every model. The number
    of free directions goes into the log.
    """
    writes: dict[int, Write] = {}
    free: dict[str, Json] = {}
    for layer in layers_of(hp, assets, sites(model)):
        moment = assets.moment(layer)
        mean = float(moment.diagonal().mean())  # of the eigenvalues, too
        U = free_directions(moment, hp.nullspace / mean if hp.absolute else hp.nullspace)
        free[str(layer)] = U.shape[1]
        writes[layer] = _write(U, hp.l2 if hp.absolute else hp.l2 * mean)
    results = write_many(model, draws, hp, assets, writes, progress)
    return [replace(result, log={**result.log, "free": free}) for result in results]


def _write(U: Tensor, l2: float) -> Write:
    def write(K: Tensor, R: Tensor) -> LowRank:
        return projected(K, R, U.to(K.device), l2)

    return write
