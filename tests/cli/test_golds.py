"""Gold models that can't be compared with the model are refused with the study."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from ksmith.lm.text import build_tokenizer

STUDY = """\
name = "s"
[graph]
facts = 120
[task]
method = "ft_l"
kind = "unlearn"
scale = 2
draws = 1
[method.ft_l]
layer = 0
[model]
load = "base"
gold = ["one", "two"]
"""
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "vocab_size": 9,
    "max_position_embeddings": 99,
}


def model(folder: Path, word: str = "sea", **more: object) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA | more))
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    build_tokenizer([f"The {word} is far."]).save_pretrained(folder)


def planned(folder: Path) -> Result:
    (folder / "s.toml").write_text(STUDY)
    words = ["--home", str(folder / "lab"), "study", "plan", str(folder / "s.toml")]
    return CliRunner().invoke(ksmith, words)


def test_models_of_one_kind_are_taken(tmp_path: Path) -> None:
    model(tmp_path / "base")
    model(tmp_path / "one", max_position_embeddings=200, head_dim=16)  # the others don't say
    model(tmp_path / "two")
    done = planned(tmp_path)
    assert done.exit_code == 0, done.output
    # What can't be read is for the attempt to say, with its own message.
    (tmp_path / "one" / "config.json").write_text("[" * 9)
    (tmp_path / "two" / "tokenizer.json").write_text("{}")
    assert planned(tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"model_type": "mistral"},
            "{two} has model_type 'mistral', {base} has 'llama': a gold",
        ),
        ({"vocab_size": 10}, "{two} has vocab_size 10, {base} has 9: a gold model is the same"),
        ({"word": "lake"}, "the tokenizer in {two} is another than that in {base}: their"),
    ],
)
def test_another_model_is_named_with_both_folders(
    tmp_path: Path, other: dict[str, str], said: str
) -> None:
    for name, more in {"base": {}, "one": {}, "two": other}.items():
        model(tmp_path / name, **more)
    done = planned(tmp_path)
    assert done.exit_code == 2, done.output
    names = {name: str(tmp_path / name) for name in ("base", "two")}
    assert f"s.toml:13: model.gold: {said.format(**names)}" in done.stderr
    assert str(tmp_path / "one") not in done.stderr
