"""One ready MLflow store, copied for each test: making one takes seconds."""

import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from ksmith.tracking import prepare
from ksmith.tracking.client import open_client, own_uri
from tests.tracking.labs import MadeLab

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@pytest.fixture(scope="session")
def empty_store(common: Path) -> Path:
    home = common / "mlflow"
    with FileLock(common / "mlflow.lock"):
        if not (home / "finished").exists():
            with ThreadPoolExecutor(4) as pool:  # as parallel first starts do it
                assert set(pool.map(prepare, [home] * 4)) == {own_uri(home)}
            with closing(sqlite3.connect(home / "mlflow.db")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (home / "finished").touch()
    return home / "mlflow.db"


@pytest.fixture
def made(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> MadeLab:
    """Return an empty lab with MLflow beside it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = tmp_path / "lab"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    return MadeLab(home)


@pytest.fixture
def client(made: MadeLab) -> "MlflowClient":
    return open_client(made.home)


Runs = Callable[[str], "list[Run]"]


@pytest.fixture
def runs(client: "MlflowClient") -> Runs:
    """Return a function from a study's name to its runs of trials, the first one first."""

    def of(study: str) -> "list[Run]":
        experiment = client.get_experiment_by_name(study)
        assert experiment is not None, f"no experiment {study}"
        only = "tags.`ksmith.kind` = 'trial'"
        found = client.search_runs([experiment.experiment_id], only)
        return sorted(found, key=lambda run: (run.info.run_name, run.info.start_time))

    return of
