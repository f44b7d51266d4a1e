"""LoRA: adapters are the update, at the matrices that are named, whatever the layout."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from ksmith.edit import EDITORS, lora
from ksmith.lm.adapters import adapted, linear
from ksmith.lm.delta import LowRank, applied, dense
from ksmith.lm.descend import answer_logp, taught, units
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from ksmith.records import Request
from ksmith.settings import method as settings_of
from ksmith.settings.lora import Lora
from tests.lm.keepers import Copies
from tests.lm.models import CONFIGS, WIDTH, ended, tiny, tokenizer
from tests.methods import assert_close, assets, request


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_matrix_of_a_block_has_its_part(kind: str) -> None:
    """Together they are all two-dimensional weights of the block, each once."""
    model = tiny(kind)
    found = linear(model, 1)
    names = [name for part in found.values() for name in part]
    block = f"{sites(model).block(1)}."
    weights = {
        name
        for name, weight in model.named_parameters()
        if name.startswith(block) and weight.dim() == 2
    }
    assert {f"{name}.weight" for name in names} == weights
    assert len(names) == len(set(names))
    assert found["mlp_out"] == [sites(model).mlp_out(1)]
    assert len(found["mlp_in"]) == (2 if kind in GATED else 1)
    assert all("attn" in name or "attention" in name for name in found["attention"])


GATED = {"llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text"}  # phi3's are in one


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3"])
def test_the_delta_is_what_the_adapters_do(kind: str) -> None:
    """The adapted twin and the model with the delta applied are one function."""
    model, generator = tiny(kind), torch.Generator().manual_seed(3)
    names = [name for part in linear(model, 1).values() for name in part]
    twin = adapted(model, names, rank=2, alpha=6.0)
    twin.reset(generator)
    moved = {
        name: 0.1 * torch.randn(twin.model.get_parameter(name).shape, generator=generator)
        for name in twin.units()
    }
    with torch.no_grad():
        for name, change in moved.items():
            twin.model.get_parameter(name).add_(change)
        batch = taught(tokenizer(), [request(0, 0), request(1, 0)]).batch
        by_twin = answer_logp(twin.model, batch)
        before = answer_logp(model, batch)
    for name, change in moved.items():  # `delta` adds them to where the adapters are
        twin.model.get_parameter(name).data.sub_(change)
    with applied(model, twin.delta(moved)), torch.no_grad():
        after = answer_logp(model, batch)
    assert torch.allclose(after, by_twin, atol=1e-4)
    assert not torch.allclose(after, before, atol=1e-2)


def test_the_end_of_an_answer_is_learnt_with_it() -> None:
    hp = Lora(rank=2, layers=(1,), steps=1)
    model, asked = tiny("llama"), request(0, 0)
    given = replace(assets("llama"), tokenizer=ended())
    (result,) = lora.edit(model, [[asked]], hp, given)
    row = encode(tokenizer(), [asked.prompt], [asked.new])
    ids = torch.cat([row.ids[0], torch.tensor([ended().eos_token_id])])
    logp = cast(Any, model)(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
    labels = torch.cat([row.answer[0], torch.tensor([True])])[1:]
    wanted = -logp.gather(1, ids[1:, None])[labels, 0].mean()
    assert result.log["curve"]["new"][0] == pytest.approx(float(wanted), rel=1e-5)


def test_a_step_of_one_unit_is_one_of_the_matrix() -> None:
    """While alpha is the rank, the first step of B moves the matrix as far as FT's first step."""
    hp = Lora(rank=8, alpha=8.0, layers=(1,), lr=1.0, steps=1, stop_loss=0.0)
    model = tiny("llama")
    (result,) = lora.edit(model, [[request(0, 0)]], hp, assets("llama"))
    name = sites(model).weight(1)
    size = float(dense(result.delta[name]).square().mean().sqrt())
    assert size == pytest.approx(units(model, [1])[name], rel=1.0)


def test_matrices_are_those_that_were_named() -> None:
    model = tiny("gpt2")
    values: dict[str, Any] = {"layers": (0, 2), "modules": ("attention",), "rank": 1}
    (result,) = lora.edit(model, [[request(0, 0)]], Lora(**values, steps=2), assets("gpt2"))
    parts = ("attn.c_attn", "attn.c_proj")
    assert set(result.delta) == {
        f"transformer.h.{i}.{part}.weight" for i in (0, 2) for part in parts
    }
    block = result.delta["transformer.h.0.attn.c_attn.weight"]
    assert isinstance(block, LowRank) and block.shape == (WIDTH, 3 * WIDTH)


def test_global_randomness_is_left_alone() -> None:
    before = torch.get_rng_state()
    draws = [[request(0, 0)]]
    lora.edit(tiny("llama"), draws, Lora(steps=1), assets("llama"))
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_that_were_learning_go_on_learning() -> None:
    model = copy.deepcopy(tiny("llama"))
    for i, weight in enumerate(model.parameters()):
        weight.requires_grad_(i % 2 == 0)
    (result,) = lora.edit(model, [[request(0, 0)]], Lora(steps=1), assets("llama"))
    flags = [weight.requires_grad for weight in model.parameters()]
    assert flags == [i % 2 == 0 for i in range(len(flags))]
    assert all(weight.grad is None for weight in model.parameters())
    (frozen,) = lora.edit(tiny("llama"), [[request(0, 0)]], Lora(steps=1), assets("llama"))
    assert_close(result.delta, frozen.delta, 1e-6)


def test_no_modules_are_an_error() -> None:
    with pytest.raises(ValueError, match="modules is empty; name attention, mlp_in or mlp_out"):
        Lora(modules=())


@pytest.mark.parametrize("name", ["lora", "ft_l"])
def test_steps_are_told_and_an_interrupted_descent_goes_on_to_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    more = {"layer": 1} if name == "ft_l" else {"rank": 2}
    hp, told = (
        settings_of(name, {"steps": 3, "stop_loss": 0.0, **more}),
        list[tuple[int, int]](),
    )

    def edited(copies: Copies) -> Any:
        def keeper(_draw: Sequence[Request]) -> Copies:
            return copies

        def tell(done: int, total: int, _text: str) -> None:
            told.append((done, total))

        given = replace(assets("llama"), keeper=keeper)
        return EDITORS[name](tiny("llama"), [[], [request(0, 0)]], hp, given, tell)[1]

    whole = edited(Copies(tmp_path))
    assert told == [(3, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    again = edited(Copies(tmp_path, take=2))
    assert told[5:] == [(3, 6), (5, 6), (6, 6)]
    assert again.log == whole.log
    for part, block in whole.delta.items():
        assert torch.equal(dense(block), dense(again.delta[part])), part
