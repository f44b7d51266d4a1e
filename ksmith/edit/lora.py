"""LoRA: fine-tune adapters of low rank on the new facts; they are the update.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.
"""

from collections.abc import Sequence

import torch
from torch import nn

from ksmith.lm.adapters import Adapted, adapted, linear
from ksmith.lm.assets import Assets, Progress, Result, silent, steps_told
from ksmith.lm.descend import Pace, Told, descend, taught
from ksmith.lm.sites import sites
from ksmith.lm.tune import learning
from ksmith.records import Request, derived_seed
from ksmith.settings.lora import Lora


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Lora,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta of low rank a draw; `model` is left as it was.

    Departs: the step goes by each matrix's own size, so that one default serves narrow and wide
    models; there is no dropout.
    """
    s = sites(model)
    layers = range(s.n_layers) if hp.layers is None else map(s.layer, hp.layers)
    parts = [linear(model, layer) for layer in layers]
    names = [name for part in parts for kind in hp.modules for name in part[kind]]
    twin = adapted(model, names, hp.rank, hp.alpha) if any(draws) else None
    results: list[Result] = []
    for number, draw in enumerate(draws):
        tell = steps_told(progress, len(draws), hp.steps, number)
        one = _edit(twin, draw, hp, assets, Told(tell)) if twin and draw else Result(delta={})
        results.append(one)
        assets.finished(one)
        tell(hp.steps)
    return results


def _edit(
    twin: Adapted, draw: Sequence[Request], hp: Lora, assets: Assets, told: Told
) -> Result:
    new = taught(assets.tokenizer, draw, ended=True)
    seed = derived_seed(assets.seed, "lora", min(request.id for request in draw))
    twin.reset(torch.Generator().manual_seed(seed))

    pace = Pace(lr=hp.lr, steps=hp.steps, stop_loss=hp.stop_loss)
    pieces, keeper = learning(twin.model, new), assets.keeper(draw)
    went = descend(twin.model, twin.units(), pieces, pace, told, keeper)
    return Result(
        delta=twin.delta(went.delta), log={"matrices": len(twin.names), "curve": went.curve}
    )
