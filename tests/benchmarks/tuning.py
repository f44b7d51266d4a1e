"""Editors that go by gradients, as the benchmark runs them, and plain loops of the same steps."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ksmith.edit import EDITORS
from ksmith.lm.adapters import adapted, linear
from ksmith.lm.delta import Delta, dense
from ksmith.lm.descend import answers, units
from ksmith.lm.factors import factors
from ksmith.lm.hypernetwork import Hypernetwork, Sums, fresh, matrices, measured
from ksmith.lm.sites import sites
from ksmith.records import Request, derived_seed
from ksmith.settings import method as settings_of
from tests.benchmarks import world
from tests.benchmarks.counted import counted
from tests.benchmarks.measured import FEW, Checked
from tests.benchmarks.plain_tuning import answered, descended, mended

TOLD = 16  # requests whose factors MEND's network is told of


class Tuning:
    """FT, FT-L, LoRA or MEND: a draw of all requests; the plain loop takes one at a time."""

    def __init__(self, shape: str, method: str, layer: int, most: int, steps: int) -> None:
        self.model, self.method, self.layer = world.model(shape), method, layer
        self.requests: list[Request] = world.requests(most)
        given: dict[str, Any] = {} if method == "mend" else {"steps": steps, "stop_loss": 0.0}
        given |= {"layer": layer} if method in ("ft", "ft_l") else {}
        self.hp: Any = settings_of(method, given)
        assets = world.assets(self.model, [layer], 10)
        self.assets = replace(assets, hypernetwork=network(self.model))

    def parts(self, n: int) -> dict[str, Callable[[], object]]:
        """See `Job`."""
        return {"edit": partial(self.edit, self.requests[:n])}

    def edit(self, draw: list[Request]) -> Delta:
        """Return the change that writes a draw."""
        return EDITORS[self.method](self.model, [draw], self.hp, self.assets)[0].delta

    def plain(self, i: int) -> Delta:
        """Return what the plain loop finds for request `i`."""
        model, hp, request = self.model, self.hp, self.requests[i]
        batch = answers(self.assets.tokenizer, [request], [request.new])
        if self.method == "mend":
            return mended(model, self.assets.editor(), batch)
        if self.method == "lora":
            return self._adapted(request.id, lambda twin, _step: answered(twin, batch))
        lengths = units(model, [self.layer])
        epsilon = hp.epsilon if self.method == "ft_l" else None
        return descended(
            model,
            lengths,
            lambda now, _step: answered(now, batch),
            lr=hp.lr,
            steps=hp.steps,
            epsilon=epsilon,
        )

    def _adapted(self, request: str, loss: Callable[[nn.Module, int], Tensor]) -> Delta:
        """Return the same for peft's adapters, from the weights that ksmith draws."""
        model, hp = self.model, self.hp
        layers = range(sites(model).n_layers)
        names = [n for i in layers for kind in hp.modules for n in linear(model, i)[kind]]
        twin = adapted(model, names, hp.rank, hp.alpha)
        seed = derived_seed(self.assets.seed, "lora", request)
        twin.reset(torch.Generator().manual_seed(seed))
        went = descended(twin.model, twin.units(), loss, lr=hp.lr, steps=hp.steps)
        return twin.delta(went)

    def check(self, n: int) -> Checked:
        """See `Job`: single edits, which are what the plain loop makes."""
        few = min(n, FEW)
        pairs = [
            (counted(partial(self.edit, [self.requests[i]])), counted(partial(self.plain, i)))
            for i in range(few)
        ]
        return Checked(
            max(_apart(mine, plain) for (mine, _), (plain, _) in pairs),
            sum(made for (_, made), _ in pairs) / few,
            sum(made for _, (_, made) in pairs) / few,
        )


def _apart(one: Delta, other: Delta) -> float:
    """Return the largest of ||one - other|| / ||other||, of all matrices."""
    return max(
        float((dense(one[name]) - dense(block)).norm() / dense(block).norm())
        for name, block in other.items()
    )


def network(model: nn.Module) -> Hypernetwork:
    """Return MEND's network as it is before its training: an edit costs the same after it."""
    asked = world.requests(TOLD)
    chosen = matrices(model, None, ("mlp_in", "mlp_out"), 3)
    sums = {matrix.name: Sums() for matrix in chosen}
    batch = answers(world.tokenizer(), asked, [request.new for request in asked])
    found, _ = factors(model, batch, torch.ones(len(asked)), list(sums))
    for name, own in found.items():
        sums[name].add(torch.cat([own.u, own.d], -1)[own.felt])
    known = measured(model, chosen, sums, torch.float32)
    return fresh(chosen, known, None, 0.1, torch.Generator().manual_seed(0))
