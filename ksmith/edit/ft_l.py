"""FT-L: fine-tune one MLP matrix on the new facts, no weight moving further than epsilon.

Zhu et al., "Modifying Memories in Transformer Models", 2020, arXiv:2012.00363; as the baseline
of ROME.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.descend import Pace, Weights, answer_logp, answers, descend, nll, units
from ksmith.lm.sites import sites
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
    all from the one distribution after the prompt. The box stands around the base weights.
    """
    results: list[Result] = []
    for draw in draws:
        results.append(_edit(model, draw, hp, assets) if draw else Result(delta={}))
        progress(len(results), len(draws), "draws written")
    return results


def _edit(model: nn.Module, draw: Sequence[Request], hp: FtL, assets: Assets) -> Result:
    layer = sites(model).layer(assets.place(hp.layer))
    batch = answers(assets.tokenizer, draw, [request.new for request in draw])

    def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"new": nll(answer_logp(model, batch, weights), batch.answer.sum(1))}

    pace = Pace(lr=hp.lr, steps=hp.steps, epsilon=hp.epsilon, stop_loss=hp.stop_loss)
    lengths = units(model, [layer])
    went = descend(model, dict.fromkeys(lengths, 1.0) if hp.absolute else lengths, parts, pace)
    return Result(delta=went.delta, log={"layer": layer, "curve": went.curve})
