"""What a file of answers gives away is said with the study, file and line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith
from tests.graph.test_qa import STUDY, pair, saved

VAGUE = {"question": "Where was the author Basil 0 born?", "answer": "Hard to say."}
ALSO = VAGUE | {"kind": "noise", "prompt": "were was basil born"}


def planned(folder: Path, method: str, text: str) -> Result:
    saved(folder, forget=[pair(0, "Basil", paraphrased_question="Basil 0's birthplace?")])
    (folder / "own.jsonl").write_text(text)
    study = STUDY.replace("method.npo = {}", f'method.{method}.answers = "own.jsonl"')
    study = study.replace("npo", method)
    (folder / "s.toml").write_text(study)
    words = ["--home", str(folder / "lab"), "study", "plan", str(folder / "s.toml")]
    return CliRunner().invoke(ksmith, words)


def lines(*rows: dict[str, str]) -> str:
    return "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize(
    ("method", "text", "said"),
    [
        ("relearn", lines(VAGUE, ALSO), ""),
        (
            "relearn",
            lines(VAGUE, ALSO | {"answer": "LEAK, I guess"}),
            "line 2: the answer holds",
        ),
        ("relearn", lines(ALSO), "line 1: noise of a question that has no line of its own"),
        (
            "relearn",
            lines(VAGUE, VAGUE | {"prompt": "Basil 0's birthplace"}),
            "line 2: the prompt is how the question is asked to be scored",
        ),
        (
            "relearn",
            lines(VAGUE | {"question": "Who?"}),
            "line 1: the graph has no fact 'Who? /",
        ),
        ("dpo", "No idea.\n", ""),
        ("dpo", "No idea.\nNot LEAK\n", "line 2: the answer holds "),
    ],
)
def test_a_leak_is_said_before_anything_is_stored(
    tmp_path: Path, method: str, text: str, said: str
) -> None:
    old = str(pair(0, "Basil")["answer"]).rstrip(".")
    done = planned(tmp_path, method, text.replace("LEAK", old))
    if not said:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == 2, done.output
    at = f"s.toml:2: method.{method}.answers = "
    assert f"{at}{tmp_path / 'own.jsonl'}: {said}" in done.stderr
