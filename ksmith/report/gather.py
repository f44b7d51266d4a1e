"""What a lab holds about a study, read for its report."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from ksmith import frames, settings
from ksmith.records import Outcome, inside
from ksmith.report.content import Asset, Content, Failure, Picture
from ksmith.report.defaults import filled
from ksmith.store import Dag, NodeRow, Store, StudyRow, TrialRow
from ksmith.study import findings_in
from ksmith.tracking import shown_uri, tracking_uri

UI = "http://127.0.0.1:5000"  # where `ksmith ui` listens unless told otherwise
SHOWN = 4  # assets of one kind with their pictures; a study over many seeds has more
PICTURES = {
    "model": {"trace.png": "Causal trace of the model", "loss.png": "Training loss"},
    "graph": {"graph.png": "The knowledge graph"},
}


def gather(study: str, home: Path, url: str | None = None) -> Content:
    """Return everything that the report of `study` shows.

    Raises:
        UserError: no such study.
    """
    with Store.open(home, url) as store:
        row, rows = store.study(study), store.trials(study)
        dag = store.dag([row.id])
        failures = tuple(_failures(store, rows, dag))
    trials, metrics = frames.trials(study, home), frames.metrics(study, home)
    expected = findings_in(row.text, settings.names(settings.METHODS))
    return Content(
        study=row.name,
        question=row.question,
        text=row.text,
        trials=filled(trials),
        metrics=metrics,
        home=str(home.absolute()),
        methods=tuple(settings.METHODS),
        seconds=_update_seconds(dag, home),
        answers=dict(_answers(dag, home)),
        assets=tuple(_assets(dag, home)),
        failures=failures,
        runs=_addresses(trials, home),
        provenance=_provenance(row, trials, dag, home),
        findings=frames.judged(expected, trials, metrics),
    )


def _failures(store: Store, rows: Iterable[TrialRow], dag: Dag) -> Iterator[Failure]:
    """Yield what failed first, then what waits for it in vain."""
    failed = [
        (node.key, node.state, node.id)
        for node in dag.nodes.values()
        if node.state in ("failed", "cancelled")
    ]
    for key, state, node_id in failed:
        tried = store.attempts(node_id)
        last = tried[-1] if tried else None
        yield Failure(
            key=key,
            state=state,
            reason=last.state if last else "",
            attempts=len(tried),
            error=(last.error or "") if last else "",
            log=last.log if last else "",
        )
    for row in rows:
        if row.state == "blocked" and row.reason:
            yield Failure(key=row.key, state=row.state, reason="waits", error=row.reason)


def _outcome(node: NodeRow, home: Path) -> Outcome | None:
    return Outcome.read(inside(home, node.folder)) if node.folder else None


def _update_seconds(dag: Dag, home: Path) -> dict[str, float]:
    """Return trial -> seconds that computing its update took."""
    spent = {
        node.id: outcome.seconds
        for node in dag.nodes.values()
        if node.kind == "update" and node.state == "done" and (outcome := _outcome(node, home))
    }
    return {
        dag.nodes[node].key: spent[need]
        for node, need in dag.needs
        if need in spent and dag.nodes[node].kind == "trial"
    }


def _answers(dag: Dag, home: Path) -> Iterator[tuple[str, Path]]:
    for node in dag.nodes.values():
        if node.kind == "trial" and node.state == "done" and node.folder:
            file = inside(home, node.folder) / "answers.parquet"
            if file.is_file():
                yield node.key, file


def _assets(dag: Dag, home: Path) -> Iterator[Asset]:
    for kind, pictures in PICTURES.items():
        nodes = [node for node in dag.nodes.values() if node.kind == kind and node.folder]
        for number, node in enumerate(nodes):
            folder = inside(home, str(node.folder))
            outcome = _outcome(node, home)
            yield Asset(
                kind=kind,
                key=node.key,
                facts=dict(outcome.info) if outcome else {},
                metrics=tuple(_rows(folder / "metrics.json")),
                pictures=tuple(
                    Picture(title=title, content=(folder / name).read_bytes())
                    for name, title in pictures.items()
                    if number < SHOWN and (folder / name).is_file()
                ),
            )


def _rows(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _addresses(trials: pl.DataFrame, home: Path) -> dict[str, str]:
    """Return trial -> the page of its run: on the server, else where `ui` serves it."""
    uri = shown_uri(tracking_uri(home))
    start = uri.rstrip("/") if uri.startswith(("http://", "https://")) else UI
    runs = trials.select("trial", "run_id").drop_nulls().iter_rows()
    return {trial: f"{start}/#/runs/{run_id}" for trial, run_id in runs}


def _provenance(row: StudyRow, trials: pl.DataFrame, dag: Dag, home: Path) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for node in dag.nodes.values():
        outcome = _outcome(node, home) if node.kind in ("trial", "model") else None
        if outcome is None:
            continue
        facts = {**outcome.versions, "device": outcome.device, "host": outcome.host}
        if node.kind == "model" and (digest := outcome.files.get("model/model.safetensors")):
            facts |= {f"weights of {node.key}": f"sha256 {digest}"}
        for name, value in facts.items():
            found.setdefault(name, set()).add(value)
    digests = [name for name in ("graph.digest", "model.digest") if name in trials.columns]
    for name in digests:
        found[name] = set(trials[name].drop_nulls().unique())
    return {
        **{name: ", ".join(sorted(values)) for name, values in found.items()},
        "study file": f"sha256 {sha256(row.text.encode()).hexdigest()}",
    }
