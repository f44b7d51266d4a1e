"""Too few facts for what a study asks: said at once, with what there is; nothing is stored."""

from pathlib import Path

from click.testing import CliRunner

from ksmith.cli import ksmith
from tests.conftest import ROOT

STUDY = str(ROOT / "studies" / "plasticity.toml")


def test_too_few_facts_are_counted_before_anything_is_stored(tmp_path: Path) -> None:
    home = tmp_path / "lab"
    for verb in (["run"], ["study", "create"], ["study", "plan"]):
        words = [*verb, STUDY, "--set", "graph.facts=120", "--home", str(home)]
        done = CliRunner().invoke(ksmith, words)
        assert done.exit_code == 2, done.output
        assert "too few facts: 20 draws of 1 need 20" in done.output
        assert not (home / "ksmith.db").exists()


def test_enough_is_enough(tmp_path: Path) -> None:
    words = ["study", "create", STUDY, "--home", str(tmp_path / "lab")]
    assert CliRunner().invoke(ksmith, words).exit_code == 0
