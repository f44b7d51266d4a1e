"""How a study says in what form its model is asked, and what is wrong with that."""

from pathlib import Path

import pytest

from tests.graph.test_qa import STUDY as QA
from tests.graph.test_qa import saved
from tests.study.files import HEAD, keys, mistakes, only, written

LOADED = HEAD + '[model]\nload = "gpt2"\n[task]\nmethod = "rome"\n'


def test_a_template_is_of_the_model_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, LOADED)
    plain = only(path)
    assert plain.settings["model"].keys() == {"version", "load", "revision", "dtype"}
    assert keys(only(path, "model.template=none")) == keys(plain)
    asked = only(path, "model.template=chat", "model.system=Be short.", "model.date=2025-04-10")
    said = {"template": "chat", "system": "Be short.", "date": "2025-04-10"}
    assert asked.settings["model"] == plain.settings["model"] | said
    own = only(path, r'model.template="Question: {prompt}\nAnswer:"')
    assert own.settings["model"]["template"] == "Question: {prompt}\nAnswer:"
    every = [keys(point) for point in (plain, asked, own)]
    for role in ("model", "before", "update", "trial"):
        assert len({by[role] for by in every}) == 3


def test_what_ends_an_answer_is_of_the_model_and_of_questions_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    text = QA + '[model]\nload = "gpt2"\n'
    plain = only(path := written(tmp_path, text))
    assert "end" not in plain.settings["model"]
    assert keys(only(path, "model.end=auto")) == keys(plain)
    ends = [only(path, f"model.end={end}") for end in ("none", "<|endoftext|>")]
    assert [one.settings["model"]["end"] for one in ends] == ["none", "<|endoftext|>"]
    every = [keys(point) for point in (plain, *ends)]
    assert len({by["graph"] for by in every}) == 1
    for role in ("model", "before", "update", "trial"):
        assert len({by[role] for by in every}) == 3
    (line,) = mistakes(path, "model.end=")
    assert 'end = "": must be "auto", "none" or a token' in line
    (line,) = mistakes(written(tmp_path, LOADED), "model.end=none")
    assert line.startswith(
        '--set model.end=none: model.end = "none": ends the answers of a file of'
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["template=chatml"],
            'template = "chatml": must be "none", "chat" or a text with {prompt}',
        ),
        (["template="], 'template = "": must be "none", "chat" or a text with {prompt}'),
        (["template={prompt} {prompt}"], "with {prompt} in it, once"),
        (["template={prompt} {answer}."], "{answer} must stand at the end, or be left out"),
        (['template="Q: {prompt} A: "'], "ends in a space, and the answer brings its own"),
        (["system=Be short."], 'system = "Be short.": is of a chat: say template = "chat"'),
        (["template=Q {prompt}", "date=2025-01-01"], "is of a chat"),
        (
            ["template=chat", "date=1 May"],
            'date = "1 May": must be a day, such as "2024-07-26"',
        ),
    ],
)
def test_what_can_not_be_said(tmp_path: Path, given: list[str], message: str) -> None:
    sets = [f"model.{text}" for text in given]
    (line,) = mistakes(written(tmp_path, LOADED), *sets)
    assert line.startswith("--set model.") and message in line


def test_a_trained_model_has_none(tmp_path: Path) -> None:
    text = LOADED.replace('load = "gpt2"', 'recipe = "tiny"\ntemplate = "chat"')
    (line,) = mistakes(written(tmp_path, text))
    assert line == (
        "x.toml:4: model.template belongs to a loaded model, and this study has a model that is "
        "trained"
    )
