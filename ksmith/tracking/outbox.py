"""Empty the outbox into MLflow: one process at a time, in order, and never in a trial's way."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ksmith.records import Metric
from ksmith.tracking import build, rows
from ksmith.tracking.client import (
    open_client,
    own_uri,
    redact,
    tracking_uri,
)
from ksmith.tracking.run import Run
from ksmith.tracking.send import send

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ksmith.store import Store

POLL = 0.5  # seconds between looks at an empty outbox
WAITS = (2.0, 5.0, 15.0, 60.0)  # seconds to leave a dead server alone, the last one for ever
FAILURES = 3  # in a row, whatever they are: then it is the server

# What MLflow answers where the fault lies in one run: the next run may well go through.
OWN_FAULTS = frozenset(
    [
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "MAX_LIMIT_EXCEEDED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "RESOURCE_LIMIT_EXCEEDED",
    ]
)


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did: runs delivered, rows still waiting, and why the first of them is."""

    sent: int
    left: int
    error: str | None = None


@dataclass(slots=True)
class _Server:
    """MLflow as one drain sees it: opened when the first row needs it."""

    home: Path
    uri: str | None
    client: "MlflowClient | None" = None
    models: set[tuple[str, str]] = field(default_factory=set)  # (study, key) known to be there

    @property
    def root(self) -> Path | None:
        """The folder of linked artifacts, where the store is the lab's own."""
        own = tracking_uri(self.home, self.uri) == own_uri(self.home)
        return self.home.resolve() / "artifacts" if own else None

    def send(self, run: Run) -> str:
        """Send one run and return its id."""
        if self.client is None:
            self.client = open_client(self.home, self.uri)
        return send(self.client, run, self.root)


def drain(
    store: "Store",
    uri: str | None = None,
    follow: bool = False,
    stop: threading.Event | None = None,
) -> Drained:
    """Return what was sent of the outbox; every row that was not keeps its reason.

    A server that does not answer ends it, or, with `follow`, is asked again later. `follow`
    means to go on until `stop` is set, and then to send what is left.
    """
    stop = stop or threading.Event()
    if not follow:
        stop.set()
    with _alone(store.home, stop) as alone:
        if not alone:
            with store.read() as connection:
                left = rows.count_waiting(connection)
            return Drained(0, left, "another process is sending already")
        reconcile(store)
        server = _Server(store.home, uri)
        passes = list(_passes(store, server, stop))
    sent, error = sum(count for count, _ in passes), passes[-1][1]
    with store.read() as connection:
        left = rows.count_waiting(connection)
    return Drained(sent, left, error)


def _passes(
    store: "Store", server: _Server, stop: threading.Event
) -> Iterator[tuple[int, str | None]]:
    """Yield (rows sent, error) of one pass after another, the last one after `stop` was set."""
    silent = 0  # passes without an answer, in a row
    while True:
        last = stop.is_set()  # read before the pass: rows written until then are in it
        count, error, dead = _one_pass(store, server)
        yield count, error
        if last:
            return
        silent = silent + 1 if dead else 0
        stop.wait(WAITS[min(silent, len(WAITS)) - 1] if dead else POLL)


def _one_pass(store: "Store", server: _Server) -> tuple[int, str | None, bool]:
    """Return rows sent, the last error, and whether the server did not answer."""
    sent, after, failures, last = 0, 0, 0, None
    while True:
        with store.read() as connection:
            row = rows.next_waiting(connection, after)
        if row is None:
            return sent, last, False
        after = row.id
        try:
            _deliver(store, server, row)
        except (
            Exception
        ) as error:  # a process border: the client of a server may raise anything
            last = describe(error)
            with store.write() as connection:
                rows.mark_error(connection, row, last)
            failures += 1
            if is_silent(error) or failures >= FAILURES:
                server.client = None
                return sent, last, True
        else:
            sent, failures = sent + 1, 0


def _deliver(store: "Store", server: _Server, row: rows.Waiting) -> None:
    """Send the runs of one row, one in each study of its trial, then mark it."""
    with store.read() as connection:
        tried = rows.tried(connection, row.attempt_id)
        is_trial = tried.node["kind"] == "trial"
        studies = rows.links(connection, row.node_id) if is_trial else []
        metrics = [build.metric(found) for found in rows.metrics(connection, row.attempt_id)]
    if tried.attempt["state"] != "ok":  # a later attempt's may stand in the table by now
        metrics = build.metrics_of(store.home / tried.attempt["folder"])
    runs: dict[int, str] = {}
    for study in studies:
        run = build.trial_run(store.home, tried, study, metrics)
        runs[study["id"]] = server.send(run)
        _model(store, server, tried, study["name"], run.about)
    with store.write() as connection:
        rows.mark_sent(connection, row, runs, tried.counts, store.now)


def _model(store: "Store", server: _Server, trial: rows.Tried, study: str, about: str) -> None:
    """Send the run of the trial's model once for each study."""
    of = trial.needs.get("model")
    if of is None or of["state"] != "done" or (study, of["key"]) in server.models:
        return
    with store.read() as connection:
        made = rows.counting(connection, of)
    if made:
        metrics: list[Metric] = build.metrics_of(store.home / made.attempt["folder"])
        server.send(build.model_run(store.home, made, study, about, metrics))
    server.models.add((study, of["key"]))


def reconcile(store: "Store") -> int:
    """Return how many results were enqueued because a study had no run of them.

    A study that links a trial which was done before gets its runs this way.
    """
    with store.write() as connection:
        return rows.enqueue_missing(connection, store.now)


def resend(store: "Store", study: str | None = None) -> int:
    """Return how many rows wait again: for another server, or one that lost its data."""
    with store.write() as connection:
        count = rows.forget_sent(connection, study)
    return count + reconcile(store)


DEEPEST = 20  # exceptions, one the cause of the next


def is_silent(error: Exception) -> bool:
    """Return whether it is the server that failed to answer, and not this one run that is wrong."""
    code = getattr(error, "error_code", None)
    if code is not None:
        return code not in OWN_FAULTS
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)


def describe(error: Exception) -> str:
    """Return an error in one line, without credentials.

    A client of HTTP wraps why there was no answer several times; only the innermost says it.
    """
    cause: BaseException = error
    for _ in range(DEEPEST):  # causes may lead back to themselves
        cause = cause.__cause__ or cause.__context__ or cause
    if is_silent(error) and isinstance(cause, OSError) and cause.strerror:
        return f"no answer from the server: {cause.strerror}"
    text = str(error).strip().splitlines()
    return redact(f"{type(error).__name__}: {text[0] if text else ''}")[:1000]


@contextmanager
def _alone(home: Path, stop: threading.Event) -> Generator[bool]:
    """Yield whether this is the one process that sends; it waits for its turn until `stop`."""
    from filelock import FileLock, Timeout

    lock = FileLock(home / "sync.lock", timeout=0)
    while True:
        last = stop.is_set()
        try:
            lock.acquire()
            break
        except Timeout:
            if last:
                yield False
                return
            stop.wait(POLL)
    try:
        yield True
    finally:
        lock.release()
