"""MEMIT's equation in its two forms, the spreading over layers, and Gemma's norms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.edit import memit
from ksmith.lm.assets import silent
from ksmith.lm.delta import applied, dense
from ksmith.lm.rows import at_subject, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import compact, factor, least_squares, rank_one
from ksmith.lm.spread import averaged, find_aims, layers_of
from ksmith.settings.memit import Memit
from tests.edit.test_rome import random
from tests.lm.models import CONFIGS, LAYERS, tiny, tokenizer
from tests.methods import assets, request


@given(seed=st.integers(0, 1000), n=st.integers(1, 12), weight=st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_woodbury_is_the_dense_formula(seed: int, n: int, weight: float) -> None:
    K, R, some = random(seed, 8, n), random(seed + 1, 5, n), random(seed + 2, 40, 8)
    C = some.T @ some / 40
    dense_form = R @ K.T @ torch.linalg.inv(weight * C + K @ K.T)
    made = least_squares(K, R, factor(C, 0.0), weight).dense()
    assert torch.allclose(made, dense_form, atol=1e-9, rtol=1e-7)


def test_keys_that_repeat_share_their_value() -> None:
    K = random(0, 8, 1).expand(8, 3)
    R = random(1, 5, 3)
    made = least_squares(K, R, factor(torch.eye(8, dtype=torch.float64), 0.0), 1e-9).dense()
    assert torch.allclose(made @ K[:, 0], R.mean(1), atol=1e-6)


def test_one_request_and_no_weight_is_rome() -> None:
    k, change, some = random(0, 8), random(1, 5), random(2, 40, 8)
    L = factor(some.T @ some / 40, 0.0)
    made = least_squares(k[:, None], change[:, None], L, 1e-12).dense()
    assert torch.allclose(made, rank_one(k, k, change, L).dense(), atol=1e-9)


def test_the_smaller_form_is_kept() -> None:
    block = least_squares(random(0, 8, 4), random(1, 5, 4), torch.eye(8).double(), 1.0)
    assert isinstance(compact(block), torch.Tensor)  # 4 * 13 > 40
    few = least_squares(random(0, 8, 2), random(1, 5, 2), torch.eye(8).double(), 1.0)
    assert not isinstance(compact(few), torch.Tensor)
    assert torch.allclose(dense(compact(block)), block.dense().float())


def reached(kind: str, layers: tuple[int, ...]) -> tuple[float, float]:
    """Return how far the last layer's output is from its aim before and after, as norms."""
    model = tiny(kind)
    s = sites(model)
    hp = Memit(
        layers=layers, weight=1e-7, contexts=1, steps=6, lr=0.5, kl_weight=0.0, ridge=1e-4
    )
    draw = [request(0, 0), request(1, 0)]
    given_ = assets(kind)
    aims = find_aims(model, draw, layers, hp, given_, silent)
    result = memit.edit(model, [draw], hp, given_)[0]
    asked = rows(tokenizer(), draw, [""], None)
    block = s.block(layers[-1])
    before = at_subject(model, asked, [block])[block]
    with applied(model, result.delta):
        after = at_subject(model, asked, [block])[block]
    return float((aims.aim - before).norm()), float((aims.aim - after).norm())


@pytest.mark.parametrize("kind", CONFIGS)
def test_without_weight_one_layer_reaches_its_aim(kind: str) -> None:
    """Also behind Gemma's norm, where a change has to be asked for in another length."""
    before, after = reached(kind, (1,))
    assert after < 0.02 * before


@pytest.mark.parametrize("kind", CONFIGS)
def test_two_layers_reach_it_together(kind: str) -> None:
    before, after = reached(kind, (0, 1))
    assert after < 0.2 * before


def test_the_key_is_half_the_bare_prompts() -> None:
    asked = rows(tokenizer(), [request(0, 0)], ["", "One .", "Mira ."], None)
    keys = torch.tensor([[8.0], [1.0], [3.0]])
    assert averaged(asked, keys).tolist() == [[5.0]]
    alone = rows(tokenizer(), [request(0, 0)], [""], None)
    assert averaged(alone, keys[:1]).tolist() == [[8.0]]


def test_layers_come_from_the_trace() -> None:
    s = sites(tiny("llama"))
    given_ = assets("llama")  # its trace peaks at layer 1
    assert layers_of(Memit(), given_, s) == [1, 2]
    last = type(given_)(tokenizer=tokenizer(), layer=LAYERS - 1, seed=0)
    assert layers_of(Memit(), last, s) == [LAYERS - 1]
    assert layers_of(Memit(layers=(0, 2)), given_, s) == [0, 2]
