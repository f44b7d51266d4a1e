"""AlphaEdit: write many facts at once, in directions that the keys of text do not use.

Fang et al., "AlphaEdit: Null-Space Constrained Knowledge Editing", ICLR 2025, arXiv:2410.02355.

Shapes: b requests of a draw, d = d_model, f = d_ff, r free directions, h earlier keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.delta import LowRank
from ksmith.lm.sites import sites
from ksmith.lm.solve import gathered, projected
from ksmith.lm.spread import Write, Written, layers_of, write_many
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

    In a sequence the keys of earlier batches come in `assets.state`, and go out with this one's
    in `Result.state`: what was written for them is kept. Public code asks for a batch's keys
    again when all layers are written; a layer's keys hang on the layers below alone, so that
    those it was written for are the same.

    Departs: public code calls a direction free below an absolute eigenvalue (0.02) and takes an
    absolute L2; both are relative here, so that they mean the same in every model. The number
    of free directions goes into the log.
    """
    writes: dict[int, Write] = {}
    earlier: dict[int, Tensor] = {}
    free: dict[str, Json] = {}
    device = next(model.parameters()).device
    for layer in layers_of(hp, assets, sites(model)):
        moment = assets.moment(layer)
        mean = float(moment.diagonal().mean())  # of the eigenvalues, too
        cut = hp.nullspace / mean if hp.absolute else hp.nullspace
        U = assets.free(layer, cut, device)
        free[str(layer)] = U.shape[1]
        # On the CPU where an earlier attempt had kept it; moved once, not at each draw's solve.
        earlier[layer] = assets.state.get(_name(layer), U.new_zeros(len(U), 0)).to(U.device)
        writes[layer] = _write(U, hp.l2 if hp.absolute else hp.l2 * mean, earlier[layer])
    made = write_many(model, draws, hp, assets, writes, progress)
    return [_remembering(draw, earlier, free) for draw in made]


def _remembering(draw: Written, earlier: Mapping[int, Tensor], free: dict[str, Json]) -> Result:
    """Return a draw's update with the keys (f, h) that the next batch is to leave alone."""
    keys = {
        _name(layer): gathered(before, draw.keys.get(layer))
        for layer, before in earlier.items()
    }
    result = draw.result
    return replace(result, log={**result.log, "free": free}, state={**result.state, **keys})


def _name(layer: int) -> str:
    return f"alphaedit.keys.{layer}"


def _write(U: Tensor, l2: float, earlier: Tensor) -> Write:
    def write(K: Tensor, R: Tensor) -> LowRank:
        return projected(K, R, U.to(K.device), l2, earlier.to(K.device))

    return write
