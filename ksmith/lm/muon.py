"""Muon, a step of equal size in every direction of a matrix, in the precision of the weights.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". The momentum of a
matrix's gradient, U S V^T, is replaced by about U V^T: five rounds of a quintic Newton-Schulz
iteration push its singular values towards 1 without a decomposition.

Departs: `torch.optim.Muon` iterates in bfloat16, which processors without such instructions
emulate: there it takes four fifths of a training step. Here it is done in the weights' own
precision, and matrices of one shape go through it together.

    k matrices of one shape, m rows and n >= m columns, each of Frobenius norm at most 1
"""

from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor

# Of x -> a x + b x^3 + c x^5: steep at 0, so that small singular values grow fast, and between
# .7 and 1.2 after five rounds for those that were not tiny.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
SMALLEST = 1e-7  # norm that a gradient is divided by, at least


@final
class Muon(torch.optim.Optimizer):
    """Decoupled weight decay and a step along the orthogonalised Nesterov momentum.

    Args:
        weights: matrices.
        lr: of a square matrix; of one with more rows than columns, times sqrt(rows / columns).
        weight_decay: share of the weights that a step of size 1 takes away.
        momentum: share of the past in the running mean of gradients.
    """

    def __init__(
        self, weights: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(
            weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        )
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.ndim != 2:
                    raise ValueError(f"Muon is for matrices, not for shape {weight.shape}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure: compute the gradients first")
        for group in self.param_groups:
            same: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    same.setdefault(weight.shape, []).append(weight)
            for weights in same.values():
                self._move(weights, group)

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Change matrices of one shape."""
        rows, columns = weights[0].shape
        ahead = torch.stack([self._ahead(weight, group["momentum"]) for weight in weights])
        steps = orthogonal(ahead)
        size = group["lr"] * max(1.0, rows / columns) ** 0.5
        for weight, along in zip(weights, steps, strict=True):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(along, alpha=size)

    def _ahead(self, weight: Tensor, momentum: float) -> Tensor:
        """Return Nesterov's momentum: the running mean of gradients, one step ahead."""
        grad, state = weight.grad, self.state[weight]
        assert grad is not None
        if not state:
            state["mean"] = torch.zeros_like(grad)
        mean: Tensor = state["mean"].lerp_(grad, 1 - momentum)
        return grad.lerp(mean, momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return about U V^T for each U S V^T in `matrices` (k, rows, columns).

    Singular values come out between about .7 and 1.2, but for those that were thousands of
    times smaller than the largest.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices  # (k, m, n)
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST)
    for _ in range(ROUNDS):
        gram = wide @ wide.mT  # (k, m, m)
        odd = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.baddbmm(wide, odd, wide, beta=a)
    return wide.mT if tall else wide
