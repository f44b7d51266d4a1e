"""Deltas: added, taken back to the bit, summed, saved, and refused where they do not fit."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from ksmith.lm.delta import (
    FORMAT,
    Delta,
    LowRank,
    applied,
    dense,
    load,
    norms,
    save,
    weights_digest,
)
from ksmith.records import UserError
from tests.lm.models import tiny

NAME = "model.layers.1.mlp.down_proj.weight"  # (16, 24) in the tiny llama
OTHER = "model.layers.0.self_attn.q_proj.weight"  # (16, 16)


def draw(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(seed: int, rank: int = 2, out: int = 16, into: int = 24) -> LowRank:
    return LowRank(draw(seed, out, rank), draw(seed + 1, rank, into))


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in model.named_parameters()}


def unchanged(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    size=st.floats(1e-6, 1e6),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    raises=st.booleans(),
)
def test_the_very_same_bits_come_back(
    seed: int, size: float, dtype: torch.dtype, raises: bool
) -> None:
    model = tiny("llama", dtype)
    before = bits(model)
    delta = {
        NAME: LowRank(size * draw(seed, 16, 1), draw(seed, 1, 24)),
        OTHER: draw(seed, 16, 16),
    }
    try:
        with applied(model, delta):
            assert not unchanged(model, before)
            if raises:
                raise KeyError
    except KeyError:
        assert raises
    assert unchanged(model, before)


def test_sums_in_float32_and_rounds_once() -> None:
    model = tiny("llama", torch.bfloat16)
    base = model.get_parameter(NAME).clone()
    change = pair(3)
    with applied(model, {NAME: change}):
        expected = (base.float() + change.left @ change.right).bfloat16()
        assert torch.equal(model.get_parameter(NAME), expected)
    rounded_first = base + (change.left @ change.right).bfloat16()
    assert not torch.equal(expected, rounded_first)


def test_a_tied_weight_moves_in_all_its_uses() -> None:
    model = tiny("gpt2")
    ids = torch.tensor([[1, 2, 3]])
    change = draw(0, 64, 16)
    before = bits(model)
    for name in ("transformer.wte.weight", "lm_head.weight"):
        with applied(model, {name: change}):
            embedded = model.get_submodule("transformer.wte")(ids)
            base = before["transformer.wte.weight"]
            assert torch.equal(embedded, (base + change)[ids])
            assert torch.equal(model.get_parameter("lm_head.weight"), base + change)
    assert unchanged(model, before)
    both = {"transformer.wte.weight": change, "lm_head.weight": change}
    with (
        pytest.raises(UserError, match=r"tied weight lm_head\.weight twice"),
        applied(model, both),
    ):
        pass
    assert unchanged(model, before)


@pytest.mark.parametrize(
    ("delta", "message"),
    [
        ({"no.such.weight": torch.ones(2, 2)}, "no parameter 'no.such.weight'"),
        ({NAME: torch.ones(24, 16)}, r"is \(24, 16\), the weight \(16, 24\)"),
        ({OTHER: torch.ones(16, 16), NAME: pair(0, out=24, into=16)}, r"is \(24, 16\)"),
        ({"model.norm.weight": torch.ones(1)}, r"is \(1,\), the weight \(16,\)"),
    ],
)
def test_what_does_not_fit_is_refused(delta: Delta, message: str) -> None:
    model = tiny("llama")
    before = bits(model)
    with pytest.raises(UserError, match=message), applied(model, delta):
        pass
    assert unchanged(model, before)


def test_no_delta_changes_nothing() -> None:
    model = tiny("llama")
    before = bits(model)
    with applied(model, {}):
        assert unchanged(model, before)
    assert norms(model, {}) == {}


@given(seed=st.integers(0, 1000), rank=st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_norms_of_pairs_need_no_product(seed: int, rank: int) -> None:
    model = tiny("llama")
    block = pair(seed, rank)
    found = norms(model, {NAME: block})[NAME]
    assert found["norm"] == pytest.approx(float(block.dense().double().norm()), rel=1e-5)
    base = float(model.get_parameter(NAME).double().norm())
    assert found["relative"] == pytest.approx(found["norm"] / base)


def test_the_transpose_of_a_pair() -> None:
    assert torch.allclose(pair(1).T.dense(), pair(1).dense().T)
    assert pair(1).T.shape == (24, 16)


def test_digest_sees_every_bit_and_name() -> None:
    model = tiny("llama")
    whole = weights_digest(model)
    assert whole == weights_digest(tiny("llama"))
    assert whole != weights_digest(tiny("llama", torch.bfloat16))
    with torch.no_grad():
        weight = model.get_parameter("model.norm.weight")
        weight[3] = torch.nextafter(weight[3], torch.tensor(9.0))
    assert whole != weights_digest(model)


# --- files ------------------------------------------------------------------------------------


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "delta.safetensors"
    deltas = [
        {NAME: pair(0), OTHER: draw(4, 16, 16, dtype=torch.bfloat16)},
        {},
        {NAME: pair(2)},
    ]
    save(deltas, path, {"method": "rome", "base": "abc"})
    read, metadata = load(path)
    assert metadata == {"method": "rome", "base": "abc", "format": FORMAT, "draws": "3"}
    assert [set(delta) for delta in read] == [{NAME, OTHER}, set(), {NAME}]
    for one, other in zip(deltas, read, strict=True):
        for name, block in one.items():
            assert torch.equal(dense(block), dense(other[name]))
            assert dense(block).dtype == dense(other[name]).dtype


def test_shared_and_transposed_tensors_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "delta.safetensors"
    shared = pair(0)
    save([{NAME: shared}, {NAME: shared, OTHER: draw(0, 16, 16).T}], path, {})
    assert torch.equal(dense(load(path)[0][1][OTHER]), draw(0, 16, 16).T)


def test_a_delta_that_went_astray_is_not_saved(tmp_path: Path) -> None:
    bad = {NAME: LowRank(draw(0, 16, 1), torch.full((1, 24), float("nan")))}
    with pytest.raises(UserError, match=f"draw 1: the change of {NAME} is not finite"):
        save([{}, bad], tmp_path / "d", {})


def test_no_draws(tmp_path: Path) -> None:
    save([], tmp_path / "d", {})
    assert load(tmp_path / "d")[0] == []


GOOD = {"0:a.weight:left": torch.ones(3, 2), "0:a.weight:right": torch.ones(2, 4)}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        (GOOD, {}, "its format is None"),
        (GOOD, {"format": "pt", "draws": "1"}, "its format is 'pt'"),
        (GOOD, {"format": FORMAT}, "'' is no number of draws"),
        (GOOD, {"format": FORMAT, "draws": "-1"}, "'-1' is no number"),
        (GOOD, {"format": FORMAT, "draws": "99999999999999"}, "is no number"),
        (GOOD, {"format": FORMAT, "draws": "0"}, "unexpected tensor '0:a.weight:left'"),
        ({"../x:left": torch.ones(1)}, {"format": FORMAT, "draws": "1"}, "unexpected tensor"),
        ({"0:../x:left": torch.ones(1)}, {"format": FORMAT, "draws": "1"}, "unexpected tensor"),
        ({"0:a:left": torch.ones(1, 1)}, {"format": FORMAT, "draws": "1"}, r"parts \['left'\]"),
        (
            {**GOOD, "0:a.weight:dense": torch.ones(3, 4)},
            {"format": FORMAT, "draws": "1"},
            r"parts \['dense', 'left', 'right'\]",
        ),
        (
            {**GOOD, "0:a.weight:right": torch.ones(3, 4)},
            {"format": FORMAT, "draws": "1"},
            r"no pair: \(3, 2\) and \(3, 4\)",
        ),
        (
            {"0:a:dense": torch.ones(2, dtype=torch.int64)},
            {"format": FORMAT, "draws": "1"},
            "something else than finite",
        ),
        (
            {"0:a:dense": torch.tensor([1.0, float("nan")])},
            {"format": FORMAT, "draws": "1"},
            "something else than finite",
        ),
    ],
)
def test_strange_files_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], message: str
) -> None:
    path = tmp_path / "delta.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(UserError, match=message):
        load(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100, b"\x80\x02}q\x00.", None])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "delta.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="is no delta"):
        load(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "delta.safetensors"
    save([{NAME: pair(0)}], path, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match="is no delta"):
        load(path)
