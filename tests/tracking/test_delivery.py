"""Delivery under trouble: half-sent runs, killed senders, dead and silent servers."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from sqlalchemy import event, text

from ksmith.store import Store
from ksmith.tracking import drain
from ksmith.tracking.client import own_uri
from ksmith.tracking.run import Artifact, Checkpoint, Graph, Point, Run
from ksmith.tracking.send import find_experiment, send
from tests.tracking.conftest import Runs
from tests.tracking.labs import MadeLab, datasets_of, frozen, models_of, point

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

ROOT = Path(__file__).parents[2]


class Gone(Exception):
    """The process ended here."""


class MortalClient(MlflowClient):
    """A client whose process dies when it would make its n-th call."""

    left = 10**6

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or not callable(value):
            return value
        if MortalClient.left == 0:
            raise Gone
        MortalClient.left -= 1
        return value


def a_run(folder: Path) -> Run:
    file = folder / "delta.safetensors"
    file.write_bytes(b"weights")
    return Run(
        study="s",
        about="?",
        name="rome x1",
        key="trial-1-0",
        attempt=1,
        status="FINISHED",
        started=1000,
        ended=2000,
        params={"seed": "0"},
        tags={"ksmith.trial": "trial-1-0", "ksmith.attempt": "1"},
        points=(
            Point(name="a.b", value=0.5, step=0),
            Point(name="a.b", value=0.7, step=1, headline=True),
            Point(name="c.d", value=float("nan"), step=1, headline=True),
            Point(name="e.f", value=float("-inf"), step=1),
        ),
        graph=Graph(name="g", digest="0" * 64, source=str(folder)),
        checkpoint=Checkpoint(name="rome x1", file=file, tags={"sha256": "0"}, params={}),
        artifacts=(Artifact(file=file, folder="figures", name="other"),),
    )


def everything(client: MlflowClient, run: "MlflowRun") -> dict[str, Any]:
    """Return all that MLflow knows about a run, less what is new in every store."""
    histories = {
        name: [(m.step, repr(m.value), m.timestamp) for m in history]
        for name in run.data.metrics
        for history in [client.get_metric_history(run.info.run_id, name)]
    }
    models = client.search_logged_models([run.info.experiment_id])
    return {
        "histories": histories,
        "params": run.data.params,
        "tags": run.data.tags,
        "status": run.info.status,
        "end": run.info.end_time,
        "datasets": [dataset.to_dictionary() for dataset in datasets_of(run)],
        "linked": models_of(run) == [model.model_id for model in models],
        "models": [
            (
                m.name,
                str(m.status),
                m.tags,
                sorted((x.key, repr(x.value)) for x in m.metrics or []),
            )
            for m in models
        ],
        "files": [file.path for file in client.list_artifacts(run.info.run_id, "figures")],
    }


def test_a_sender_that_dies_at_any_call_is_repaired(made: MadeLab, tmp_path: Path) -> None:
    root = made.home / "artifacts"
    mortal = MortalClient(own_uri(made.home))
    client = MlflowClient(own_uri(made.home))
    deaths, whole = 0, None
    while True:
        experiment = find_experiment(client, "s", "?", root)
        MortalClient.left = deaths
        try:
            send(mortal, a_run(tmp_path), root)
        except Gone:
            died = True
        else:
            died = False
        send(client, a_run(tmp_path), root)
        (run,) = client.search_runs([experiment])
        found = everything(client, run)
        if not died:
            whole = found
            break
        assert found["linked"]
        assert len(found["models"]) == 1
        whole = whole or found
        assert found == whole, f"differs after a death at call {deaths}"
        # The next death begins with nothing there.
        client.delete_run(run.info.run_id)
        for model in client.search_logged_models([experiment]):
            client.delete_logged_model(model.model_id)
        deaths += 1
    assert deaths > 8
    assert whole["histories"]["a.b"] == [(0, "0.5", 2000), (1, "0.7", 2000)]
    assert whole["histories"]["c.d"] == [(1, "nan", 2000)]
    assert whole["files"] == ["figures/other"]


def _killed_before_mark(home: Path) -> None:
    store = Store.open(home)

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE outbox"):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store.database.writer, "before_cursor_execute", before)
    drain(store)


def test_kill_9_between_sending_and_marking_sends_nothing_twice(
    made: MadeLab, request: pytest.FixtureRequest
) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial)
    made.store.close()  # as in tests/scheduler/small.py: a fork, since MLflow's import takes long
    killed = get_context("fork").Process(target=_killed_before_mark, args=(made.home,))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    runs: Runs = request.getfixturevalue("runs")  # not before: it connects to MLflow's store
    (there,) = runs("s")
    assert there.info.status == "FINISHED"
    assert (drain(made.store).sent, drain(made.store).left) == (1, 0)
    (again,) = runs("s")
    assert frozen(again) == frozen(there)
    assert made.store.trials("s")[0].run_id == there.info.run_id


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def errors(made: MadeLab) -> list[str | None]:
    with made.store.read() as connection:
        return [row.error for row in connection.execute(text("SELECT error FROM outbox"))]


def test_a_dead_server_stops_nothing_and_is_served_later(made: MadeLab, runs: Runs) -> None:
    for trial in made.study("s", point("rome"), point("memit"), point("npo")):
        made.attempt(trial)
    start = time.monotonic()
    drained = drain(made.store, f"http://me:hunter2@127.0.0.1:{closed_port()}")
    assert time.monotonic() - start < 20
    assert (drained.sent, drained.left) == (0, 3)
    first, *others = errors(made)
    assert drained.error == first
    assert first is not None
    assert first == "no answer from the server: Connection refused"
    assert others == [None, None], "a dead server was asked again and again"
    assert all(row.run_id is None for row in made.store.trials("s"))

    assert drain(made.store).sent == 3
    assert errors(made) == [None, None, None]
    assert len(runs("s")) == 3


def test_a_silent_server_is_not_waited_for(
    made: MadeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    for trial in made.study("s", point("rome"), point("npo")):
        made.attempt(trial)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        drained = drain(made.store, f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - start < 20
    assert (drained.sent, drained.left) == (0, 2)
    assert drained.error is not None


def test_one_bad_row_does_not_hold_up_the_others(made: MadeLab, runs: Runs) -> None:
    first, second = made.study("s", point("rome"), point("npo"))
    held = made.attempt(first)
    made.attempt(second)
    (made.home / held.folder / "metrics.json").unlink()
    (made.home / held.folder / "outcome.json").write_text("{")
    with made.store.write() as connection:
        connection.execute(
            text("UPDATE study_trial SET settings = :s WHERE node_id = :id"),
            {"id": first, "s": json.dumps({"bad\nname?*": 1})},
        )
    drained = drain(made.store)
    assert (drained.sent, drained.left) == (1, 1)
    assert drained.error is not None
    assert "bad" in drained.error
    assert [run.info.run_name for run in runs("s") if run.info.status == "FINISHED"] == [
        "npo leaf x1 seed 0"
    ]


def test_only_one_process_sends(made: MadeLab) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial)
    with FileLock(made.home / "sync.lock"):
        drained = drain(made.store)
    assert (drained.sent, drained.left) == (0, 1)
    assert drained.error == "another process is sending already"
    assert drain(made.store).sent == 1


def test_a_follower_waits_for_its_turn(made: MadeLab) -> None:
    (trial,) = made.study("s", point("rome"))
    made.attempt(trial)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with FileLock(made.home / "sync.lock"):
            follower = pool.submit(drain, made.store, follow=True, stop=stop)
            time.sleep(0.1)
            assert not follower.done()
            assert made.store.trials("s")[0].run_id is None
        deadline = time.monotonic() + 60
        while made.store.trials("s")[0].run_id is None and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        assert (follower.result().sent, follower.result().left) == (1, 0)


def test_the_following_process_sends_what_comes_and_ends_with_its_parent(
    made: MadeLab, runs: Runs
) -> None:
    first, second = made.study("s", point("rome"), point("npo"))
    made.attempt(first)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")}
    child = subprocess.Popen(
        [sys.executable, "-m", "ksmith.tracking", "--home", str(made.home), "--follow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    deadline = time.monotonic() + 60
    while made.store.trials("s")[0].run_id is None and time.monotonic() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)  # Ctrl-C is for the parent to answer
    made.attempt(second)
    out, err = child.communicate(timeout=60)  # closes its standard input
    assert child.returncode == 0, err
    assert json.loads(out) == {"sent": 2, "left": 0, "error": None}
    assert [run.info.status for run in runs("s")] == ["FINISHED", "FINISHED"]
    assert "INFO" not in err


def test_parallel_first_starts_made_one_store_in_wal_mode(empty_store: Path) -> None:
    with closing(sqlite3.connect(empty_store)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]


@pytest.mark.slow
def test_a_real_server_gets_the_same_runs_once(made: MadeLab, tmp_path: Path) -> None:
    port = closed_port()
    uri = f"http://127.0.0.1:{port}"
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    words += ["--artifacts-destination", str(tmp_path / "kept")]
    trials = made.study("s", point("rome"), point("npo"))
    for trial in trials:
        made.attempt(trial)
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words], env=environment, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        drained = drain(made.store, uri)
        assert (drained.sent, drained.left, drained.error) == (2, 0, None)
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("s")
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], "tags.`ksmith.kind` = 'trial'")
        assert len(found) == 2
        names = {file.path for file in client.list_artifacts(found[0].info.run_id)}
        assert {"answers.parquet", "figures", "metrics.json", "tensors.parquet"} <= names
        assert "graph" not in names, "a shared asset was uploaded with a trial"
        figures = client.list_artifacts(found[0].info.run_id, "figures")
        assert "figures/training.png" in {file.path for file in figures}
        assert models_of(found[0])
        assert str(found[0].data.metrics["utility.loss"]) == "nan"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
