"""What is wider than its model, or beyond its layers, is refused with the study."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from ksmith.lm.adapters import adapted, linear
from ksmith.lm.sites import sites
from ksmith.records import UserError
from ksmith.settings.recipes import RECIPES, resolve
from ksmith.settings.shapes import PARTS, of_config, of_recipe
from tests.lm.models import CONFIGS, LAYERS, tiny

STUDY = """\
name = "s"
question = "Does it fit?"
[graph]
facts = 120
[task]
kind = "unlearn"
[grid]
"task.method" = ["npo", "rmu"]
"""


@pytest.mark.parametrize("kind", CONFIGS)
def test_sizes_by_the_configuration_are_those_of_the_weights(kind: str) -> None:
    model = tiny(kind)
    config = json.loads(json.dumps(CONFIGS[kind]().to_dict()))  # as config.json has it
    shape, parts = of_config(config), linear(model, 1)
    assert shape.layers == sites(model).n_layers
    for part in PARTS:
        sides = [min(model.get_parameter(f"{name}.weight").shape) for name in parts[part]]
        assert shape.narrowest[part] == min(sides)


@pytest.mark.parametrize("name", RECIPES)
def test_sizes_of_a_recipe_are_those_that_it_is_trained_with(name: str) -> None:
    wide = of_recipe({"recipe": name, "width": 64, "mechanism": "plain"})
    assert wide.narrowest == dict.fromkeys(PARTS, 64)
    numbers = resolve(name, {}, "planted")
    shape = of_recipe({"recipe": name})
    assert (shape.layers, shape.narrowest["attention"]) == (numbers["layers"], numbers["width"])


@pytest.mark.parametrize("config", [{}, {"hidden_size": "9", "n_layer": -1, "n_head": True}])
def test_a_configuration_that_says_nothing_refuses_nothing(config: dict[str, Any]) -> None:
    shape = of_config(config)
    assert (shape.layers, shape.narrowest) == (None, {})


@pytest.mark.parametrize(("rank", "fits"), [(8, True), (9, False)])
def test_the_attempt_asks_the_weights(rank: int, fits: bool) -> None:
    """Of Llama's grouped heads, keys are half as wide as the stream: 8 x 16."""
    model = tiny("llama")
    names = [name for part in linear(model, 0).values() for name in part]
    if fits:
        assert adapted(model, names, rank, 1.0).names == names
        return
    with pytest.raises(
        UserError, match=r"rank 9: wider than .*k_proj, which is 8 x 16; at mos"
    ):
        adapted(model, names, rank, 1.0)
    with pytest.raises(UserError, match="no matrices of the kind"):
        adapted(model, [], rank, 1.0)


def planned(folder: Path, study: str) -> Result:
    (folder / "s.toml").write_text(study)
    words = ["--home", str(folder / "lab"), "study", "plan", str(folder / "s.toml")]
    return CliRunner().invoke(ksmith, words)


def load(folder: Path, kind: str = "llama") -> str:
    """Return a `[model]` table of a folder that has a configuration, and no weights to speak of."""
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"")
    (model / "config.json").write_text(json.dumps(CONFIGS[kind]().to_dict()))
    return f'[model]\nload = "{model}"\n'


NARROW = r"the narrowest of the recipe tiny \(attention\) has 128; at most 128"


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("[method.npo]\nadapters = 129\n", 10, f"method.npo.adapters = 129: .*{NARROW}"),
        (
            "[method.npo.grid]\nadapters = [2, 300]\n",
            10,
            "method.npo.adapters = 300: an adapter",
        ),
        (
            "[method.rmu]\nlayer = 44\n",
            10,
            "method.rmu.layer = 44: the model has layers 0 to",
        ),
        ("[method.npo]\nadapters = 128\n", 0, ""),
        ("[method.rmu]\nlayer = 3\n", 0, ""),
    ],
)
def test_what_does_not_fit_a_recipe(tmp_path: Path, more: str, line: int, message: str) -> None:
    done = planned(tmp_path, STUDY + more)
    if not line:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == 2, done.output
    assert f"s.toml:{line}: " in done.stderr
    assert re.search(message, done.stderr), done.stderr


def test_what_does_not_fit_a_folder_or_a_model_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = STUDY.replace("unlearn", "edit").replace('"npo", "rmu"', '"lora", "ft_l"')
    own = load(tmp_path)
    method = '[method.lora]\nrank = 9\nmodules = ["attention"]\n[method.ft_l]\nlayer = 3\n'
    done = planned(tmp_path, edits + own + method)
    assert done.exit_code == 2, done.output
    assert "s.toml:12: method.lora.rank = 9: an adapter is no wider" in done.stderr
    assert f"of the model in {tmp_path / 'model'} (attention) has 8; at most 8" in done.stderr
    assert "s.toml:15: method.ft_l.layer = 3: no layer 3: the model in" in done.stderr
    assert f"has layers 0 to {LAYERS - 1}" in done.stderr
    fits = method.replace('"attention"', '"mlp_out"').replace("layer = 3", "layer = 2")
    assert planned(tmp_path, edits + own + fits).exit_code == 0
    there = tmp_path / "hub" / "models--lab--small"
    (there / "refs").mkdir(parents=True)
    (there / "refs" / "main").write_text("abc")
    (there / "snapshots").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    (tmp_path / "model").rename(there / "snapshots" / "abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    done = planned(tmp_path, edits + '[model]\nload = "lab/small"\n' + method)
    assert "of the model lab/small (attention) has 8; at most 8" in done.stderr, done.output
    assert planned(tmp_path, edits + '[model]\nload = "lab/no"\n' + method).exit_code == 0
