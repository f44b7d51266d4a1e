"""Distances between distributions, states and matrices, against textbook versions in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ksmith.lm.delta import LowRank
from ksmith.lm.geometry import (
    TOP,
    cka,
    effective_rank,
    kl,
    moved,
    principal_angles,
    singular_values,
    spectrum,
)

shapes = st.tuples(st.integers(2, 30), st.integers(2, 30))


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def orthonormal(m: int, r: int, seed: int) -> Tensor:
    return torch.linalg.qr(normal(m, r, seed=seed))[0]


# --- distributions ----------------------------------------------------------------------------


def test_kl_is_the_sum_over_the_vocabulary() -> None:
    p, q = (normal(5, 40, seed=i).softmax(-1) for i in (1, 2))
    textbook = torch.tensor(
        [
            sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(x, y, strict=True))
            for x, y in zip(p, q, strict=True)
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(kl(p.log(), q.log()), textbook, rtol=1e-12, atol=1e-14)


def test_kl_of_the_same_is_nothing_and_impossible_words_add_nothing() -> None:
    logp = torch.tensor([[0.0, -math.inf], [math.log(0.5), math.log(0.5)]])
    assert kl(logp, logp).tolist() == [0, 0]
    # The impossible became likely: log 2 of the one that was certain.
    assert kl(logp[:1], logp[1:]).item() == pytest.approx(math.log(2))
    assert kl(logp[1:], logp[:1]).item() == math.inf


# --- states -----------------------------------------------------------------------------------


def hsic(X: Tensor, Y: Tensor) -> float:
    """Return tr(K H L H), Kornblith et al., equation 1 but for its factor."""
    n = len(X)
    H = torch.eye(n, dtype=torch.float64) - 1 / n
    return float(torch.trace(X @ X.T @ H @ (Y @ Y.T) @ H))


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_cka_is_a_normalised_hsic(shape: tuple[int, int], seed: int) -> None:
    n, d = shape
    X, Y = normal(n, d, seed=seed), normal(n, d, seed=seed + 100) + 3
    textbook = hsic(X, Y) / math.sqrt(hsic(X, X) * hsic(Y, Y))
    assert cka(X, Y) == pytest.approx(textbook, rel=1e-9)


def test_cka_sees_neither_rotation_nor_scale_nor_shift_but_stretching() -> None:
    X = normal(50, 8)
    turned = 3 * X @ orthonormal(8, 8, seed=1) + 5
    assert cka(X, turned) == pytest.approx(1)
    stretched = X * torch.tensor([20.0, *[1.0] * 7])
    assert cka(X, stretched) < 0.9
    assert math.isnan(cka(X, torch.ones(50, 8)))


# --- matrices ---------------------------------------------------------------------------------


def test_effective_rank() -> None:
    assert effective_rank(torch.ones(7)) == pytest.approx(7)
    assert effective_rank(torch.tensor([2.0, 0, 0])) == 1
    assert effective_rank(torch.zeros(3)) == 0
    share = [0.5, 0.3, 0.2]
    textbook = math.exp(-sum(p * math.log(p) for p in share))
    assert effective_rank(4 * torch.tensor(share, dtype=torch.float64)) == pytest.approx(
        textbook
    )


def test_principal_angles_of_planes_that_are_known() -> None:
    def plane(angle: float) -> Tensor:
        return torch.tensor(
            [[1.0, 0], [0, math.cos(angle)], [0, math.sin(angle)]], dtype=torch.float64
        )

    # arccos alone would say 0 of the smallest: its cosine is 1 in float64.
    for angle in (1e-10, 1e-3, 0.7, math.pi / 2):
        found = principal_angles(plane(0), plane(angle))
        assert found[0].item() == pytest.approx(0, abs=1e-15)
        assert found[1].item() == pytest.approx(angle, rel=1e-6)


def test_principal_angles_are_those_of_the_definition() -> None:
    U, V = orthonormal(20, 4, seed=1), orthonormal(20, 4, seed=2)
    textbook = torch.linalg.svdvals(U.T @ V).clamp(max=1).acos()
    torch.testing.assert_close(principal_angles(U, V), textbook, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, rank=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_low_rank_change_is_measured_as_its_product_is(
    shape: tuple[int, int], rank: int, seed: int
) -> None:
    m, n = shape
    W = normal(m, n, seed=seed)
    pair = LowRank(normal(m, rank, seed=seed + 1), 0.3 * normal(rank, n, seed=seed + 2))
    base = spectrum(W)
    one, other = moved(base, pair), moved(base, pair.dense())
    for name in ("scaling", "scaling_cv", "rotation_left", "rotation_right", "effective_rank"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6, abs=1e-7), (
            name
        )


@pytest.mark.parametrize(("m", "n"), [(24, 40), (40, 24), (24, 24)])
def test_against_decompositions_in_full(m: int, n: int) -> None:
    W, D = normal(m, n, seed=1), 0.2 * normal(m, n, seed=2)
    U, s, Vh = torch.linalg.svd(W)
    U_2, s_2, Vh_2 = torch.linalg.svd(W + D)
    found = moved(spectrum(W), D)
    ratio = s_2 / s
    assert found.scaling == pytest.approx(float(ratio.mean()))
    assert found.scaling_cv == pytest.approx(float(ratio.std(correction=0) / ratio.mean()))
    for name, A, B in (("left", U, U_2), ("right", Vh.T, Vh_2.T)):
        cosine = torch.linalg.svdvals(A[:, :TOP].T @ B[:, :TOP]).clamp(max=1)
        assert getattr(found, f"rotation_{name}") == pytest.approx(float(cosine.acos().mean()))
    shares = torch.linalg.svdvals(D) / torch.linalg.svdvals(D).sum()
    entropy = -float((shares * shares.log()).sum())
    assert found.effective_rank == pytest.approx(math.exp(entropy))


def test_what_only_grows_does_not_turn_and_what_only_turns_does_not_grow() -> None:
    W = normal(24, 40)
    grown = moved(spectrum(W), 0.5 * W)
    assert grown.scaling == pytest.approx(1.5)
    assert grown.scaling_cv == pytest.approx(0, abs=1e-12)
    assert max(grown.rotation_left, grown.rotation_right) < 1e-7
    turned = moved(spectrum(W), orthonormal(24, 24, seed=3) @ W - W)
    assert turned.scaling == pytest.approx(1)
    assert turned.rotation_left > 0.3
    assert turned.rotation_right < 1e-7  # it was turned at the left alone


def test_no_change_is_none() -> None:
    W = normal(12, 9)
    nothing = moved(spectrum(W), LowRank(torch.zeros(12, 1), torch.zeros(1, 9)))
    assert (nothing.scaling, nothing.effective_rank) == (pytest.approx(1), 0)
    assert nothing.rotation_left == pytest.approx(0, abs=1e-12)


def test_singular_values_of_a_pair() -> None:
    pair = LowRank(normal(9, 3, seed=1), normal(3, 14, seed=2))
    torch.testing.assert_close(
        singular_values(pair), torch.linalg.svdvals(pair.dense())[:3], rtol=1e-10, atol=1e-12
    )
