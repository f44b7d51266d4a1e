"""EMMET's equation: MEMIT under another weight, and equality for one request."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.edit import emmet, memit
from ksmith.lm.delta import dense
from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, least_squares
from ksmith.lm.spread import averaged
from ksmith.records import UserError
from ksmith.settings.emmet import Emmet
from ksmith.settings.memit import Memit
from tests.edit.test_rome import random
from tests.lm.models import CONTEXTS, tiny, tokenizer
from tests.methods import assets, request

SEARCH: dict[str, Any] = {"steps": 6, "lr": 0.5, "contexts": 2}


@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 8),
    weight=st.floats(1e-3, 1e3),
    slack=st.floats(1e-3, 10),
)
@settings(max_examples=30)
def test_slack_is_the_published_formula(seed: int, n: int, weight: float, slack: float) -> None:
    """R D^-1 K^T (weight C)^-1 with D = K^T (weight C)^-1 K + slack I."""
    K, R, some = random(seed, 8, n), random(seed + 1, 5, n), random(seed + 2, 40, 8)
    C = some.T @ some / 40
    inverse = torch.linalg.inv(weight * C)
    D = K.T @ inverse @ K + slack * torch.eye(n, dtype=K.dtype)
    published = R @ torch.linalg.inv(D) @ K.T @ inverse
    made = least_squares(K, R, factor(C, 0.0), weight, slack).dense()
    assert torch.allclose(made, published, atol=1e-9, rtol=1e-7)


def test_it_is_memit_with_slack_times_the_weight() -> None:
    """Also through two layers, where the second writes what the first left."""
    draw = [request(0, 0), request(1, 0), request(2, 0)]
    model, given_ = tiny("llama"), assets("llama")
    ours = emmet.edit(
        model, [draw], Emmet(layers=(0, 1), weight=0.5, slack=0.2, **SEARCH), given_
    )
    same = memit.edit(model, [draw], Memit(layers=(0, 1), weight=0.1, **SEARCH), given_)
    for name, block in same[0].delta.items():
        assert torch.allclose(dense(ours[0].delta[name]), dense(block), atol=1e-6)


@pytest.mark.parametrize("slack", [0.0, 5.0])
def test_one_value_is_met_whatever_the_slack(slack: float) -> None:
    model, given_ = tiny("llama"), assets("llama")
    hp = Emmet(layers=(1,), slack=slack, **SEARCH)
    asked = rows(tokenizer(), [request(0, 0)], prefixes(CONTEXTS, 2), None)
    site = sites(model).mlp_out(1)
    key = averaged(asked, at_subject(model, asked, [], [site])[f"{site} in"])[0]
    result = emmet.edit(model, [[request(0, 0)]], hp, given_)[0]
    change = dense(result.delta[sites(model).weight(1)])
    found = result.log["requests"][0]["change_norm"]  # of the value, by the search
    assert float((change.double() @ key.double()).norm()) == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("how", ["copy", "sum", "zero"])
def test_without_slack_keys_that_coincide_are_an_error(how: str) -> None:
    K, R, L = random(1, 8, 4), random(2, 5, 4), torch.eye(8, dtype=torch.float64)
    met = least_squares(K, R, L, 0.5, slack=0.0).dense() @ K
    assert torch.allclose(met, R)
    K[:, 2] = {"copy": K[:, 0], "sum": 3 * K[:, 0] - K[:, 1], "zero": 0 * K[:, 0]}[how]
    with pytest.raises(UserError, match=r"key of request 3 of a batch of 4 .* a slack above 0"):
        least_squares(K, R, L, 0.5, slack=0.0)
    assert least_squares(K, R, L, 0.5, slack=1e-3).dense().isfinite().all()


def test_one_subject_twice_in_a_batch_needs_slack() -> None:
    twice = [request(0, 0), replace(request(0, 0), id="again", new=request(1, 0).new)]
    hp = Emmet(layers=(1,), slack=0.0, **SEARCH)
    with pytest.raises(UserError, match="request 2 of a batch of 2"):
        emmet.edit(tiny("llama"), [twice], hp, assets("llama"))


def test_by_default_it_writes_one_layer() -> None:
    model = tiny("llama")  # whose trace peaks at layer 1
    result = emmet.edit(model, [[request(0, 0)]], Emmet(**SEARCH), assets("llama"))[0]
    assert list(result.delta) == [sites(model).weight(1)]
