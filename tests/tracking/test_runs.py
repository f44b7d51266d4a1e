"""What a person finds in MLflow: one run for each attempt, whole and true."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import polars as pl

from ksmith.tracking import drain, reconcile, resend
from ksmith.tracking.build import points
from tests.tracking.conftest import Runs
from tests.tracking.labs import MadeLab, datasets_of, frozen, metrics_of, models_of, point

if TYPE_CHECKING:
    from mlflow import MlflowClient


def test_a_finished_trial_is_one_whole_run(
    made: MadeLab, client: "MlflowClient", runs: Runs
) -> None:
    (trial,) = made.study("plasticity", point("npo"), question="How many?")
    held = made.attempt(trial)
    drained = drain(made.store)
    assert (drained.sent, drained.left, drained.error) == (1, 0, None)

    (run,) = runs("plasticity")
    assert run.info.run_name == "npo leaf x1 seed 0"
    assert run.info.status == "FINISHED"
    assert (run.info.end_time or 0) - run.info.start_time == 2500
    assert run.data.params["method.npo.beta"] == "0.1"
    assert run.data.params["method.npo.layer"] == "null"
    assert run.data.params["probe.kinds"] == '["efficacy", "neighborhood"]'
    tags = run.data.tags
    assert tags["ksmith.trial"] == held.key
    assert tags["ksmith.attempt"] == "1"
    assert tags["ksmith.fence"] == str(held.fence)
    assert tags["mlflow.source.git.commit"] == tags["ksmith.commit"] == "0" * 40
    assert tags["ksmith.dirty"] == "false"
    assert tags["ksmith.version.torch"] == "2.13.0"
    assert tags["ksmith.device"] == "cpu"
    assert tags["ksmith.dtype"] == "float32"
    assert tags["ksmith.flag.deterministic"] == "false"
    assert tags["ksmith.digest.questions"] == "5" * 64
    assert tags["ksmith.lock"] == "provenance/lock-0.txt"
    assert "| efficacy.success | 0." in tags["mlflow.note.content"]
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.note.content"].startswith("How many?")
    assert made.store.trials("plasticity")[0].run_id == run.info.run_id


def test_metrics_have_steps_intervals_and_nan(
    made: MadeLab, client: "MlflowClient", runs: Runs
) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial)
    drain(made.store)
    (run,) = runs("s")
    measured = {(m.name, m.step): m for m in metrics_of("rome", 1)}
    for name in ("efficacy.success", "efficacy.success.known"):
        history = client.get_metric_history(run.info.run_id, name)
        assert {m.step: m.value for m in history} == {
            step: measured[name, step].value for step in (0, 1)
        }
    assert run.data.metrics["multi_hop.accuracy.hop2"] == 0.5
    assert run.data.metrics["efficacy.success.low"] == measured["efficacy.success", 1].low
    assert "efficacy.success.known.low" not in run.data.metrics
    assert math.isnan(run.data.metrics["utility.loss"])


def test_the_checkpoint_is_a_linked_external_model(
    made: MadeLab, client: "MlflowClient", runs: Runs
) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial)
    drain(made.store)
    (run,) = runs("s")
    (model_id,) = models_of(run)
    model = client.get_logged_model(model_id)
    assert model.tags["mlflow.model.isExternal"] == "true"
    assert str(model.status) == "READY"
    update = made.store.needs(trial)["update"]
    assert update.folder is not None
    file = made.home / update.folder / "delta.safetensors"
    outcome = json.loads((file.parent / "outcome.json").read_text())
    assert model.tags["path"] == str(file)
    assert model.tags["sha256"] == outcome["files"]["delta.safetensors"]
    assert model.params["task.method"] == "rome"
    (dataset,) = datasets_of(run)
    values = {m.key: m for m in model.metrics or []}
    assert values["efficacy.success"].dataset_digest == dataset.digest
    assert values["efficacy.success"].value == run.data.metrics["efficacy.success"]


def test_files_are_linked_not_copied(made: MadeLab, runs: Runs) -> None:
    (trial,) = made.study("s", point("rome"))
    held = made.attempt(trial)
    drain(made.store)
    (run,) = runs("s")
    folder = Path(urlsplit(str(run.info.artifact_uri)).path)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert there == {
        "answers.parquet",
        "metrics.json",
        "tensors.parquet",
        "outcome.json",
        "log.txt",
        "provenance/lock-0.txt",
        "figures/loss.png",
        "figures/trace.png",
        "figures/training.png",
        "figures/graph.png",
        "graph/graph.json",
        "graph/graph.graphml",
    }
    own = made.home / held.folder / "answers.parquet"
    assert (folder / "answers.parquet").samefile(own)
    assert pl.read_parquet(folder / "answers.parquet").equals(pl.read_parquet(own))


def test_what_is_left_of_sets_is_an_artifact_also_when_it_is_sent_again(
    made: MadeLab, runs: Runs
) -> None:
    (trial,) = made.study("s", point("npo", probe__memory=True))
    own = made.home / made.attempt(trial).folder / "memory.parquet"
    drain(made.store)
    for again in (False, True):
        if again:
            resend(made.store, "s")
            drain(made.store)
        for run in runs("s"):
            folder = Path(urlsplit(str(run.info.artifact_uri)).path)
            assert (folder / "memory.parquet").samefile(own)
    assert pl.read_parquet(own)["set"].to_list() == ["forget", "holdout"]


def test_runs_on_one_graph_share_the_dataset_and_on_another_do_not(
    made: MadeLab, runs: Runs
) -> None:
    settings = [point("rome"), point("memit"), point("npo", graph__seed=1)]
    for trial in made.study("s", *settings):
        made.attempt(trial)
    drain(made.store)
    found = [(d.name, d.digest) for run in runs("s") for d in datasets_of(run)]
    assert found == [found[0], ("synthetic seed 1", found[1][1]), found[0]]
    assert found[0][1] != found[1][1]


def test_the_model_has_a_run_of_its_own_with_its_training_curve(
    made: MadeLab, client: "MlflowClient"
) -> None:
    for trial in made.study("s", point("rome"), point("npo")):
        made.attempt(trial)
    drain(made.store)
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`ksmith.kind` = 'model'")
    assert [run.info.run_name for run in found] == ["model tiny seed 0"]
    assert found[0].data.metrics["recall.accuracy.unseen"] == 0.9
    assert found[0].data.params["training.lr"] == "0.01"
    history = client.get_metric_history(found[0].info.run_id, "training.loss")
    assert 300 < len(history) <= 501
    assert (history[0].step, history[-1].step) == (3, 1200)


def test_every_attempt_has_its_run_and_its_status(made: MadeLab, runs: Runs) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial, "lost", "the worker was killed")
    made.attempt(trial, "error", "ValueError at https://me:hunter2@example.org/x")
    made.store.retry([trial])
    made.attempt(trial)
    drain(made.store)
    first, second, third = sorted(runs("s"), key=lambda run: run.data.tags["ksmith.attempt"])
    assert [run.info.status for run in (first, second, third)] == [
        "KILLED",
        "FAILED",
        "FINISHED",
    ]
    assert first.data.tags["ksmith.reason"] == "lost"
    assert second.data.tags["ksmith.error"] == "ValueError at https://***@example.org/x"
    assert third.info.run_name == "rome leaf x1 seed 0 (attempt 3)"
    assert not models_of(second)
    assert made.store.trials("s")[0].run_id == third.info.run_id
    kept = [row.run_id for row in made.store.attempts(trial)]
    assert kept == [run.info.run_id for run in (first, second, third)]


def test_the_run_of_a_trial_that_failed_has_what_was_measured_and_the_losses(
    made: MadeLab, runs: Runs, client: "MlflowClient"
) -> None:
    """Also after a retry: what counts by then is another attempt's."""
    one = point("npo")
    (trial,) = made.study("s", one, broken={"update"})
    made.attempt(trial, "error", "NotMade: it diverged", unfinished=True)
    drain(made.store)
    (run,) = runs("s")
    assert (run.info.status, run.data.tags["ksmith.reason"]) == ("FAILED", "error")
    wanted = {one.name: one.value for one in points(metrics_of("npo", 1)) if one.step}
    shown = {name: run.data.metrics[name] for name in wanted}
    assert repr(shown) == repr(wanted)
    losses = client.get_metric_history(run.info.run_id, "update.loss.forget")
    assert [(row.step, row.value) for row in losses] == [(1, 3.0), (2, 2.0), (3, 9.0)]
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(
        "**Failed.** What had been measured by then: the answers before, and "
    )
    assert "7 of 20 draws after the update" in note
    folder = Path(urlsplit(str(run.info.artifact_uri)).path)
    there = {path.name for path in folder.iterdir()}
    assert {"diverged.json", "metrics.json", "answers.parquet"} <= there
    assert not models_of(run)


def test_a_trial_that_a_second_study_shares_gets_a_run_there(made: MadeLab, runs: Runs) -> None:
    (trial,) = made.study("first", point("rome"))
    made.attempt(trial)
    assert drain(made.store).sent == 1
    assert reconcile(made.store) == 0
    made.study("second", point("rome"))
    assert drain(made.store).sent == 1
    (there,), (again,) = runs("first"), runs("second")
    assert there.info.run_id != again.info.run_id
    assert repr(again.data.metrics) == repr(there.data.metrics)
    assert made.store.trials("second")[0].run_id == again.info.run_id
    assert made.store.trials("first")[0].run_id == there.info.run_id


def test_resend_sends_all_again_and_changes_nothing(made: MadeLab, runs: Runs) -> None:
    for trial in made.study("s", point("rome"), point("npo")):
        made.attempt(trial)
    drain(made.store)
    before = [frozen(run) for run in runs("s")]
    assert resend(made.store, "s") == 2
    assert drain(made.store).sent == 2
    assert [frozen(run) for run in runs("s")] == before
