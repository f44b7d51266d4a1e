"""Each operation's way back is what autograd finds, in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from ksmith.lm.ops import (
    Affine,
    LayerNorm,
    Looking,
    RmsNorm,
    Turn,
    UnknownCurveError,
    by_group,
    by_token,
    curve,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def check(
    ahead: Callable[..., Tensor], behind: Callable[[Tensor], tuple[Tensor, ...]], *given: Tensor
) -> None:
    """Check what `behind` makes of the gradient of `ahead(*given)`."""
    leaves = [one.clone().requires_grad_() for one in given]
    out = ahead(*leaves)
    gradient = drawn(*out.shape, seed=9)
    expected = torch.autograd.grad(out, leaves, gradient)
    for one, right in zip(behind(gradient), expected, strict=True):
        assert torch.allclose(one, right, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_affine(bias: bool) -> None:
    module = nn.Linear(5, 3, bias=bias, dtype=torch.float64).requires_grad_(False)
    affine, x = Affine.of(module), drawn(4, 5)
    assert torch.allclose(affine(x), module(x))
    check(module, lambda g: (affine.back(g),), x)
    onto = drawn(4, 5, seed=3)
    check(module, lambda g: (affine.back(g, onto.clone()) - onto,), x)


def test_layer_norm() -> None:
    module = nn.LayerNorm(6, dtype=torch.float64).requires_grad_(False)
    module.weight.add_(drawn(6))
    norm, x = LayerNorm.of(module), drawn(4, 6)
    y, saved = norm(x)
    assert torch.allclose(y, module(x))
    check(module, lambda g: (norm.back(saved, g),), x)


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 6)])  # of tokens, of heads
def test_rms_norm(shape: tuple[int, ...]) -> None:
    module = nn.RMSNorm(6, eps=1e-3, dtype=torch.float64).requires_grad_(False)
    module.weight.add_(drawn(6))
    norm, x = RmsNorm(module.weight, 1e-3), drawn(*shape)
    y, saved = norm(x)
    assert torch.allclose(y, module(x))
    check(module, lambda g: (norm.back(saved, g),), x)


@pytest.mark.parametrize("kind", ["gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu"])
def test_curves(kind: str) -> None:
    module: Any = ACT2FN[kind]
    x = torch.cat([drawn(50), drawn(50) * 10, torch.tensor([0.0, 1e-9, -30.0, 30.0]).double()])
    bent = curve(module)
    y, saved = bent(x)
    assert torch.allclose(y, module(x), atol=1e-13, rtol=1e-12)
    check(module, lambda g: (bent.back(saved, g),), x)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(UnknownCurveError, match="Mish"):
        curve(nn.Mish())


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("half", [2, 4])  # of 8: a part of a head, and all of it
def test_turns(half: int, pairs: bool) -> None:
    angle, x = drawn(5, 1, half, seed=1), drawn(5, 3, 8)
    turn = Turn(angle.cos(), angle.sin(), pairs)

    def textbook(x: Tensor) -> Tensor:
        head, rest = x[..., : 2 * half], x[..., 2 * half :]
        a, b = (head[..., ::2], head[..., 1::2]) if pairs else head.chunk(2, -1)
        both = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()]
        made = torch.stack(both, -1).flatten(-2) if pairs else torch.cat(both, -1)
        return torch.cat([made, rest], -1)

    assert torch.allclose(turn(x), textbook(x))
    check(textbook, lambda g: (turn.back(g),), x)


@pytest.mark.parametrize("cap", [None, 0.7])
@pytest.mark.parametrize("masked", [True, False])
def test_looking(masked: bool, cap: float | None) -> None:
    q, k, v = drawn(2, 3, 4), drawn(2, 5, 4, seed=1), drawn(2, 5, 4, seed=2)
    seen = torch.ones(3, 5, dtype=torch.bool).tril(2)
    mask = torch.zeros(2, 3, 5).double().masked_fill(~seen, float("-inf")) if masked else None
    looking = Looking(0.6, cap)

    def textbook(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT * 0.6
        if cap is not None:
            scores = cap * (scores / cap).tanh()
        return (scores if mask is None else scores + mask).softmax(-1) @ v

    found, saved = looking(q, k, v, mask)
    assert torch.allclose(found, textbook(q, k, v))
    check(textbook, lambda g: looking.back(saved, g, 5), q, k, v)
    new = looking.back(saved, drawn(2, 3, 4, seed=9), 2)
    for one, whole in zip(
        new[1:], looking.back(saved, drawn(2, 3, 4, seed=9), 5)[1:], strict=True
    ):
        assert torch.allclose(one, whole[:, -2:])


def test_groups_and_back() -> None:
    x = drawn(2 * 3, 4, 5)  # 2 rows of 3 tokens, 4 heads in 2 groups
    grouped = by_group(x, 2, 2)
    assert torch.equal(grouped[1, 4], x[1, 3])  # row 0, group 1: head 3, token 1
    assert grouped.shape == (4, 6, 5)
    into = torch.empty(6, 20).double()
    by_token(grouped, 2, 2, into)
    assert torch.equal(into, x.flatten(1))


def test_bfloat16_is_near_float32() -> None:
    x = drawn(4, 8).float()
    weight = drawn(8, seed=1).float()
    for norm in (RmsNorm(weight, 1e-5), LayerNorm(weight, weight, 8, 1e-5)):
        narrow = (
            RmsNorm(weight.bfloat16(), 1e-5)
            if isinstance(norm, RmsNorm)
            else LayerNorm(weight.bfloat16(), weight.bfloat16(), 8, 1e-5)
        )
        (y, saved), (z, less) = norm(x), narrow(x.bfloat16())
        assert z.dtype == torch.bfloat16
        assert torch.allclose(y, z.float(), atol=0.05, rtol=0.05)
        gradient = drawn(4, 8, seed=2).float()
        one, other = norm.back(saved, gradient), narrow.back(less, gradient.bfloat16())
        assert other.dtype == torch.bfloat16
        assert torch.allclose(one, other.float(), atol=0.1, rtol=0.05)
