"""Hyperparameters for the very model: the study's, then published ones, then defaults."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, LlamaConfig

from ksmith.records import UserError
from ksmith.settings import METHODS, Memit, Rome
from ksmith.worker.chosen import alike, hyperparameters
from ksmith.worker.job import Job
from ksmith.worker.letters import Letters
from ksmith.worker.opening import Base
from tests.lm.models import KEYS, tiny, tokenizer
from tests.worker.test_loop import spec

XL: Any = GPT2Config(n_layer=48, n_embd=1600)
LLAMA_3: Any = LlamaConfig(num_hidden_layers=32, hidden_size=4096, intermediate_size=14336)


def chosen(config: Any, method: str, **values: Any) -> tuple[Any, dict[str, Any]]:
    """Return what is chosen for a model of this configuration, whose weights are not looked at."""
    model: Any = tiny("llama")
    if config is not None:
        model.config = config
    base = Base(Any, model, tokenizer(), 2, "", Letters.of(None))  # type: ignore[arg-type]
    table = {"name": method, "version": METHODS[method].version, "known_models": 1, **values}
    one = replace(spec(Path("/lab")), recipe={"method": table})
    return hyperparameters(Job(spec=one, folder=Path("/lab")), base)


def test_layers_of_a_known_model_are_in_the_table() -> None:
    hp, told = chosen(XL, "memit", layers=None)
    assert hp == Memit(layers=(13, 14, 15, 16, 17))
    assert told == {"known_model": "GPT-2 XL", "layers_from": "the table, for GPT-2 XL"}
    hp, told = chosen(XL, "rome", layer=None)
    assert hp.layer == 17


def test_layers_of_the_study_and_of_no_known_model() -> None:
    hp, told = chosen(XL, "rome", layer=3)
    assert (hp.layer, told["layers_from"]) == (3, "the study")
    hp, told = chosen(None, "memit", layers=None)
    assert (hp.layers, told) == (None, {"layers_from": "the causal trace"})
    assert "layers_from" not in chosen(XL, "npo")[1]
    hp, told = chosen(None, "lora", layers=None)
    assert (hp.layers, told) == (None, {"layers_from": "all layers"})
    assert chosen(None, "lora", layers=[1])[1]["layers_from"] == "the study"


def test_the_preset_is_what_public_code_has() -> None:
    hp, told = chosen(XL, "memit", preset="paper", layers=None, moment_tokens=7, steps=3)
    assert told["values_from"] == "MEMIT, arXiv:2210.07229"
    given: dict[str, Any] = {"preset": "paper", "moment_tokens": 7, "steps": 3}
    public: dict[str, Any] = {
        "lr": 0.5,
        "kl_weight": 0.0625,
        "weight_decay": 0.5,
        "clamp": 0.75,
    }
    rest: dict[str, Any] = {"stop_loss": 0.05, "contexts": 6, "ridge": 0.0, "weight": 20_000.0}
    layers = tuple(range(13, 18))
    assert hp == Memit(layers=layers, **given, **public, **rest)
    assert hp.absolute


def test_no_preset_for_other_models_and_methods() -> None:
    with pytest.raises(UserError, match="none of which numbers are published"):
        chosen(None, "rome", preset="paper")
    with pytest.raises(UserError, match="published for ft_l on Llama 3 8B"):
        chosen(LLAMA_3, "ft_l", preset="paper")


def test_without_adjustment_all_directions_are_alike() -> None:
    hp, _ = chosen(LLAMA_3, "rome", preset="paper", layer=None)
    assert (hp.layer, hp.adjust) == (5, False)
    said, _ = chosen(LLAMA_3, "rome", preset="paper", layer=None, adjust=True)
    assert said.adjust  # the study's own word
    model: Any = tiny("llama")
    base = Base(Any, model, tokenizer(), 2, "", Letters.of(None))  # type: ignore[arg-type]
    found = alike(Rome(adjust=False), base)
    assert found and list(found) == [2]
    assert torch.equal(found[2], torch.eye(KEYS, dtype=torch.float64))
    assert alike(Rome(), base) is None
    assert alike(Memit(), base) is None
