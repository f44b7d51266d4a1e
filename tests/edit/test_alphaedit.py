"""AlphaEdit's equation in its three forms, and that it stays in the free directions."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ksmith.edit import alphaedit
from ksmith.lm.delta import applied, dense
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, free_directions, gathered, least_squares, projected
from ksmith.records import UserError
from ksmith.settings.alphaedit import AlphaEdit
from tests.edit.test_rome import random
from tests.lm.models import tiny
from tests.methods import assets, request


def moment(seed: int) -> Tensor:
    """Return a second moment whose eigenvalues span three orders of magnitude, (8, 8)."""
    some = random(seed, 40, 8) * torch.logspace(0, -1.5, 8, dtype=torch.float64)
    return some.T @ some / 40


@given(seed=st.integers(0, 1000), n=st.integers(1, 12), l2=st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_the_small_solve_is_the_published_one(seed: int, n: int, l2: float) -> None:
    """(P K K^T + l2 I) X = P K R^T, and the symmetric (P K K^T P + l2 I) X = P K R^T."""
    K, R = random(seed, 8, n), random(seed + 1, 5, n)
    U = free_directions(moment(seed + 2), 0.5)
    P, eye = U @ U.T, torch.eye(8, dtype=torch.float64)
    published = torch.linalg.solve(P @ K @ K.T + l2 * eye, P @ K @ R.T).T
    symmetric = torch.linalg.solve(P @ K @ K.T @ P + l2 * eye, P @ K @ R.T).T
    made = projected(K, R, U, l2).dense()
    assert torch.allclose(made, published, atol=1e-8, rtol=1e-7)
    assert torch.allclose(made, symmetric, atol=1e-8, rtol=1e-7)
    assert torch.allclose(made @ P, made, atol=1e-9), "it writes in the free directions alone"


@given(seed=st.integers(0, 1000), n=st.integers(1, 5), h=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_with_earlier_keys_the_small_solve_is_the_published_one(
    seed: int, n: int, h: int
) -> None:
    """(P (K K^T + C_prev) + l2 I) X = P K R^T, in its symmetric and its reduced form, too."""
    K, R, E = random(seed, 8, n), random(seed + 1, 5, n), random(seed + 2, 8, h)
    U, l2 = free_directions(moment(seed + 3), 0.5), 0.3
    P, C_prev = U @ U.T, E @ E.T
    eye = torch.eye(8, dtype=torch.float64)
    published = torch.linalg.solve(P @ (K @ K.T + C_prev) + l2 * eye, P @ K @ R.T).T
    symmetric = torch.linalg.solve(P @ (K @ K.T + C_prev) @ P + l2 * eye, P @ K @ R.T).T
    Ku, inner = U.T @ K, torch.eye(U.shape[1], dtype=torch.float64) * l2
    reduced = (U @ torch.linalg.solve(Ku @ Ku.T + U.T @ C_prev @ U + inner, Ku @ R.T)).T
    made = projected(K, R, U, l2, E).dense()
    for form in (published, symmetric, reduced):
        assert torch.allclose(made, form, atol=1e-8, rtol=1e-7)


def test_with_everything_free_and_the_second_moment_as_history_it_is_memit() -> None:
    K, R, some = random(0, 8, 3), random(1, 5, 3), random(2, 8, 40)
    eye = torch.eye(8, dtype=torch.float64)
    made = projected(K, R, eye, 1e-7, some).dense()  # as good as none
    memit = least_squares(K, R, factor(some @ some.T, 0.0), 1.0).dense()
    assert torch.allclose(made, memit, atol=1e-7, rtol=1e-6)


@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(0, 7), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_gathered_keys_take_no_more_room_than_their_product(
    seed: int, sizes: list[int]
) -> None:
    kept, product = random(seed, 6, 0), torch.zeros(6, 6, dtype=torch.float64)
    for i, n in enumerate(sizes):
        K = random(seed + i, 6, n)
        kept, product = gathered(kept, K), product + K @ K.T
        assert kept.shape[1] <= 6
        assert torch.allclose(kept @ kept.T, product, atol=1e-9)
    assert torch.equal(gathered(kept, None), kept)


def test_what_was_written_before_stays_in_a_sequence() -> None:
    """With the state of the first batch the second moves the first one's values less."""
    hp = AlphaEdit(layers=(1,), nullspace=100.0, l2=1e-3, steps=4, contexts=2, lr=0.5)
    model, given_ = tiny("llama"), assets("llama")
    first = alphaedit.edit(model, [[request(0, 0), request(0, 1)]], hp, given_)[0]
    E = first.state["alphaedit.keys.1"]
    assert E.shape[1] == 2
    with applied(model, first.delta):
        (plain,) = alphaedit.edit(model, [[request(1, 0)]], hp, given_)
        told = replace(given_, state=first.state)
        (second,) = alphaedit.edit(model, [[request(1, 0)]], hp, told)
    name = sites(model).weight(1)
    moved, kept = (dense(one.delta[name]).double() @ E for one in (plain, second))
    assert kept.norm() < 0.2 * moved.norm()
    assert second.state["alphaedit.keys.1"].shape[1] == 3
    assert not given_.state, "what was handed in is as it was"


def test_with_all_directions_free_it_is_memit_on_white_keys() -> None:
    K, R, eye = random(0, 8, 3), random(1, 5, 3), torch.eye(8, dtype=torch.float64)
    made = projected(K, R, eye, 0.7).dense()
    assert torch.allclose(made, least_squares(K, R, factor(eye, 0.0), 0.7).dense())


def test_keys_that_text_uses_are_not_moved() -> None:
    """A key along the directions that are cut off gets the value that it had."""
    C = moment(5)
    U = free_directions(C, 0.5)
    made = projected(random(0, 8, 3), random(1, 5, 3), U, 1e-3).dense()
    used = random(2, 8) - U @ (U.T @ random(2, 8))
    assert (made @ used).norm() < 1e-9 * used.norm()


def test_free_directions_are_those_below_the_cut() -> None:
    C = torch.diag(torch.tensor([4.0, 0.1, 3.0, 0.9]))  # their mean is 2
    U = free_directions(C, 0.5)
    assert U.shape == (4, 2)
    assert torch.allclose(U @ U.T, torch.diag(torch.tensor([0.0, 1, 0, 1])).double())
    assert torch.allclose(free_directions(1000 * C, 0.5) @ U.new_ones(2), U @ U.new_ones(2))
    with pytest.raises(UserError, match=r"above 0\.05"):
        free_directions(C, 0.01)


def test_how_many_directions_are_free_is_said() -> None:
    model = tiny("llama")
    hp = AlphaEdit(layers=(0, 1), nullspace=0.5, steps=3, contexts=2)
    result = alphaedit.edit(model, [[request(0, 0)]], hp, assets("llama"))[0]
    for layer, free in result.log["free"].items():
        change = dense(result.delta[sites(model).weight(int(layer))]).double()
        U = free_directions(assets("llama").moment(int(layer)), 0.5)
        assert free == U.shape[1]
        assert (change - change @ U @ U.T).norm() < 1e-5 * change.norm()
