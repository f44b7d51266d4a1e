"""The table of sites is true for every architecture in it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, OPTConfig, OPTForCausalLM

from ksmith.lm.sites import ARCHITECTURES, as_rows, sites
from ksmith.records import UserError
from tests.lm.models import CONFIGS, LAYERS, VOCABULARY, WIDTH, tiny

IDS = torch.randint(1, VOCABULARY, (2, 7), generator=torch.Generator().manual_seed(0))


def test_every_architecture_of_the_table_has_a_model() -> None:
    assert set(CONFIGS) == set(ARCHITECTURES)


def seen(model: nn.Module, names: list[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each module's first input and its output, in rows."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, args: Any, kwargs: Any, output: object) -> None:
            given = args[0] if args else kwargs["hidden_states"]
            found[name] = (as_rows(given, len(IDS)), as_rows(output, len(IDS)))

        return hook

    handles = [
        model.get_submodule(name).register_forward_hook(keep(name), with_kwargs=True)
        for name in names
    ]
    model(input_ids=IDS)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("kind", CONFIGS)
def test_names_exist_and_mean_what_they_say(kind: str) -> None:
    model = tiny(kind)
    s = sites(model)
    assert s.n_layers == LAYERS
    for name in (s.norm, s.head, s.embed):
        model.get_submodule(name)
    last = LAYERS - 1
    names = [
        s.block(0),
        s.block(last),
        s.attn(last),
        s.mlp(last),
        s.mlp_out(last),
        s.norm,
        s.head,
    ]
    found = seen(model, names)
    weight = s.maths(model.get_parameter(s.weight(last)))
    key, value = found[s.mlp_out(last)]
    assert weight.shape == (WIDTH, key.shape[-1])
    bias = getattr(model.get_submodule(s.mlp_out(last)), "bias", None)
    made = key @ weight.T + (0 if bias is None else bias)
    assert torch.allclose(made, value, atol=1e-5)
    # the block adds exactly what attention and the MLP give: the residual stream is their sum
    came, went = found[s.block(last)]
    assert torch.allclose(
        came + found[s.attn(last)][1] + found[s.mlp(last)][1], went, atol=1e-4
    )
    assert torch.allclose(found[s.norm][0], went, atol=1e-5)
    assert found[s.head][1].shape[-1] == VOCABULARY
    assert s.norm_after_mlp == (not torch.allclose(value, found[s.mlp(last)][1], atol=1e-5))


@pytest.mark.parametrize("kind", CONFIGS)
def test_layout_is_the_modules_own(kind: str) -> None:
    model = tiny(kind)
    module = model.get_submodule(sites(model).mlp_out(0))
    assert sites(model).transposed == (type(module).__name__ == "Conv1D")


def test_unknown_architecture_is_refused_with_the_list() -> None:
    model = BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
    with pytest.raises(UserError, match=r"type 'bert'; there are: gemma2, .*, qwen3"):
        sites(model)


def test_layer_out_of_range_is_refused() -> None:
    s = sites(tiny("llama"))
    assert s.layer(LAYERS - 1) == LAYERS - 1
    with pytest.raises(UserError, match=f"no layer {LAYERS}: the model has layers 0 to"):
        s.layer(LAYERS)


def test_opt_with_its_norms_after_is_refused() -> None:
    config = OPTConfig(
        vocab_size=50, hidden_size=16, ffn_dim=24, num_hidden_layers=1, num_attention_heads=2,
        word_embed_proj_dim=16, do_layer_norm_before=False,
    )  # fmt: skip
    with pytest.raises(UserError, match="opt-350m"):
        sites(OPTForCausalLM(config))
