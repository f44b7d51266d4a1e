"""The gradient of a weight as rank-one factors: what goes in, and the slope of what comes out.

For y = W u at each token, the gradient of a loss is the sum over tokens of d u^T, where d is the
gradient at y. So no gradient of a weight is ever made: a token's u and d are all there is to it,
whatever the layout in which W is stored, and whatever else is fused into it.

Shapes: n rows, t tokens, i inputs and o outputs of a matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ksmith.lm.descend import answer_logp
from ksmith.lm.hooks import Change, rewired
from ksmith.lm.text import Batch


@dataclass(frozen=True, slots=True)
class Factors:
    """The two factors at each token, in float32 or wider."""

    u: Tensor  # (n, t, i): what the matrix is given
    d: Tensor  # (n, t, o): the gradient of the loss at what it gives

    @property
    def felt(self) -> Tensor:
        """Where the loss depends on what the matrix gives, (n, t) bool: padding is elsewhere."""
        return (self.d != 0).any(-1)

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return u, d and `felt`."""
        return self.u, self.d, self.felt


def factors(
    model: nn.Module, batch: Batch, shares: Tensor, names: Sequence[str]
) -> tuple[dict[str, Factors], Tensor]:
    """Return the factors at some matrices, and each row's log-probability of its answer, (n,).

    The loss is the sum over rows of -share * log p(answer), so that what one row's factors are
    does not depend on the rows beside it.

    Args:
        model: the model; none of its weights gets a gradient.
        batch: rows of prompts and answers.
        shares: (n,).
        names: the modules of the matrices.
    """
    seen: dict[str, Tensor] = {}
    tapped: dict[str, Tensor] = {}

    def tap(name: str) -> Change:
        def change(given: Tensor, output: Tensor) -> Tensor:
            seen[name] = given.detach()
            # Zeros that are added: their gradient is that of the output.
            tapped[name] = torch.zeros_like(output).requires_grad_()
            return output + tapped[name]

        return change

    changes = {name: tap(name) for name in names}
    with torch.enable_grad(), rewired(model, len(batch.ids), changes):
        logp = answer_logp(model, batch)
        loss = -(shares.to(logp) * logp).sum()
        slopes = torch.autograd.grad(loss, [tapped[name] for name in names])
    wide = torch.promote_types(slopes[0].dtype, torch.float32)
    found = {
        name: Factors(seen[name].to(wide), slope.to(wide))
        for name, slope in zip(names, slopes, strict=True)
    }
    return found, logp.detach()
