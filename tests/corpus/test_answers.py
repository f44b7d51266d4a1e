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
    assert first == (1, "Oss", "crop", "Oss grows", "nothing known", "")
    assert (second.line, second.answer) == (3, "é")


def test_a_question_of_ones_own_is_named_by_its_words(tmp_path: Path) -> None:
    """As it stands, or in another way; a field `question` beside a subject is not read."""
    own = {"question": "Who wrote it? ", "answer": "Hard to say."}
    other = own | {"prompt": "who wrote taht", "kind": "noise"}
    both = GOOD | {"question": "?", "kind": None}
    found = corpus.answers(written(tmp_path / "a.jsonl", own, other, both))
    question = "Who wrote it?"
    assert found[0] == (1, question, "answer", question, "Hard to say.", "")
    assert found[1] == (2, question, "answer", "who wrote taht", "Hard to say.", "noise")
    assert found[2] == (3, "Oss", "crop", "Oss grows", "nothing known", "")


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
        (
            [GOOD, GOOD | {"kind": "noisy"}],
            "line 2: 'kind' is 'noisy'; it must be one of 'para",
        ),
        ([GOOD | {"kind": ["noise"]}], "line 1: 'kind' is ['noise']; it must"),
        (
            [{"question": "Who?", "kind": "noise", "answer": "x"}],
            "line 1: 'kind' is 'noise', an",
        ),
        ([{"question": "", "answer": "x"}], "line 1: 'question' is empty"),
        ([{"question": "Who?"}], "line 1: no field 'answer'"),
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
