"""Questions that no model reads whole are refused with the study: nothing is stored."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from ksmith.lm.text import build_tokenizer
from tests.graph.test_qa import STUDY, pair, retain, saved
from tests.lm.chats import CHATML, chatting

LONG = "In " + "very " * 70 + "far."
LONGER = "In " + "very " * 300 + "far."


def planned(folder: Path, study: str = STUDY) -> Result:
    (folder / "s.toml").write_text(study)
    words = ["--home", str(folder / "lab"), "study", "plan", str(folder / "s.toml")]
    return CliRunner().invoke(ksmith, words)


@pytest.mark.parametrize(
    ("sets", "line", "message"),
    [
        (
            {"forget": [pair(0, answer=LONG)]},
            5,
            "forget: 8[0-9] tokens, but a training row has 64",
        ),
        ({"retain": [*retain(), pair(0, "Nim", answer=LONG)]}, 6, "retain: .* has 64"),
        (
            {"forget": [pair(0, perturbed_answer=[LONGER])]},
            5,
            "forget: 31[0-9] tokens, but a prompt has 256 at most: 'Where was the author Basil 0",
        ),
        ({"holdout": [pair(i, "Odo", answer=LONGER) for i in range(9)]}, 7, "and 15 more are"),
    ],
)
def test_what_is_too_long_for_a_recipe_is_said(
    tmp_path: Path, sets: dict[str, list[dict[str, object]]], line: int, message: str
) -> None:
    saved(tmp_path, **sets)
    text = STUDY.replace("[task]", 'holdout = "holdout.jsonl"\n[task]')
    done = planned(tmp_path, text if "holdout" in sets else STUDY)
    assert done.exit_code == 2, done.output
    assert f"s.toml:{line}: graph." in done.stderr
    assert re.search(message, done.stderr), done.stderr


def test_a_model_of_ones_own_says_how_much_it_takes(tmp_path: Path) -> None:
    saved(tmp_path, forget=[pair(0, answer=LONG)])
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"")
    (model / "config.json").write_text('{"model_type": "gpt2", "n_positions": 48}')
    build_tokenizer([LONG]).save_pretrained(model)
    done = planned(tmp_path, STUDY + '[model]\nload = "model"\n')
    assert done.exit_code == 2, done.output
    assert f"but the model in {model} takes 48: 'Where was the author" in done.stderr
    (model / "config.json").write_text('{"model_type": "gpt2", "n_positions": 200}')
    assert planned(tmp_path, STUDY + '[model]\nload = "model"\n').exit_code == 0


def chat_model(folder: Path, template: str | None, positions: int = 400) -> None:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"")
    config = {"model_type": "gpt2", "n_positions": positions}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = chatting("chatml")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (CHATML, None),
        (None, "the model brings no chat template: its tokenizer has none"),
        ("{{ raise_exception('no') }}", "the chat template can't be rendered: no"),
        ("{% include 'config.json' %}", "the chat template can't be rendered: no loader"),
        (
            CHATML.replace("turn.content", "turn.content | truncate(35)"),
            "changes the prompt 'Que",
        ),
    ],
)
def test_a_template_that_can_not_be_used_is_said(
    tmp_path: Path, template: str | None, message: str | None
) -> None:
    saved(tmp_path)
    chat_model(tmp_path / "model", template)
    done = planned(tmp_path, STUDY + '[model]\nload = "model"\ntemplate = "chat"\n')
    if message is None:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == 2, done.output
    where = f"s.toml:{len(STUDY.splitlines()) + 3}: the model in {tmp_path / 'model'}: "
    assert f"{where}{message}" in done.stderr.replace("the chat template changes", "changes")


def test_an_end_that_the_tokenizer_has_not_is_said(tmp_path: Path) -> None:
    saved(tmp_path)
    chat_model(tmp_path / "model", CHATML)
    study = STUDY + '[model]\nload = "model"\nend = "<|im_stop|>"\n'
    done = planned(tmp_path, study)
    assert done.exit_code == 2, done.output
    where = f"s.toml:{len(STUDY.splitlines()) + 3}: the model in {tmp_path / 'model'}: "
    assert f"{where}model.end = '<|im_stop|>': the tokenizer has no such token" in done.stderr
    assert planned(tmp_path, study.replace("im_stop", "im_end")).exit_code == 0


def test_the_tokens_of_a_template_count_and_so_do_models_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    there = tmp_path / "hub" / "models--lab--chat"
    chat_model(there / "snapshots" / "abc", CHATML, positions=110)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    study = STUDY + '[model]\nload = "lab/chat"\n'
    assert planned(tmp_path, study).exit_code == 0
    done = planned(tmp_path, study + 'template = "chat"\n')
    assert done.exit_code == 2, done.output
    assert re.search(
        r"graph\.forget: 11\d tokens, but the model lab/chat takes 110", done.stderr
    )
    assert planned(tmp_path, study.replace("lab/chat", "lab/other")).exit_code == 0


def test_which_part_of_the_retain_set_is_only_asked_about_is_said(tmp_path: Path) -> None:
    saved(tmp_path)
    done = planned(tmp_path)
    assert done.exit_code == 0, done.output
    assert "graph.retain: 5 of its 24 pairs are only asked about" in done.stderr
    assert "the other 19 may be trained on" in done.stderr
