"""Published settings of known models: in the key where they may be used, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest

from ksmith.settings import METHODS, known_models
from ksmith.settings.known_models import MODELS
from tests.study.files import HEAD, keys, mistakes, only, written

XL = {"model_type": "gpt2", "n_layer": 48, "n_embd": 1600}
LLAMA_3 = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
}
GEMMA = {"model_type": "gemma2", "num_hidden_layers": 26, "hidden_size": 2304}
TASK = HEAD + '[task]\nmethod = "{}"\n'


def folder(at: Path, config: dict[str, Any]) -> Path:
    at.mkdir()
    (at / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("model.safetensors", "tokenizer.json"):
        (at / name).write_text(name, encoding="utf-8")
    return at


def table(path: Path, *sets: str) -> dict[str, Any]:
    return only(path, *sets).settings["method"]


@pytest.mark.parametrize("method", ["rome", "memit", "ft_l", "lora", "npo"])
def test_the_version_is_in_the_key_where_a_row_may_be_used(tmp_path: Path, method: str) -> None:
    path = written(tmp_path, TASK.format(method))
    xl, other = folder(tmp_path / "xl", XL), folder(tmp_path / "gemma", GEMMA)
    used = method not in ("lora", "npo")  # no row is of them
    assert "known_models" not in table(path)  # a model that is trained
    assert "known_models" not in table(path, f"model.load={other}")
    assert ("known_models" in table(path, f"model.load={xl}")) == used
    assert ("known_models" in table(path, "model.load=org/name")) == used
    layers = {"memit": "layers=[1]", "lora": "layers=[1]", "npo": "steps=3"}.get(
        method, "layer=1"
    )
    assert "known_models" not in table(path, f"model.load={xl}", f"method.{method}.{layers}")


def test_the_preset_leaves_open_what_is_not_given(tmp_path: Path) -> None:
    path = written(tmp_path, TASK.format("memit"))
    preset = ("model.load=org/name", "method.memit.preset=paper")
    found = table(path, *preset)
    assert found == {
        "name": "memit",
        "version": METHODS["memit"].version,
        "preset": "paper",
        "moment_tokens": 40_000,
        "layers": None,
        "known_models": known_models.VERSION,
    }
    # The default, said by the study, is the study's.
    assert table(path, *preset, "method.memit.lr=0.2")["lr"] == 0.2
    assert keys(only(path, *preset)) != keys(only(path, *preset, "method.memit.lr=0.2"))


@pytest.mark.parametrize("method", ["rome", "r_rome"])
def test_moments_are_not_made_for_a_preset_that_needs_none(tmp_path: Path, method: str) -> None:
    path = written(tmp_path, TASK.format(method))
    llama = folder(tmp_path / "llama", LLAMA_3)
    preset = (f"model.load={llama}", f"method.{method}.preset=paper")
    assert table(path, *preset)["adjust"] is False
    assert "moments" not in keys(only(path, *preset))
    # The study's own word counts, though it is the default.
    said = (*preset, f"method.{method}.adjust=true")
    assert table(path, *said)["adjust"] is True
    assert "moments" in keys(only(path, *said))
    xl = folder(tmp_path / "xl", XL)
    adjusted = (f"model.load={xl}", f"method.{method}.preset=paper")
    assert "adjust" not in table(path, *adjusted)
    assert "moments" in keys(only(path, *adjusted))
    assert "adjust" not in table(path, f"model.load={llama}", f"method.{method}.adjust=true")


@pytest.mark.parametrize(
    ("method", "config", "of"),
    [
        ("rome", None, "rome on a model that is trained"),
        ("rome", GEMMA, "rome on this model"),
        ("ft_l", {"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096}
         | {"intermediate_size": 11008}, "ft_l on Llama 2 7B"),
    ],
)  # fmt: skip
def test_no_preset_where_nothing_is_published(
    tmp_path: Path, method: str, config: Any, of: str
) -> None:
    text = TASK.format(method) + f'[method.{method}]\npreset = "paper"\n'
    sets = [f"model.load={folder(tmp_path / 'm', config)}"] if config else []
    (line,) = mistakes(written(tmp_path, text), *sets)
    name = f'x.toml:5: method.{method}.preset = "paper"'
    assert line == f"{name}: no numbers are published for {of}"


def test_absolute_sizes_are_all_to_be_given(tmp_path: Path) -> None:
    text = TASK.format("memit") + '[method.memit]\nunits = "absolute"\nlr = 0.5\n'
    assert mistakes(written(tmp_path, text)) == [
        f"x.toml:5: method.memit.{name} is missing: its default is relative, and units are "
        f"absolute ({what})"
        for name, what in (
            ("weight", "lambda, of the second moment"),
            ("weight_decay", "x norm(delta) / norm(v_init)^2"),
        )
    ]
    whole = written(tmp_path, text + "weight = 15000\nweight_decay = 0.5\n")
    assert table(whole)["units"] == "absolute"


def test_the_known_models_are_told_apart_by_shape() -> None:
    for model in MODELS:
        shape = {"num_hidden_layers": model.layers, "hidden_size": model.width}
        config = {"model_type": model.model_type, **shape, "intermediate_size": model.mlp}
        assert known_models.known(config) is model
        assert known_models.known(config | {"intermediate_size": 7}) is None
        assert known_models.known(config | {"model_type": "other"}) is None
    assert known_models.known({}) is None
    assert known_models.known(XL | {"n_inner": None, "_name_or_path": "gpt2"}) is MODELS[0]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_rows_are_settings_of_their_methods(model: known_models.Known) -> None:
    from ksmith import settings

    assert model.rows.keys() >= {"rome", "r_rome", "memit", "emmet", "alphaedit", "ft", "ft_l"}
    for method, row in model.rows.items():
        assert all(0 <= layer < model.layers for layer in row.layers)
        if method in METHODS:
            own = settings.declared(METHODS[method])
            one = "layer" in own
            assert len(row.layers) == 1 or not one
            layers = {"layer": row.layers[0]} if one else {"layers": list(row.layers)}
            made = settings.method(method, {**layers, **(row.values or {}), "preset": "paper"})
            assert made.absolute
