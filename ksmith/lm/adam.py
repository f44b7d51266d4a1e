"""Adam's direction, for descents whose step sizes and limits are their own.

Kingma and Ba 2015, arXiv:1412.6980, with its usual constants.
"""

import torch
from torch import Tensor

_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8


class Adam:
    """The running moments of one tensor's gradients, element by element."""

    def __init__(self, like: Tensor) -> None:
        self._mean = torch.zeros_like(like)
        self._square = torch.zeros_like(like)
        self._steps = 0

    @classmethod
    def at(cls, mean: Tensor, square: Tensor, steps: int) -> "Adam":
        """Return the moments as `state` gave them after so many steps."""
        made = cls(mean)
        made._mean.copy_(mean)
        made._square.copy_(square)
        made._steps = steps
        return made

    def state(self) -> tuple[Tensor, Tensor]:
        """Return both moments, of the gradients and of their squares."""
        return self._mean, self._square

    def direction(self, gradient: Tensor) -> Tensor:
        """Return what to subtract, for a step size of 1, having taken in `gradient`."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - _FIRST)
        self._square.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        # Both corrections for the start in one number: (m / a) / (root(s / b) + e).
        a, b = 1 - _FIRST**self._steps, 1 - _SECOND**self._steps
        return self._mean / self._square.sqrt().mul_(a / b**0.5).add_(a * _SMALL)
