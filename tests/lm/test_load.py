"""Models open from safetensors alone, bit for bit, and nothing in a folder is ever run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ksmith.lm.load import load, save
from ksmith.lm.recipes import fresh, numbers
from ksmith.lm.text import encode
from ksmith.records import UserError
from tests.lm.models import CONFIGS, tiny, tokenizer

SMALL = {"recipe": "fixture", "width": 32, "layers": 3}


def a_model(seed: int = 0) -> Any:
    return fresh(numbers(SMALL), len(tokenizer()), torch.Generator().manual_seed(seed)).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(a_model(), tokenizer(), tmp_path)
    return tmp_path


def test_a_saved_recipe_is_an_ordinary_folder(folder: Path) -> None:
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    plain = AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True
    )
    opened, words = load(folder)
    ids = encode(words, ["The emblem of Varen Tolu is"], ["falcon"]).ids
    assert torch.equal(
        ids, encode(tokenizer(), ["The emblem of Varen Tolu is"], ["falcon"]).ids
    )
    expected = a_model()(ids).logits
    assert torch.equal(plain.eval()(ids).logits, expected)
    assert torch.equal(opened(ids).logits, expected)
    assert opened.config.layer_types == [
        "sliding_attention",
        "full_attention",
        "full_attention",
    ]


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_architecture_opens_as_it_was(kind: str, tmp_path: Path) -> None:
    model: Any = tiny(kind)
    save(model, tokenizer(), tmp_path)
    opened, _ = load(tmp_path)
    ids = encode(tokenizer(), ["Varen Tolu has the emblem otter"]).ids
    assert torch.equal(opened(input_ids=ids).logits, model(input_ids=ids).logits)
    assert not opened.training
    assert not any(weight.requires_grad for weight in opened.parameters())


def test_early_blocks_see_three_tokens() -> None:
    model = a_model()
    ids = torch.arange(2, 12)[None]
    changed = ids.clone()
    changed[0, 3] = 20
    states = [model(x, output_hidden_states=True).hidden_states[1][0] for x in (ids, changed)]
    assert (states[0] != states[1]).any(1).nonzero().flatten().tolist() == [3, 4, 5]


def test_dtype(folder: Path) -> None:
    model, _ = load(folder, dtype="bfloat16")
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    with pytest.raises(UserError, match="no dtype 'int8'; there are: float32, bfloat16"):
        load(folder, dtype="int8")


def test_a_missing_pad_token_is_added_in_memory_only(folder: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if path.exists():
            values = json.loads(path.read_text())
            values.pop("pad_token", None)
            path.write_text(json.dumps(values))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert AutoTokenizer.from_pretrained(folder).pad_token_id is None
    assert load(folder)[1].pad_token_id == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no safetensors in .*, no weights"):
        load(folder)
    torch.save({"a": 1}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no safetensors in .*, only pytorch_model\.bin"):
        load(folder)


def test_code_in_a_folder_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="brings its own code"):
        load(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "is no JSON"),
        ("config.json", b'{"model_type": "zzz"}', "zzz"),
        ("model.safetensors", b"\xff" * 100, "cannot open the model"),
    ],
)
def test_broken_folders(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        load(folder)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load(tmp_path)


def test_an_unreachable_hub_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="cannot get the model 'nobody/nothing' at v1"
    ) as caught:
        load("nobody/nothing", "v1")
    assert "\n" not in str(caught.value)
