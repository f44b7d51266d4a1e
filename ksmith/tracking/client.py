"""One way to open MLflow: the lab's own store, made ready once, or a server that was named."""

import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow reads these at its import or at each call. A refused connection costs no time, a silent
# one 2 x 8 s; the first ones may be set otherwise by the user, telemetry may not.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

# Up to the last @, since a password may hold one, or a slash: rather too much than too little.
CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s\"'<>]*@", re.I)
SECRETS = "pass|pwd|token|secret|key|sig|credential|auth"
SECRET_QUERY = re.compile(rf"(?P<key>[?&;][^=\s&;]*(?:{SECRETS})[^=\s&;]*=)[^&;\s\"'<>]+", re.I)


def redact(text: str) -> str:
    """Return `text` with the user, password and token of every URL in it replaced by ***."""
    text = CREDENTIALS.sub(r"\g<scheme>***@", text)
    return SECRET_QUERY.sub(r"\g<key>***", text)


def tracking_uri(home: Path, uri: str | None = None) -> str:
    """Return `uri`, else MLFLOW_TRACKING_URI, else the SQLite store in `home`."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or own_uri(home)


def own_uri(home: Path) -> str:
    """Return the URI of the store that lies in `home`."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"


def set_environment() -> None:
    """Set what MLflow reads from the environment: no telemetry, little patience."""
    os.environ.update(QUIET)
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)


def prepare(home: Path) -> str:
    """Return the URI of the lab's own store, created and in WAL mode.

    MLflow's first start is racy and leaves the file in DELETE mode, which is several times
    slower; so one process at a time does it, and sets WAL before MLflow writes anything.

    Raises:
        OSError: the file system does not do WAL (a network share).
    """
    from filelock import FileLock

    set_environment()
    home.mkdir(parents=True, exist_ok=True)
    file = home / "mlflow.db"
    uri = own_uri(home)
    with FileLock(home / "mlflow.lock"):
        if _is_ready(file):
            return uri
        with sqlite3.connect(file) as connection:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.close()
        if mode != "wal":
            raise OSError(f"{file}: WAL is not possible here, only {mode!r}; use a local disk")
        from mlflow import MlflowClient

        MlflowClient(uri, uri).search_experiments(max_results=1)
    return uri


def _is_ready(file: Path) -> bool:
    if not file.exists():
        return False
    connection = sqlite3.connect(file)
    try:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        # MLflow writes this row last, after every table.
        done = connection.execute("SELECT count(*) FROM experiments").fetchone()[0]
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return mode == "wal" and done > 0


def open_client(home: Path, uri: str | None = None) -> "MlflowClient":
    """Return a client of `tracking_uri(home, uri)`; the lab's own store is made ready first."""
    set_environment()
    chosen = tracking_uri(home, uri)
    if chosen == own_uri(home):
        prepare(home)
    from mlflow import MlflowClient

    return MlflowClient(chosen, chosen)


def shown_uri(uri: str) -> str:
    """Return a URI fit for a terminal: without credentials and query."""
    # Not by urlunsplit: it drops the empty host of sqlite:////folder/file.
    return redact(uri.split("?", 1)[0])
