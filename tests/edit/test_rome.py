"""ROME's equation with one key and with two, and that edits do what their search promised."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ksmith.edit import r_rome, rome
from ksmith.lm.assets import Result
from ksmith.lm.delta import LowRank, applied, dense
from ksmith.lm.insert import as_written
from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, rank_one
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.records import Request, UserError
from ksmith.settings.r_rome import RRome
from ksmith.settings.rome import Rome
from tests.lm.models import CONFIGS, CONTEXTS, TEMPLATES, tiny, tokenizer
from tests.methods import assets, request

HP = Rome(steps=4, contexts=3, layer=1, lr=0.5)


def random(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_rank_one_is_the_smallest_change_that_writes(seed: int) -> None:
    k, change, some = random(seed, 9), random(seed + 1, 5), random(seed + 2, 30, 9)
    C = some.T @ some / 30
    D = rank_one(k, k, change, factor(C, 0.0)).dense()
    assert torch.allclose(D @ k, change)
    # any other change that writes the same moves old values more
    other = random(seed + 3, 5, 9)
    other -= torch.outer(other @ k, k) / (k @ k)  # keeps what is written
    cost = torch.trace(D @ C @ D.T)
    assert torch.trace((D + 0.1 * other) @ C @ (D + 0.1 * other).T) >= cost


def test_rank_one_by_hand() -> None:
    C = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    k = torch.tensor([1.0, 2.0], dtype=torch.float64)  # u = (1, 1/2), u.k = 2
    six = torch.tensor([6.0], dtype=torch.float64)
    D = rank_one(k, k, six, factor(C, 0.0)).dense()
    assert torch.allclose(D, torch.tensor([[3.0, 1.5]], dtype=torch.float64))


def test_dead_neurons_need_the_ridge() -> None:
    C = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    with pytest.raises(UserError, match="second moment is singular; a ridge above 0 helps"):
        factor(C, 0.0)
    L = factor(C, 0.1)
    assert torch.allclose(L @ L.T, torch.diag(torch.tensor([1.05, 0.05], dtype=torch.float64)))


def test_two_keys_write_to_the_second_along_the_first() -> None:
    C = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    mean = torch.tensor([1.0, 2.0], dtype=torch.float64)  # u = (1, 1/2)
    k = torch.tensor([1.0, 4.0], dtype=torch.float64)  # u.k = 3
    six = torch.tensor([6.0], dtype=torch.float64)
    D = rank_one(mean, k, six, factor(C, 0.0)).dense()
    assert torch.allclose(D, torch.tensor([[2.0, 1.0]], dtype=torch.float64))
    assert torch.allclose(D @ mean, torch.tensor([4.0], dtype=torch.float64))


def from_the_start(draw: int) -> Request:
    """Return a request whose bare prompt gives the subject another key than a prefixed one."""
    return replace(request(draw, 0), template=TEMPLATES[1])


@dataclass(frozen=True)
class Edited:
    """What an edited matrix gives for the keys of a request, and what it was to give."""

    aim: Tensor  # v* = v0 + delta, v0 of the bare prompt
    at_bare: Tensor
    at_mean: Tensor


def edited(kind: str, edit: Callable[..., list[Result]], hp: Rome | RRome) -> Edited:
    model = tiny(kind)
    s = sites(model)
    given_, asked_ = assets(kind), from_the_start(0)
    (result,) = edit(model, [[asked_]], hp, given_)
    site = s.mlp_out(1)
    asked = rows(tokenizer(), [asked_], prefixes(CONTEXTS, hp.contexts), "{} is a")
    said = asked.said()
    seen = at_subject(model, said, [site], [site])
    keys, values = seen[f"{site} in"], seen[site]
    size = values[said.bare].norm(dim=1)
    found = search(model, asked, Place(site, s.head, size), hp)
    D = s.maths(dense(result.delta[s.weight(1)]))
    after = values + keys @ D.T
    return Edited(
        (values[said.bare] + found.delta)[0], after[said.bare][0], said.mean(after)[0]
    )


@pytest.mark.parametrize("kind", CONFIGS)
def test_rome_gives_its_value_to_the_bare_prompts_key(kind: str) -> None:
    """W' k0 = v*, and W' k is something else."""
    found = edited(kind, rome.edit, HP)
    assert (found.at_bare - found.aim).norm() < 1e-3 * found.aim.norm()
    assert (found.at_mean - found.aim).norm() > 1e-2 * found.aim.norm()


@pytest.mark.parametrize("kind", CONFIGS)
def test_r_rome_gives_its_value_to_the_mean_key(kind: str) -> None:
    """W' k = v*, and W' k0 is something else."""
    found = edited(kind, r_rome.edit, RRome(steps=4, contexts=3, layer=1, lr=0.5))
    assert (found.at_mean - found.aim).norm() < 1e-3 * found.aim.norm()
    assert (found.at_bare - found.aim).norm() > 1e-2 * found.aim.norm()


def test_with_one_context_both_are_one_method() -> None:
    model, draws = tiny("qwen3"), [[request(0, 0), request(0, 1)]]
    (one,) = rome.edit(model, draws, replace(HP, contexts=1), assets("qwen3"))
    hp = RRome(steps=HP.steps, contexts=1, layer=1, lr=HP.lr)
    (other,) = r_rome.edit(model, draws, hp, assets("qwen3"))
    for name, block in one.delta.items():
        assert torch.equal(dense(block), dense(other.delta[name]))


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


def test_long_histories_are_applied_request_by_request() -> None:
    """With as many rows a request as may be, one with a shorter history, one with none."""
    so_far = [LowRank(random(i, 4, n), random(9 + i, n, 6)) for i, n in enumerate((3, 1))]
    blocks, owner = [*so_far, None], torch.tensor([1, 0, 2, 0, 0])
    keys, values = random(20, 5, 2, 6), random(21, 5, 2, 4)
    (long,) = as_written("site", blocks, copied=0)(owner).values()
    (short,) = as_written("site", blocks)(owner).values()
    assert long.__name__ != short.__name__, "two ways"
    for row, i in enumerate(owner.tolist()):
        block = blocks[i]
        wanted = values[row] if block is None else values[row] + keys[row] @ block.dense().T
        for change in (long, short):
            assert torch.allclose(change(keys, values)[row], wanted, atol=1e-12)


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
