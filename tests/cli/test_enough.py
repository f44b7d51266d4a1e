"""Too few facts for what a study asks: said at once, with what there is; nothing is stored."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from tests.conftest import ROOT

COUNTERFACT = '[graph]\nsource = "counterfact"\npath = "data.json"\n'
STUDY = str(ROOT / "studies" / "plasticity.toml")


def test_too_few_facts_are_counted_before_anything_is_stored(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    for verb in (["run"], ["study", "create"], ["study", "plan"]):
        words = [*verb, STUDY, "--set", "graph.facts=120", "--home", str(home)]
        done = CliRunner().invoke(ksmith, words)
        assert done.exit_code == 2, done.output
        assert "too few facts: 20 draws of 1 need 20" in done.output
        assert not (home / "ksmith.db").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[grid]\n"task.scale" = [1, 5000]\n', "s.toml:5: too few facts: 20 draws of 5000"),
        ("[task]\nscale = 5000\n", "s.toml:5: too few facts: 20 draws of 5000"),
        ("", "--set task.scale=5000: too few facts: 20 draws of 5000"),
        (COUNTERFACT, "s.toml:6: "),
        (COUNTERFACT, "data.json: a list of CounterFact records is needed, not an object"),
    ],
)
def test_the_place_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    file = tmp_path / "s.toml"
    file.write_text('name = "s"\nmethod.rome = {}\n\n' + text)
    words = ["study", "create", str(file), "--set", "task.method=rome"]
    given = [] if text else ["--set", "task.scale=5000"]
    done = CliRunner().invoke(ksmith, ["--home", str(tmp_path / "lab"), *words, *given])
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_enough_is_enough(tmp_path: Path) -> None:
    words = ["study", "create", STUDY, "--home", str(tmp_path / "lab")]
    assert CliRunner().invoke(ksmith, words).exit_code == 0
