"""The operations that blocks consist of, forward and backward, without autograd.

A search for a vector needs the gradient of a model's *input*, hundreds of times, and none of its
weights. Written by hand it costs two passes' arithmetic and no bookkeeping. Each operation here
gives its result together with what its `back` needs; `back` turns the gradient of the result
into that of the input.

Norms, softmax and positions are computed in float32 where a model is in less, as transformers
does.

Shapes: N tokens of all rows one after another, R rows, t tokens, S tokens to look at, d =
d_model, H heads, G groups of them that share keys and values, e = width of a head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers.activations import (
    GELUActivation,
    GELUTanh,
    NewGELUActivation,
    SiLUActivation,
)

Saved = tuple[Tensor, ...]  # what a `back` needs

_aten: Any = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Affine:
    """x W + b."""

    weight: Tensor  # (in, out), a view of the module's own
    bias: Tensor | None

    @classmethod
    def of(cls, module: Any) -> "Affine":
        """Return what an `nn.Linear` does."""
        return cls(module.weight.T, module.bias)

    @classmethod
    def conv(cls, module: Any, start: int = 0, stop: int | None = None) -> "Affine":
        """Return what a GPT-2 `Conv1D` does, or some columns of it."""
        return cls(module.weight[:, start:stop], module.bias[start:stop])

    @classmethod
    def rows(cls, module: Any, rows: slice | Tensor) -> "Affine":
        """Return some outputs of an `nn.Linear`."""
        return cls(module.weight[rows].T, None if module.bias is None else module.bias[rows])

    def __call__(self, x: Tensor) -> Tensor:
        """Return (N, out) for (N, in)."""
        if self.bias is None:
            return x @ self.weight
        return torch.addmm(self.bias, x, self.weight)

    def back(self, gradient: Tensor, onto: Tensor | None = None) -> Tensor:
        """Return the gradient (N, in) for that of the output; `onto` is added to, in place."""
        if onto is None:
            return gradient @ self.weight.T
        return onto.addmm_(gradient, self.weight.T)


# --- norms ------------------------------------------------------------------------------------


class Norm(Protocol):
    """A norm over the last dimension, whatever the others are."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """Return `x` normed."""
        ...

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """Return the gradient of `x`."""
        ...


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """(x - mean) / deviation * weight + bias."""

    weight: Tensor | None  # (d,)
    bias: Tensor | None
    width: int
    eps: float

    @classmethod
    def of(cls, module: Any) -> "LayerNorm":
        """Return what an `nn.LayerNorm` does."""
        return cls(module.weight, module.bias, int(module.normalized_shape[0]), module.eps)

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Norm`."""
        y, mean, scale = _aten.native_layer_norm(
            x, [self.width], self.weight, self.bias, self.eps
        )
        return y, (x, mean, scale)

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """See `Norm`."""
        return _aten.native_layer_norm_backward(
            gradient, saved[0], [self.width], *saved[1:], self.weight, self.bias,
            [True, False, False],
        )[0]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RmsNorm:
    """x / root(mean x^2) * weight."""

    weight: Tensor  # (d,)
    eps: float

    @classmethod
    def of(cls, module: Any) -> "RmsNorm":
        """Return what Llama's norm does."""
        return cls(module.weight, module.variance_epsilon)

    @classmethod
    def gemma(cls, module: Any) -> "RmsNorm":
        """Return what Gemma's norm does: its weight is what is added to 1, in float32."""
        weight = module.weight
        return cls(
            1 + (weight if weight.dtype == torch.float64 else weight.float()), module.eps
        )

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Norm`."""
        wide = widened(x)
        square = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
        scale = square.div_(x.shape[-1]).add_(self.eps).rsqrt_()
        y = wide * scale
        # Llama rounds before the weight, Gemma after it: its weight is the wider one.
        return y.to(self.weight.dtype).mul_(self.weight).to(x.dtype), (x, scale)

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """See `Norm`."""
        x, scale = saved
        wide = widened(x)
        of_unit = widened(gradient * self.weight)
        along = (of_unit * wide).sum(-1, keepdim=True).mul_(scale.square()).div_(-x.shape[-1])
        return of_unit.addcmul_(wide, along).mul_(scale).to(x.dtype)


def widened(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32, or as it is where it is wider."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


# --- curves -----------------------------------------------------------------------------------


class Curve(Protocol):
    """An activation: a function of each number."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """Return f(x)."""
        ...

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """Return the gradient of `x`."""
        ...


@dataclass(frozen=True, slots=True)
class Fused:
    """A curve that torch has both ways."""

    ahead: Callable[[Tensor], Tensor]
    behind: Callable[[Tensor, Tensor], Tensor]  # gradient, x

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Curve`."""
        return self.ahead(x), (x,)

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """See `Curve`."""
        return self.behind(gradient, saved[0])


_SLOPE = 2 * math.sqrt(2 / math.pi)  # tanh-GELU is x sigmoid(_SLOPE x + _BEND x^3)
_BEND = _SLOPE * 0.044715


class GeluTanh:
    """GELU by its tanh formula."""

    def __call__(self, x: Tensor) -> tuple[Tensor, Saved]:
        """See `Curve`."""
        if _narrow(x):
            return _aten.gelu(x, approximate="tanh"), (x,)
        # On a CPU torch's tanh takes longer than the matrix product before it.
        slope = x.new_full(
            x.shape[-1:], _SLOPE
        )  # as wide as x: a single number is not vectorised
        gate = torch.addcmul(slope, x, x, value=_BEND).mul_(x).sigmoid_()
        y = x * gate
        return y, (x, y, gate, slope)

    def back(self, saved: Saved, gradient: Tensor) -> Tensor:
        """See `Curve`."""
        if len(saved) == 1:
            return _aten.gelu_backward(gradient, saved[0], approximate="tanh")
        x, y, gate, slope = saved
        inner = torch.addcmul(slope, x, x, value=3 * _BEND)
        found = torch.addcmul(y, y, gate, value=-1)
        return torch.addcmul(gate, found, inner, out=found).mul_(gradient)


def _narrow(x: Tensor) -> bool:
    return x.is_cuda or x.dtype not in (torch.float32, torch.float64)


_SILU = Fused(_aten.silu, _aten.silu_backward)
_GELU = Fused(_aten.gelu, _aten.gelu_backward)
_RELU = Fused(_aten.relu, lambda gradient, x: _aten.threshold_backward(gradient, x, 0))
_CURVES: dict[type, Curve] = {
    NewGELUActivation: GeluTanh(),
    GELUTanh: GeluTanh(),
    GELUActivation: _GELU,
    nn.SiLU: _SILU,
    SiLUActivation: _SILU,
    nn.ReLU: _RELU,
}


class UnknownCurveError(Exception):
    """An activation or a norm that is not known here."""


def curve(module: object) -> Curve:
    """Return what an activation of transformers does.

    Raises:
        UnknownCurveError: it is not known here.
    """
    found = _CURVES.get(type(module))
    if found is None:
        raise UnknownCurveError(type(module).__name__)
    return found


# --- positions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """Rotary positions of N tokens."""

    cos: Tensor  # (N, 1, r / 2): r <= e numbers of a head have a position, the rest none
    sin: Tensor
    pairs: bool  # GPT-J turns neighbours, the others the first half with the second

    def at(self, tokens: Tensor | slice) -> "Turn":
        """Return those of some tokens."""
        return Turn(self.cos[tokens], self.sin[tokens], self.pairs)

    def __call__(self, x: Tensor) -> Tensor:
        """Return queries or keys (N, heads, e) in their positions."""
        return self._turned(x, self.sin)

    def back(self, gradient: Tensor) -> Tensor:
        """Return the gradient (N, heads, e) of `x`: turned the other way."""
        return self._turned(gradient, -self.sin)

    def _turned(self, x: Tensor, sin: Tensor) -> Tensor:
        half = self.cos.shape[-1]
        made = torch.empty_like(x) if 2 * half == x.shape[-1] else x.clone()
        if self.pairs:
            first, second = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        else:
            first, second = slice(0, half), slice(half, 2 * half)
        a, b = x[..., first], x[..., second]
        torch.mul(a, self.cos, out=made[..., first]).addcmul_(b, sin, value=-1)
        torch.mul(b, self.cos, out=made[..., second]).addcmul_(a, sin)
        return made


# --- attention --------------------------------------------------------------------------------


def by_group(x: Tensor, rows: int, groups: int) -> Tensor:
    """Return queries (R t, H, e) as (R G, H/G t, e): all that look at the same keys together."""
    _, heads, width = x.shape
    split = x.view(rows, -1, groups, heads // groups, width)
    return split.permute(0, 2, 3, 1, 4).reshape(rows * groups, -1, width)


def by_token(x: Tensor, rows: int, groups: int, into: Tensor) -> None:
    """Write (R G, H/G t, e) into (R t, H e)."""
    t, width = len(into) // rows, x.shape[-1]
    split = into.view(rows, t, groups, -1, width)
    split.copy_(x.view(rows, groups, -1, t, width).permute(0, 3, 1, 2, 4))


@dataclass(frozen=True, slots=True)
class Looking:
    """softmax(q k / scale) v, with all that it needs to be taken back."""

    scale: float
    cap: float | None = None  # Gemma 2: scores are bent to stay below it

    def scores(self, q: Tensor, k: Tensor, mask: Tensor | None) -> tuple[Tensor, Saved]:
        """Return the scores (B, t, S) of queries (B, t, e) for keys (B, S, e)."""
        if self.cap is None:
            if mask is None:
                return torch.bmm(q, k.mT).mul_(self.scale), ()
            return torch.baddbmm(mask, q, k.mT, alpha=self.scale), ()
        bent = torch.bmm(q, k.mT).mul_(self.scale / self.cap).tanh_()
        made = bent * self.cap
        return (made if mask is None else made.add_(mask)), (bent,)

    def scores_back(self, bent: Saved, gradient: Tensor) -> Tensor:
        """Return the gradient of q k, (B, t, S); `gradient` is written over."""
        if not bent:
            return gradient.mul_(self.scale)
        return torch.addcmul(gradient, gradient, bent[0].square(), value=-1).mul_(self.scale)

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Saved]:
        """Return (B, t, e) for q (B, t, e), k and v (B, S, e), mask (B, t, S) to be added."""
        scores, bent = self.scores(q, k, mask)
        share = torch.softmax(scores, -1, dtype=widened(scores[:0]).dtype).to(v.dtype)
        return torch.bmm(share, v), (q, k, v, share, *bent)

    def back(self, saved: Saved, gradient: Tensor, new: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of q, and of the last `new` of k and v."""
        q, k, v, share, *bent = saved
        of_share = torch.bmm(gradient, v.mT)
        of_scores = _aten._softmax_backward_data(of_share, share, -1, share.dtype)
        of_scores = self.scores_back(tuple(bent), of_scores)
        return (
            torch.bmm(of_scores, k),
            torch.bmm(of_scores[..., -new:].mT, q),
            torch.bmm(share[..., -new:].mT, gradient),
        )
