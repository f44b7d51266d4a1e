"""`verify` runs a trial again: the same spec gives the same bits, and a difference is seen."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import ksmith as package
from ksmith.cli import ksmith
from ksmith.worker.again import compare


def answers(path: Path, logp: list[float] | None = None, said: str = "red", n: int = 2) -> Path:
    rows = [
        {"step": 1, "question": str(i), "logp": logp or [-1.0, -2.0], "generated": said}
        for i in range(n)
    ]
    pl.DataFrame(rows, schema_overrides={"logp": pl.List(pl.Float32)}).write_parquet(path)
    return path


def test_same_answers_are_the_same(tmp_path: Path) -> None:
    found = compare(answers(tmp_path / "a"), answers(tmp_path / "b"))
    assert (found.answers, found.missing, found.logp, found.texts) == (2, 0, 0.0, 0)
    assert found.within(0)


def test_largest_difference_of_any_candidate(tmp_path: Path) -> None:
    found = compare(answers(tmp_path / "a"), answers(tmp_path / "b", [-1.25, -1.5]))
    assert found.logp == 0.5
    assert found.within(0.5)
    assert not found.within(0.4)


def test_texts_and_missing_answers_are_counted(tmp_path: Path) -> None:
    found = compare(answers(tmp_path / "a"), answers(tmp_path / "b", said="blue", n=3))
    assert (found.answers, found.missing, found.texts) == (2, 1, 2)
    assert not found.within(1.0)


def test_no_number_is_as_far_as_can_be(tmp_path: Path) -> None:
    found = compare(answers(tmp_path / "a"), answers(tmp_path / "b", [float("nan"), -2.0]))
    assert not found.within(1e9)


def test_other_candidates_are_missing_answers(tmp_path: Path) -> None:
    found = compare(answers(tmp_path / "a"), answers(tmp_path / "b", [-1.0]))
    assert found.missing == 2


def verify(home: Path, trial: str) -> tuple[Result, dict[str, object]]:
    words = ["verify", trial, "--tolerance", "0", "--json", "--home", str(home)]
    done = CliRunner().invoke(ksmith, words)
    return done, json.loads(done.stdout)


def test_a_trial_gives_the_same_bits_again(lab: Path) -> None:
    trials = package.trials(home=lab).filter(method="rome")
    done, found = verify(lab, trials.sort("task.scale")["trial"][0])
    assert (done.exit_code, found["logp"], found["texts"]) == (0, 0.0, 0)
    assert found["ok"]


def test_changed_answers_are_found_out(lab: Path, tmp_path: Path) -> None:
    home = tmp_path / "lab"
    shutil.copytree(lab, home, ignore=shutil.ignore_patterns("artifacts", "*.lock"))
    trial = package.trials(home=home).filter(method="rome").sort("task.scale")["trial"][0]
    (path,) = home.glob(f"outcomes/{trial}/*/answers.parquet")
    rows = pl.read_parquet(path)
    shifted = pl.col("logp").list.eval(pl.element() + 0.25)
    rows.with_columns(
        pl.when(pl.col("probe") == "utility").then("logp").otherwise(shifted).alias("logp")
    ).write_parquet(path)
    done, found = verify(home, trial)
    assert done.exit_code == 1
    assert found["logp"] == pytest.approx(0.25, abs=1e-5)
    assert not found["ok"]
