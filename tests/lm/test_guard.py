"""Edits that are about to disable the model are named, and left out where that is asked for."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ksmith.edit import EDITORS
from ksmith.lm import guard
from ksmith.lm.assets import Assets, Result
from ksmith.lm.delta import LowRank
from ksmith.lm.guard import Solved, of_batch, of_pair, over_layers, reason
from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.solve import factor, least_squares, rank_one
from ksmith.records import Request
from ksmith.settings import method as settings_of
from tests.lm.models import CONTEXTS, TEMPLATES, tiny, tokenizer
from tests.methods import assert_close, assets, request

FEW = {"steps": 3, "lr": 0.5, "contexts": 2}
WHERE: dict[str, dict[str, Any]] = {
    "rome": {"layer": 1},
    "r_rome": {"layer": 1},
    "memit": {"layers": [0, 1]},
    "alphaedit": {"layers": [0, 1], "nullspace": 100.0},
}


def solved(share: float = 1.0, norm: float = 1.0) -> Solved:
    return Solved(division=0.3, share=share, norm=norm)


def test_a_small_denominator_is_guarded() -> None:
    assert reason(solved(0.11), []) is None
    told = reason(solved(0.0312), [])
    assert told and "u.k is 0.0312 of what it is with one key; under 0.1" in told
    assert reason(solved(-1.0), []), "the wrong way round is no better"
    assert reason(solved(float("nan")), []), "no number is no good sign"


def test_ten_times_the_median_is_guarded() -> None:
    others = [1.0, 1.0, 2.0, 3.0, 50.0]  # the median, not the mean
    assert reason(solved(norm=19.9), others) is None
    told = reason(solved(norm=21.0), others)
    assert told and "norm is 21, over 10 x the median of 5 others, 2" in told
    assert reason(solved(norm=21.0), others[1:]) is None, "four have no median yet"
    assert reason(solved(norm=float("nan")), others)


norms = st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.5, 40.0, 900.0]), max_size=9)


@given(batch=norms, before=norms)
def test_a_batchs_requests_are_compared_with_all_others(
    batch: list[float], before: list[float]
) -> None:
    found = guard.reasons([solved(norm=norm) for norm in batch], before)
    assert found == [
        reason(solved(norm=norm), before + batch[:i] + batch[i + 1 :])
        for i, norm in enumerate(batch)
    ]


def disabling(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return two keys (8,) and a second moment (8, 8) for which mean^T C^-1 k is nearly 0.

    C^-1 = I + a w w^T, with w across the one and against the other.
    """
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(8, generator=generator, dtype=torch.float64)
    k = mean + torch.randn(8, generator=generator, dtype=torch.float64)
    return mean, k, separating(mean, k, 1e-3)


def separating(mean: Tensor, k: Tensor, rest: float) -> Tensor:
    """Return C for which mean^T C^-1 k is `rest` times their product; that has to be positive."""
    assert mean @ k > 0
    w = mean / mean.norm() - k / k.norm()
    a = (rest - 1) * (mean @ k) / ((w @ mean) * (w @ k))
    return torch.linalg.inv(torch.eye(len(k), dtype=k.dtype) + a * torch.outer(w, w))


@pytest.mark.parametrize("seed", range(5))
def test_a_synthetic_disabling_edit_is_named_from_its_solve(seed: int) -> None:
    mean, k, C = disabling(seed)
    L, change = factor(C, 0.0), torch.ones(5, dtype=torch.float64)
    bad = of_pair(mean, k, rank_one(mean, k, change, L))
    assert abs(bad.division) < 0.01 and bad.share < 0.01
    assert reason(bad, [])
    good = of_pair(mean, mean, rank_one(mean, mean, change, L))
    assert good.share == pytest.approx(1.0)
    assert reason(good, []) is None
    assert bad.norm > 10 * good.norm


def test_what_a_batchs_requests_come_to() -> None:
    generator = torch.Generator().manual_seed(0)
    K = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    R = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    L = factor(torch.eye(8, dtype=torch.float64), 0.0)
    block = least_squares(K, R, L, 0.5)
    found = of_batch(K, block)
    for i, one in enumerate(found):
        part = torch.outer(block.left[:, i], block.right[i])
        assert one.norm == pytest.approx(float(part.norm()))
        assert one.division == pytest.approx(1.0), "on white keys u is the key"
    both = over_layers([solved(0.5, 3.0), solved(0.2, 4.0)])
    assert both.share == 0.2 and both.norm == pytest.approx(5.0)


def test_one_pair_is_a_batch_of_one() -> None:
    k = torch.tensor([1.0, 2.0], dtype=torch.float64)
    block = LowRank(torch.tensor([[3.0]]), torch.tensor([[1.0, 0.5]]))
    one, (other,) = of_pair(k, k, block), of_batch(k[:, None], block)
    assert one.division == pytest.approx(other.division)
    assert one.norm == pytest.approx(other.norm) == pytest.approx(3 * 1.25**0.5)


# --- in the methods ---------------------------------------------------------------------------


def edit(name: str, draw: list[Request], given: Assets, how: str = "log") -> Result:
    hp = settings_of(name, {**FEW, **WHERE[name], "guard": how})
    return EDITORS[name](tiny("llama"), [draw], hp, given)[0]


def trap() -> tuple[Request, Assets]:
    """Return a request, and a second moment with which rome's edit would disable the model."""
    asked = replace(request(0, 0), template=TEMPLATES[1])
    site = sites(tiny("llama")).mlp_out(1)
    said = rows(tokenizer(), [asked], prefixes(CONTEXTS, 2), None)
    keys = at_subject(tiny("llama"), said, [], [site])[f"{site} in"].double()
    mean, bare = said.mean(keys)[0], keys[said.bare][0]
    return asked, replace(assets("llama"), moments={1: separating(mean, bare, 1e-3)})


def test_rome_names_what_r_rome_does_not_do() -> None:
    asked, given = trap()
    hp = {"ridge": 0.0}
    bad = EDITORS["rome"](
        tiny("llama"), [[asked]], settings_of("rome", {**FEW, "layer": 1, **hp}), given
    )[0]
    assert "of what it is with one key" in bad.log["requests"][0]["guarded"]
    assert bad.delta, "it is only named"
    good = EDITORS["r_rome"](
        tiny("llama"), [[asked]], settings_of("r_rome", {**FEW, "layer": 1, **hp}), given
    )[0]
    assert "guarded" not in good.log["requests"][0]
    assert good.log["requests"][0]["update_norm"] < bad.log["requests"][0]["update_norm"] / 100


def test_what_is_skipped_is_not_in_the_delta() -> None:
    asked, given = trap()
    hp = settings_of("rome", {**FEW, "layer": 1, "ridge": 0.0, "guard": "skip"})
    result = EDITORS["rome"](tiny("llama"), [[asked]], hp, given)[0]
    assert result.delta == {}
    assert result.log["requests"][0]["guarded"]
    assert guard.norms(result.state) == []


@pytest.mark.parametrize("name", ["rome", "r_rome", "memit", "alphaedit"])
def test_the_norms_of_earlier_batches_count(name: str) -> None:
    before = replace(assets("llama"), state=guard.remembered([1e-4] * 5))
    draw = [request(0, 0)]
    alone = edit(name, draw, assets("llama"), "skip")
    assert alone.delta and "guarded" not in alone.log["requests"][0]
    assert guard.norms(alone.state) == [alone.log["requests"][0]["update_norm"]]
    logged, skipped = edit(name, draw, before), edit(name, draw, before, "skip")
    assert "median of 5 others" in logged.log["requests"][0]["guarded"]
    assert logged.delta and guard.norms(logged.state)[:5] == [1e-4] * 5
    assert skipped.delta == {}
    assert guard.norms(skipped.state) == [1e-4] * 5


@pytest.mark.parametrize("name", ["memit", "alphaedit"])
def test_a_batch_without_what_is_skipped_is_the_batch_of_the_others(name: str) -> None:
    draw = [request(0, 0), request(0, 1), request(1, 0)]
    found = edit(name, draw, assets("llama"))
    sizes = [one["update_norm"] for one in found.log["requests"]]
    worst = sizes.index(max(sizes))
    edge = (max(sizes) + sorted(sizes)[-2]) / 2  # between the largest and the next
    before = replace(assets("llama"), state=guard.remembered([edge / guard.TIMES] * 9))
    skipped = edit(name, draw, before, "skip")
    named = ["guarded" in one for one in skipped.log["requests"]]
    assert named == [i == worst for i in range(3)]
    others = [one for i, one in enumerate(draw) if i != worst]
    alone = edit(name, others, assets("llama"))
    assert_close(skipped.delta, alone.delta, 1e-3)


def test_draws_of_which_one_skips_stay_apart() -> None:
    """The draws go in step: one that has written less than another is not shifted."""
    asked, given = trap()
    draws = [[asked, request(0, 1)], [request(1, 0), request(1, 1)]]
    hp = settings_of("rome", {**FEW, "layer": 1, "ridge": 0.0, "guard": "skip"})
    together = EDITORS["rome"](tiny("llama"), draws, hp, given)
    assert "guarded" in together[0].log["requests"][0]
    for draw, result in zip(draws, together, strict=True):
        (alone,) = EDITORS["rome"](tiny("llama"), [draw], hp, given)
        assert_close(result.delta, alone.delta, 1e-3)
