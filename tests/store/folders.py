"""Outcome folders as workers publish them, around made-up numbers."""

import json
from dataclasses import asdict
from pathlib import Path

from ksmith.records import Metric, Outcome, Reason, digests
from ksmith.store import Claim, End, Store

METRIC = Metric(step=1, probe="efficacy", measure="success", value=0.5, n=4)


def leave(store: Store, held: Claim, reason: Reason = "ok") -> Path:
    """Return the folder of an attempt, as a worker publishes it."""
    folder = store.home / held.folder
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps([asdict(METRIC)]), encoding="utf-8")
    outcome = Outcome(
        key=held.key,
        kind=held.kind,
        attempt=held.attempt,
        fence=held.fence,
        reason=reason,
        started=1000.0,
        seconds=2.5,
        cpu_seconds=1.0,
        peak_memory=1,
        device="cpu",
        host="there",
        versions={},
        files=digests(folder),
    )
    outcome.write(folder)
    return folder


def run_all(store: Store) -> None:
    """Finish all that is ready, each with its folder; the first attempt at a trial is lost."""
    while held := store.claim("me"):
        if held.kind == "trial" and held.attempt == 1:
            store.finish(held, End(reason="lost"))
            continue
        leave(store, held)
        store.finish(held, End(reason="ok", seconds=2.5, metrics=[METRIC]))
