"""LoRA's adapters on a model's matrices, by peft, the model itself staying as it is.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.

peft puts its modules in place of a model's own. So it is given a copy of the tree of modules
that shares every weight with the model: nothing has to be taken out again.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ksmith.lm.delta import Block, LowRank
from ksmith.lm.sites import Sites, sites
from ksmith.lm.solve import compact
from ksmith.records import UserError

Part = Literal["attention", "mlp_in", "mlp_out"]
_NAME = "default"  # peft's name of an adapter
_LINEAR = ("Linear", "Conv1D")


def linear(model: nn.Module, layer: int) -> dict[Part, list[str]]:
    """Return the names of a block's matrices: attention's, the MLP's first ones, its second one."""
    s = sites(model)
    out, block = s.mlp_out(layer), s.block(layer)
    mlp = out.rpartition(".")[0]
    found: dict[Part, list[str]] = {"attention": [], "mlp_in": [], "mlp_out": [out]}
    for inner, module in model.get_submodule(block).named_modules():
        name = f"{block}.{inner}"
        if type(module).__name__ in _LINEAR and name != out:
            # OPT has no module of the MLP: its matrices are the block's own, attention's are not.
            inside = name.rpartition(".")[0] == mlp
            found["mlp_in" if inside else "attention"].append(name)
    return found


@dataclass(frozen=True, slots=True)
class Adapted:
    """A copy of a model with adapters: W + scale B A, B zero at the start."""

    model: nn.Module  # shares its weights with the model it was made from
    names: Sequence[str]  # of the matrices, in the model that it was made from
    scale: float
    sites: Sites

    def reset(self, generator: torch.Generator) -> None:
        """Draw A anew, evenly in +-1/sqrt(width) as peft does; B is zero."""
        for name in self.names:
            a, b = (self.model.get_parameter(part) for part in pair(name))
            most = a.shape[1] ** -0.5
            with torch.no_grad():
                drawn = torch.rand(a.shape, generator=generator, dtype=torch.float32)
                a.copy_((2 * drawn - 1) * most)
                b.zero_()

    def units(self) -> dict[str, float]:
        """Return the adapters' parameters with their units of length.

        That of A is its root mean square; that of B is such that, while alpha is the rank, a
        step of one unit changes the matrix by one unit of `descend.units`.
        """
        found: dict[str, float] = {}
        for name in self.names:
            a, b = pair(name)
            rank, width = self.model.get_parameter(a).shape
            weight = self.model.get_parameter(f"{name}.base_layer.weight").detach()
            size = float(weight.double().square().mean().sqrt())
            found[a] = (3 * width) ** -0.5
            found[b] = size * (3 / rank) ** 0.5
        return found

    def delta(self, moved: Mapping[str, Tensor]) -> dict[str, Block]:
        """Return what the adapters come to when their parameters move by `moved`."""
        found: dict[str, Block] = {}
        for name in self.names:
            a, b = (self.model.get_parameter(part) + moved[part] for part in pair(name))
            block = LowRank(self.scale * b.detach(), a.detach())
            found[f"{name}.weight"] = compact(block.T if self.sites.transposed else block)
        return found


def _check(model: nn.Module, names: Sequence[str], rank: int) -> None:
    sides = {name: min(model.get_parameter(f"{name}.weight").shape) for name in names}
    if not sides:
        raise UserError("adapters: the model has no matrices of the kind that should have them")
    narrowest = min(sides, key=lambda name: sides[name])
    if rank > sides[narrowest]:
        shape = " x ".join(map(str, model.get_parameter(f"{narrowest}.weight").shape))
        raise UserError(
            f"adapters of rank {rank}: wider than {narrowest}, which is {shape}; at most "
            f"{sides[narrowest]}"
        )


def pair(name: str) -> tuple[str, str]:
    """Return the names of A (rank, in) and B (out, rank) of a matrix's adapter."""
    return f"{name}.lora_A.{_NAME}.weight", f"{name}.lora_B.{_NAME}.weight"


def adapted(model: nn.Module, names: Sequence[str], rank: int, alpha: float) -> Adapted:
    """Return a copy of `model`, which shares its weights, with adapters on some matrices.

    Raises:
        UserError: there are no such matrices, or an adapter would be wider than one.
    """
    from peft import LoraConfig, inject_adapter_in_model  # seconds to import

    _check(model, names, rank)
    s = sites(model)
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    twin = copy.deepcopy(model, shared)
    config: Any = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # any number will do
        target_modules=list(names),
        fan_in_fan_out=s.transposed,
    )
    learns = [(weight, weight.requires_grad) for weight in model.parameters()]
    with torch.random.fork_rng():  # it draws A, which `reset` draws again
        inject_adapter_in_model(config, twin)
    for weight, flag in learns:  # which it freezes, and the model shares
        weight.requires_grad_(flag)
    for name in names:
        twin.get_submodule(f"{name}.lora_A").float()  # also where the weights are bfloat16
        twin.get_submodule(f"{name}.lora_B").float()
    return Adapted(twin.eval(), names, alpha / rank, s)
