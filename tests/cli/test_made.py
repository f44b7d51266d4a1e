"""What `ksmith trial show` says that a trial was made from, and `ksmith run` of what changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ksmith.cli import ksmith
from ksmith.cli.changed import changed
from ksmith.cli.made import settings_of
from ksmith.records import Outcome
from ksmith.settings import METHODS, declared
from ksmith.store import NodeRow
from ksmith.study import nodes, read
from tests.tracking.labs import MadeLab

STUDY = """\
name = "s"
[graph]
facts = 120
[task]
method = "npo"
kind = "unlearn"
share = 0.1
draws = 1
[model]
load = "base"
"""


@pytest.fixture
def lab(tmp_path: Path) -> MadeLab:
    """Return a lab with one trial of a folder's model that is done."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_text("weights")
    file = tmp_path / "s.toml"
    file.write_text(STUDY)
    study = read(file)
    lab = MadeLab(tmp_path / "lab")
    lab.store.add(study)
    for node in nodes(study.points[0]).values():
        lab.attempt(lab.store.find(node.key).id)
    return lab


def trial_of(lab: MadeLab) -> NodeRow:
    (row,) = lab.store.trials("s")
    return lab.store.find(row.key)


def ran(lab: MadeLab, *words: str) -> str:
    done = CliRunner().invoke(ksmith, ["--home", str(lab.home), *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_methods_settings_are_shown_with_those_at_their_defaults(lab: MadeLab) -> None:
    found = json.loads(ran(lab, "trial", "show", trial_of(lab).key, "--json"))
    shown = found["settings"]
    for name, item in declared(METHODS["npo"]).items():
        assert shown[f"method.npo.{name}"] == item.default
    assert shown["task.share"] == 0.1 and "task.scale" not in shown
    assert found["files"] == {"model.load": str(lab.home.parent / "base")}
    lines = ran(lab, "trial", "show", trial_of(lab).key).splitlines()
    assert f"  model.load: {lab.home.parent / 'base'}" in lines
    assert "  method.npo.stop_forget = 0.0" in lines


def test_what_is_open_until_the_model_is_known_is_not_told(lab: MadeLab) -> None:
    trial = trial_of(lab)
    table = {"name": "ft", "version": 1, "preset": "paper"}
    shown = settings_of(replace(trial, recipe={**trial.recipe, "method": table}), {})
    assert "method.ft.lr" not in shown and shown["method.ft.preset"] == "paper"
    gone = {**trial.recipe, "method": {"name": "forgotten", "lr": 1}}
    assert settings_of(replace(trial, recipe=gone), {})["method.forgotten.lr"] == 1


def test_a_share_is_told_as_a_count(lab: MadeLab) -> None:
    trial = trial_of(lab)
    folder = lab.home / str(lab.store.needs(trial.id)["update"].folder)
    outcome = Outcome.read(folder)
    assert outcome is not None
    made = replace(outcome, info={**outcome.info, "draws": 1, "requests": 7})
    made.write(folder)
    found = json.loads(ran(lab, "trial", "show", trial.key, "--json"))["provenance"]
    assert (found["draws"], found["facts of all draws"]) == (1, 7)


def test_a_trial_that_is_no_sequence_has_one_model(lab: MadeLab, tmp_path: Path) -> None:
    key = trial_of(lab).key
    words = ["--home", str(lab.home), "checkout", key, str(tmp_path / "out"), "--step", "3"]
    done = CliRunner().invoke(ksmith, words)
    assert done.exit_code == 2, done.output
    assert f"--step 3: {key} is no sequence: " in done.stderr
    assert "it has one model; leave --step out" in done.stderr


def test_a_model_that_changed_is_told_of_a_study_that_is_done(lab: MadeLab) -> None:
    assert list(changed(lab.store, "s")) == []
    weights = lab.home.parent / "base" / "model.safetensors"
    weights.write_text("others")
    (line,) = changed(lab.store, "s")
    assert line.startswith(f"{weights.parent} holds another model than the one that s was made")
    words = ["--home", str(lab.home), "run", "s", "--here"]  # which has nothing to do
    assert line in CliRunner().invoke(ksmith, words).stderr
    weights.unlink()
    assert list(changed(lab.store, "s")) == []  # results need it no longer
