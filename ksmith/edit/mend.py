"""MEND: a network that was trained to edit turns the gradient of new facts into an update.

Mitchell et al., "Fast Model Editing at Scale", ICLR 2022, arXiv:2110.11309. The network and its
equation are in `lm/hypernetwork.py`, its training in `lm/teach.py`.

Shapes: r tokens of a draw's requests, i inputs and o outputs of a matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ksmith.graph.practice import practised
from ksmith.lm.assets import Assets, Progress, Result, silent
from ksmith.lm.chain import joined
from ksmith.lm.delta import Block, Delta
from ksmith.lm.descend import parted, taught
from ksmith.lm.factors import Factors, factors
from ksmith.lm.hypernetwork import Hypernetwork
from ksmith.lm.sites import sites
from ksmith.lm.solve import compact
from ksmith.lm.tune import tokens_at_once
from ksmith.records import Json, Request
from ksmith.settings.mend import Mend


@dataclass(slots=True)
class _Draw:
    """What there is of one draw's update so far."""

    delta: Delta = field(default_factory=dict[str, Tensor])
    tokens: int = 0  # that the loss depends on, at the lowest matrix
    nll: float = 0.0  # of the draw's answers before the edit, in nats

    def take(self, change: Delta, tokens: int, nll: float) -> None:
        """Add what some of its rows bring."""
        self.delta = joined(self.delta, change)
        self.tokens += tokens
        self.nll += nll


def edit(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    hp: Mend,
    assets: Assets,
    progress: Progress = silent,
) -> list[Result]:
    """Return one delta a draw; `model` is left as it was.

    All of `hp` went into the training of the network. A draw's update is the sum of what its
    requests' tokens add, each by itself: all draws go through the model together. A request with
    several answers counts as the mean over them.

    The log says how many of a draw's requests are about subjects of which the network saw
    nothing in its training: `unseen` of `facts`.

    Departs: public code takes the mean over the requests of an update, here it is their sum, so
    that no request is written less for those beside it.
    """
    if not any(draws):
        return [Result(delta={}) for _ in draws]
    return written(model, draws, assets, tokens_at_once(model), progress)


def written(
    model: nn.Module,
    draws: Sequence[Sequence[Request]],
    assets: Assets,
    most: int,
    progress: Progress = silent,
) -> list[Result]:
    """Return what `edit` returns, by passes of at most `most` tokens."""
    network = assets.editor().to(next(model.parameters()).device)
    requests = [(number, request) for number, draw in enumerate(draws) for request in draw]
    new = taught(assets.tokenizer, [request for _, request in requests])
    share = torch.tensor([1 / len(r.targets) for _, r in requests for _ in r.targets])
    owner = torch.tensor([number for number, r in requests for _ in r.targets])
    names = [matrix.name for matrix in network.matrices]
    made = [_Draw() for _ in draws]
    done = 0
    for rows, batch in parted(new.batch, most):
        found, logp = factors(model, batch, share[rows], names)
        nll = -share[rows] * logp.cpu()
        for number in owner[rows].unique().tolist():
            mine = owner[rows] == number
            change = _change(network, found, mine, transposed=sites(model).transposed)
            tokens = int(found[names[0]].felt[mine].sum())
            made[number].take(change, tokens, float(nll[mine].sum()))
        done += len(rows)
        progress(done, len(new.batch.ids), "rows edited")
    return [
        Result(delta=one.delta, log=_log(network, one, draw))
        for one, draw in zip(made, draws, strict=True)
    ]


def _change(
    network: Hypernetwork, found: Mapping[str, Factors], rows: Tensor, *, transposed: bool
) -> Delta:
    """Return what some rows (n,) bool of a pass bring, in the layout of the weights."""
    change: dict[str, Block] = {}
    for matrix in network.matrices:
        u, d, felt = (part[rows] for part in found[matrix.name].parts())
        with torch.no_grad():
            block = network.change(matrix, u[felt], d[felt])
        change[f"{matrix.name}.weight"] = compact(block.T if transposed else block, u.dtype)
    return change


def _log(network: Hypernetwork, made: _Draw, draw: Sequence[Request]) -> dict[str, Json]:
    return {
        "matrices": len(network.matrices),
        "tokens": made.tokens,
        "loss": made.nll / max(1, len(draw)),
        "facts": len(draw),
        "unseen": sum(not practised(request.subject) for request in draw),
    }
