"""Muon against a decomposition, against torch's own, and on a loss that it must lower."""

import pytest
import torch

from ksmith.lm.muon import Muon, orthogonal

SHAPES = ((6, 6), (4, 9), (9, 4))


def matrix(shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
def test_directions_are_kept_and_sizes_made_alike(shape: tuple[int, int]) -> None:
    given = matrix(shape).double()
    found = orthogonal(given[None])[0]
    u, _, vh = torch.linalg.svd(given, full_matrices=False)
    values = torch.diagonal(u.mT @ found @ vh.mT)
    assert ((values > 0.6) & (values < 1.3)).all()
    # Nothing but the singular values has changed.
    torch.testing.assert_close((u * values) @ vh, found)


def test_matrices_go_through_together_as_they_do_alone() -> None:
    given = torch.stack([matrix((4, 9), seed) for seed in range(3)])
    together = orthogonal(given)
    for one, alone in zip(given, together, strict=True):
        torch.testing.assert_close(orthogonal(one[None])[0], alone)


def test_a_gradient_of_nothing_moves_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 3, 5)), torch.zeros(1, 3, 5))


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_torch_but_for_its_precision(shape: tuple[int, int]) -> None:
    ours, theirs = (matrix(shape).requires_grad_() for _ in range(2))
    pairs = (
        (ours, Muon([ours], lr=0.1, weight_decay=0.1)),
        (theirs, torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1)),
    )
    for step in range(4):
        for weight, optimiser in pairs:
            weight.grad = matrix(shape, step + 1)
            optimiser.step()
    # Eight bits of mantissa: a step of .1 is known to about .002.
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)
    assert not torch.equal(ours, theirs)


def test_a_loss_falls() -> None:
    weight, target = matrix((5, 5)).requires_grad_(), matrix((5, 5), 9)
    optimiser = Muon([weight], lr=0.1, weight_decay=0.0)
    losses: list[float] = []
    for _ in range(60):
        loss = ((weight - target) ** 2).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.15 * losses[0]


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="for matrices"):
        Muon([torch.zeros(3)], lr=0.1, weight_decay=0.0)
    with pytest.raises(ValueError, match="no closure"):
        Muon([matrix((2, 2)).requires_grad_()], lr=0.1, weight_decay=0.0).step(lambda: 0.0)
