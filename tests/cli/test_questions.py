"""`ksmith graph questions`: of a file, and of a study that is stored."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ksmith.cli import ksmith

STUDY = """
name = "asked"
question = "?"
graph.facts = 120
task.draws = 2
probe.kinds = ["efficacy", "direct"]
[grid]
"task.method" = ["rome", "npo"]
"task.scale" = [1, 2]
"""


def run(*words: str, home: Path) -> Result:
    return CliRunner().invoke(ksmith, [*words, "--home", str(home)])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "asked.toml"
    path.write_text(STUDY)
    return path


def test_a_file_and_the_stored_study_ask_the_same(study: Path, tmp_path: Path) -> None:
    home, one, two = tmp_path / "lab", tmp_path / "1.parquet", tmp_path / "2.parquet"
    words = ("graph", "questions", str(study), "--workers", "1", "--json")
    found = json.loads(run(*words, "--out", str(one), home=home).stdout)
    assert found["trials"] == 2  # two scales, whose methods are asked the same
    assert not home.exists()  # to look makes no lab
    assert run("study", "create", str(study), home=home).exit_code == 0
    again = run("graph", "questions", "asked", "--out", str(two), "--workers", "1", home=home)
    assert again.exit_code == 0, again.output
    rows = pl.read_parquet(one)
    assert rows.height == found["questions"] > 0
    assert set(rows["probe"]) == {"efficacy", "direct", "known"}
    assert rows.select("trial", "question").is_unique().all()
    assert rows.sort("trial", "question").equals(pl.read_parquet(two).sort("trial", "question"))


def test_limit_and_mistakes(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.parquet"
    words = ("graph", "questions", str(study), "--workers", "1", "--limit", "5")
    assert "5 questions" in run(*words, "--out", str(out), home=tmp_path / "lab").output
    assert pl.read_parquet(out).height == 5
    nowhere = run(*words, "--out", str(tmp_path / "no" / "q.parquet"), home=tmp_path / "lab")
    assert nowhere.exit_code == 2 and "there is no folder" in nowhere.output
