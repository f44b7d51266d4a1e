"""A user's file of answers: read line by line, each mistake with its line."""

import json
from pathlib import Path

import pytest

from ksmith import corpus
from ksmith.records import UserError

GOOD = {
    "subject": "Oss",
    "relation": "crop",
    "prompt": "Oss grows",
    "answer": " nothing known ",
}


def written(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def test_lines_are_read_and_empty_ones_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", GOOD, "", GOOD | {"more": 1, "answer": "é"})
    first, second = corpus.answers(path)
    assert first == (1, "Oss", "crop", "Oss grows", "nothing known")
    assert (second.line, second.answer) == (3, "é")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["", " "], "no answers in it"),
        ([GOOD, "{"], "line 2: not JSON"),
        (["[1]"], "line 1: a list, not an object"),
        ([GOOD, {"subject": "Oss"}], "line 2: no field 'relation'"),
        ([GOOD | {"answer": 3}], "line 1: 'answer' holds a number, not a text"),
        ([GOOD, "", GOOD | {"prompt": "  "}], "line 3: 'prompt' is empty"),
        ([GOOD | {"answer": None}], "line 1: 'answer' is empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, lines: list[object], said: str
) -> None:
    with pytest.raises(UserError) as raised:
        corpus.answers(written(tmp_path / "a.jsonl", *lines))
    assert str(raised.value).startswith(said)


def test_answers_to_any_question_are_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "idontknow.jsonl", "I'm not sure.", "", ' "No idea," she said. ')
    assert corpus.texts(path) == [(1, "I'm not sure."), (3, '"No idea," she said.')]
    for lines, said in (
        (["", " "], "no answers in it"),
        (["I don't know.", GOOD], "line 2: JSON, where an answer stands by itself, one a line"),
    ):
        with pytest.raises(UserError) as raised:
            corpus.texts(written(tmp_path / "a.jsonl", *lines))
        assert str(raised.value) == said
    path.write_bytes(b"Well\n\xff\n")
    with pytest.raises(UserError, match="line 2: not UTF-8"):
        corpus.texts(path)
