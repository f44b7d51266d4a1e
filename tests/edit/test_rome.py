"""ROME's equation, and that the edit does what its search promised."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ksmith.edit import rome
from ksmith.lm.delta import LowRank, applied, dense
from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, rank_one
from ksmith.records import UserError
from ksmith.settings.rome import Rome
from tests.lm.models import CONFIGS, CONTEXTS, tiny, tokenizer
from tests.test_methods import assets, request

HP = Rome(steps=6, contexts=3, layer=1, lr=0.5)


def random(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_rank_one_is_the_smallest_change_that_writes(seed: int) -> None:
    k, change, some = random(seed, 9), random(seed + 1, 5), random(seed + 2, 30, 9)
    C = some.T @ some / 30
    D = rank_one(k, change, factor(C, 0.0)).dense()
    assert torch.allclose(D @ k, change)
    # any other change that writes the same moves old values more
    other = random(seed + 3, 5, 9)
    other -= torch.outer(other @ k, k) / (k @ k)  # keeps what is written
    cost = torch.trace(D @ C @ D.T)
    assert torch.trace((D + 0.1 * other) @ C @ (D + 0.1 * other).T) >= cost


def test_rank_one_by_hand() -> None:
    C = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    k = torch.tensor([1.0, 2.0], dtype=torch.float64)  # u = (1, 1/2), u.k = 2
    D = rank_one(k, torch.tensor([6.0], dtype=torch.float64), factor(C, 0.0)).dense()
    assert torch.allclose(D, torch.tensor([[3.0, 1.5]], dtype=torch.float64))


def test_dead_neurons_need_the_ridge() -> None:
    C = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    with pytest.raises(UserError, match="second moment is singular; a ridge above 0 helps"):
        factor(C, 0.0)
    L = factor(C, 0.1)
    assert torch.allclose(L @ L.T, torch.diag(torch.tensor([1.05, 0.05], dtype=torch.float64)))


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_edited_matrix_gives_the_value_that_was_found(kind: str) -> None:
    """W' k = W k + delta for the mean key over contexts, for the last of two edits in a row."""
    model = tiny(kind)
    s = sites(model)
    draw = [request(0, 0), request(1, 0)]
    result = rome.edit(model, [draw], HP, assets(kind))[0]
    site = s.mlp_out(1)
    asked = rows(tokenizer(), draw[1:], prefixes(CONTEXTS, HP.contexts), None)
    first = rome.edit(model, [draw[:1]], HP, assets(kind))[0]
    with applied(model, first.delta):
        seen = at_subject(model, asked, [site], [site])
    key, value = asked.mean(seen[f"{site} in"])[0], asked.mean(seen[site])[0]
    D = s.maths(dense(result.delta[s.weight(1)])) - s.maths(dense(first.delta[s.weight(1)]))
    log = result.log["requests"][1]
    assert float((D @ key).norm()) == pytest.approx(log["change_norm"], rel=1e-3)
    assert float(value.norm()) == pytest.approx(log["value_norm"], rel=1e-3)


def test_writing_in_step_is_writing_one_draw_after_another() -> None:
    model = tiny("qwen3")
    draws = [[request(0, 0), request(0, 1)], [request(1, 0), request(1, 1)]]
    together = rome.edit(model, draws, HP, assets("qwen3"))
    for result, draw in zip(together, draws, strict=True):
        alone = rome.edit(model, [draw], HP, assets("qwen3"))[0]
        for name, block in alone.delta.items():
            assert torch.allclose(dense(result.delta[name]), dense(block), atol=1e-4, rtol=1e-3)


def test_later_edits_see_the_earlier_ones() -> None:
    model = tiny("llama")
    one, other = request(0, 0), request(0, 1)
    both = rome.edit(model, [[one, other]], HP, assets("llama"))[0]
    first = rome.edit(model, [[one]], HP, assets("llama"))[0]
    with applied(model, first.delta):
        then = rome.edit(model, [[other]], HP, assets("llama"))[0]
    for name in both.delta:
        total = dense(first.delta[name]) + dense(then.delta[name])
        assert torch.allclose(dense(both.delta[name]), total, atol=1e-4, rtol=1e-3)


def test_logs_say_what_happened() -> None:
    result = rome.edit(tiny("llama"), [[request(0, 0)]], HP, assets("llama"))[0]
    log = result.log["requests"][0]
    assert log["loss"][-1] < log["loss"][0]
    assert log["steps"] == HP.steps - 1
    assert isinstance(next(iter(result.delta.values())), LowRank)


def test_too_few_contexts_are_an_error() -> None:
    hp = Rome(contexts=9, layer=1)
    with pytest.raises(UserError, match="contexts = 9 needs 8 texts to put first; there are 3"):
        rome.edit(tiny("llama"), [[request(0, 0)]], hp, assets("llama"))


def test_a_missing_moment_is_an_error() -> None:
    hp = Rome(layer=1)
    empty = type(assets("llama"))(
        tokenizer=tokenizer(), layer=1, seed=0, moments={0: torch.eye(2)}
    )
    with pytest.raises(
        UserError, match=r"no second moment of layer 1; there are those of \[0\]"
    ):
        rome.edit(tiny("llama"), [[request(0, 0)]], hp, empty)
