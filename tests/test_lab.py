"""The whole loop, on the lab that all tests share: what a run leaves, what a second one does."""

import json
import runpy
import sqlite3
import sys
from pathlib import Path

import polars as pl
import pytest

import ksmith
from ksmith.records import UserError
from tests.conftest import CUT, ROOT, invoke_ksmith

pytestmark = pytest.mark.first

METRICS = {
    *("study", "trial", "method", "task", "level", "scale", "seed", "step"),
    *("probe", "measure", "slice", "hop", "value", "n", "low", "high"),
}
TRIALS = {
    *("study", "trial", "state", "method", "attempts", "seconds", "run_id"),
    *("graph.facts", "model.recipe"),
}
SETS = [word for value in CUT for word in ("--set", value)]
STUDY = str(ROOT / "studies" / "plasticity.toml")


def test_run_ends_by_naming_the_report_and_the_ui(lab: Path) -> None:
    said = (lab / "finished").read_text(encoding="utf-8")
    assert "plasticity.html" in said
    assert "ksmith ui" in said
    assert (lab / "report" / "plasticity.html").stat().st_size > 10_000


def test_frames(lab: Path) -> None:
    trials = ksmith.trials(home=str(lab))
    assert set(trials.columns) >= TRIALS
    assert trials.height == 4
    assert trials["state"].to_list() == ["done"] * 4
    metrics = ksmith.metrics(study="plasticity", home=str(lab))
    assert set(metrics.columns) >= METRICS
    assert set(metrics["step"]) == {0, 1}
    assert (metrics["n"] > 0).all()
    answers = ksmith.answers(study="plasticity", home=str(lab)).collect()
    assert set(answers["trial"]) == set(trials["trial"])


def test_an_edit_took_and_a_neighbour_stayed(lab: Path) -> None:
    """Not a benchmark: three edits on the smallest model, which knew the old answers before."""
    row = (
        ksmith.metrics(study="plasticity", home=str(lab))
        .filter(pl.col("method") == "rome", pl.col("scale") == 1, pl.col("slice") == "")
        .filter(pl.col("hop").is_null())
    )

    def value(step: int, probe: str, measure: str) -> float:
        found = row.filter(
            pl.col("step") == step, pl.col("probe") == probe, pl.col("measure") == measure
        )
        return found["value"].item()

    assert value(1, "efficacy", "success") > value(0, "efficacy", "success")
    assert value(1, "neighborhood", "success") > 0.5


def test_a_second_run_does_nothing_and_says_so(lab: Path) -> None:
    before = (
        sqlite3.connect(lab / "ksmith.db").execute("SELECT count(*) FROM attempt").fetchone()
    )
    done = invoke_ksmith(lab, "run", STUDY, *SETS)
    after = (
        sqlite3.connect(lab / "ksmith.db").execute("SELECT count(*) FROM attempt").fetchone()
    )
    assert done.exit_code == 0, done.stderr
    assert after == before
    assert "nothing to do, all 4 trials are done" in done.stdout


def test_each_node_was_done_once(lab: Path) -> None:
    rows = sqlite3.connect(lab / "ksmith.db").execute(
        "SELECT n.kind, count(*), count(DISTINCT n.id) "
        "FROM node n JOIN attempt a ON a.node_id = n.id WHERE a.state = 'ok' GROUP BY n.kind"
    )
    counts = {kind: (attempts, nodes) for kind, attempts, nodes in rows}
    assert all(attempts == nodes for attempts, nodes in counts.values())
    assert counts["graph"] == counts["model"] == counts["moments"] == (1, 1)
    assert counts["update"] == counts["trial"] == (4, 4)
    assert counts["before"] == (2, 2)  # one a scale, whatever the method


def test_the_same_name_with_another_grid_is_refused(lab: Path) -> None:
    done = invoke_ksmith(lab, "study", "create", STUDY, *SETS, "--set", "task.draws=2")
    assert done.exit_code == 2
    assert "draws" in done.stderr


def test_other_probes_of_the_same_updates_edit_nothing_again(lab: Path, tmp_path: Path) -> None:
    text = (ROOT / "studies" / "plasticity.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(text.replace('"plasticity"', '"other"', 1), encoding="utf-8")
    plan = invoke_ksmith(
        lab, "study", "plan", str(other), *SETS, "--set", "probe.neighbors=3", "--json"
    )
    assert plan.exit_code == 0, plan.stderr
    found = json.loads(plan.stdout)
    assert "update" not in json.dumps(found.get("assets", {}))
    same = invoke_ksmith(lab, "study", "plan", str(other), *SETS, "--json")
    assert json.loads(same.stdout)["shared"] == 4


def test_checkout_says_what_the_trial_said(lab: Path, tmp_path: Path) -> None:
    """The folder has the logits of the model with its delta, bit for bit."""
    import torch

    from ksmith.lm import delta
    from ksmith.lm.load import load

    torch.set_num_threads(1)
    trial = (
        ksmith.trials(home=str(lab)).filter(method="rome").sort("task.scale")["trial"].item(0)
    )
    done = invoke_ksmith(lab, "checkout", trial, str(tmp_path / "out"), "--draw", "1")
    assert done.exit_code == 0, done.output
    out, tokenizer = load(tmp_path / "out")
    (model_folder,) = lab.glob("assets/model-*/*/model")
    base, _ = load(model_folder)
    ids = torch.tensor([tokenizer.encode("The emblem of the place is")])
    updates = [
        delta.load(path)[0] for path in sorted(lab.glob("assets/update-*/*/delta.safetensors"))
    ]
    plain = base(ids).logits
    said = out(ids).logits
    matches = 0
    for draws in updates:
        for draw in draws:
            with delta.applied(base, draw):
                matches += torch.equal(base(ids).logits, said)
    assert matches == 1
    assert torch.equal(base(ids).logits, plain)


@pytest.mark.parametrize("name", ["plasticity", "counterfact", "zsre", "gold"])
def test_scripts_of_studies(
    lab: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each script runs on a lab; the one whose study is not there says so."""
    script = str(ROOT / "studies" / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, str(lab)])
    if name != "plasticity":
        with pytest.raises(UserError, match=name):
            runpy.run_path(script, run_name="__main__")
        return
    runpy.run_path(script, run_name="__main__")
    shown = capsys.readouterr().out
    assert "rome" in shown
    assert "npo" in shown


def test_a_delta_of_other_weights_is_refused(lab: Path, tmp_path: Path) -> None:
    """What is in delta.safetensors belongs to one model, and says to which."""
    from ksmith.lm import delta

    path = next(lab.glob("assets/update-*/*/delta.safetensors"))
    _, metadata = delta.load(path)
    assert delta.load_for(path, metadata["base"])
    with pytest.raises(UserError, match="computed on others"):
        delta.load_for(path, "0" * 64)
