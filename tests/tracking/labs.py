"""A lab without science: real tables, real leases and real folders around made-up numbers."""

import json
import random
import time
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from ksmith.measures import SCHEMA
from ksmith.records import UNFINISHED, Metric, Outcome, Reason, digests, publish
from ksmith.store import Claim, End, Store, Worker
from ksmith.study import Point, Study, flat, nodes
from tests.measures.test_memory import rows as of_sets

GRAPH = {"source": "synthetic", "seed": 0, "version": 1, "facts": 360}
MODEL = {"recipe": "tiny", "seed": 0, "version": 1}
PROBE = {"version": 1, "kinds": ["efficacy", "neighborhood"], "neighbors": 10}
PROBES = ("efficacy", "paraphrase", "neighborhood", "same_subject", "multi_hop")
AXES = ("task.method", "task.scale", "seed")
WORKER = Worker(host="lovelace", boot="b", pid=4711, pid_started=1, device="cpu")
VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "commit": "0" * 40, "dirty": "false"}


def point(method: str = "rome", **changes: Any) -> dict[str, Any]:
    """Return the nested settings of one trial; changes by dotted names, `__` for the dot."""
    values: dict[str, Any] = {
        "seed": 0,
        "graph": {**GRAPH},
        "model": {**MODEL},
        "task": {"kind": "edit", "method": method, "level": "leaf", "scale": 1, "draws": 20},
        "method": {"name": method, "version": 1, "layer": None, "lr": 0.2},
        "probe": {**PROBE},
    }
    if method in {"rome", "memit"}:
        values["method"]["moment_tokens"] = 40_000
    if method == "npo":
        values["method"]["beta"] = 0.1
    for name, value in changes.items():
        room, _, key = name.rpartition("__")
        (values[room] if room else values)[key] = value
    return values


class MadeLab:
    """A store and the means to put finished attempts into it."""

    def __init__(self, home: Path, pictures: bool = False) -> None:
        self.store = Store.open(home)
        self.home = self.store.home
        self.pictures = pictures

    def study(
        self,
        name: str,
        *settings: dict[str, Any],
        question: str = "Does it work?",
        broken: Collection[str] = (),
    ) -> list[int]:
        """Return the ids of the trials of a new study, one a point; their assets are done.

        But for those whose role is `broken`: they failed and left what they had done.
        """
        points = [
            Point(axes={name: flat(one)[name] for name in AXES}, settings=one)
            for one in settings
        ]
        study = Study(
            name=name,
            question=question,
            path=self.home / f"{name}.toml",
            text=f'name = "{name}"\n',
            overrides=(),
            points=points,
            axes={},
            grid={"name": name},
            notes=[],
        )
        self.store.add(study)
        ids: list[int] = []
        for one in points:
            for role, node in nodes(one).items():
                row = self.store.find(node.key)
                if role == "trial":
                    ids.append(row.id)
                elif role in broken:
                    self.attempt(row.id, "error", "it diverged", unfinished=True)
                elif row.state != "done":
                    self.attempt(row.id)
        return ids

    def attempt(
        self,
        node_id: int,
        reason: Reason = "ok",
        error: str | None = None,
        *,
        unfinished: bool = False,
    ) -> Claim:
        """Return a claim that was worked on and ended by `reason`, with its folder in place."""
        held = self.store.claim("test", wanted=[node_id])
        assert held is not None, "not ready"
        assert self.store.start(held, WORKER)
        metrics: list[Metric] = []
        if reason in {"ok", "error"}:
            metrics = self._folder(held, reason, error, unfinished)
        end = End(
            reason=reason, error=error, seconds=2.5, metrics=metrics, unfinished=unfinished
        )
        assert self.store.finish(held, end) is not None
        return held

    def _folder(
        self, held: Claim, reason: Reason, error: str | None, unfinished: bool
    ) -> list[Metric]:
        folder = self.home / held.folder
        temporary = folder.with_name(f"{folder.name}.tmp")
        temporary.mkdir(parents=True)
        metrics: list[Metric] = []
        if unfinished and held.kind == "update":
            broken = {"step": 3, "curve": {"forget": [3.0, 2.0, 9.0]}}
            (temporary / "diverged.json").write_text(json.dumps(broken))
        elif reason == "ok" or unfinished:
            metrics = FILES[held.kind](temporary, held, self.pictures)
        outcome = Outcome(
            key=held.key,
            kind=held.kind,
            attempt=held.attempt,
            fence=held.fence,
            reason=reason,
            started=time.time() - 2.5,
            seconds=2.5,
            cpu_seconds=2.0,
            peak_memory=1_000_000,
            device="cpu",
            host="lovelace",
            versions=VERSIONS,
            files=digests(temporary),
            error=error,
            info=({"facts": 360} if held.kind == "graph" else self._info())
            | ({UNFINISHED: {"draws": {"finished": 7, "of": 20}}} if unfinished else {}),
        )
        outcome.write(temporary)
        publish(folder)
        (self.home / held.log).write_text("a line of the worker's log\n")
        return metrics

    def _info(self) -> dict[str, Any]:
        room = self.home / "provenance"
        room.mkdir(exist_ok=True)
        (room / "lock-0.txt").write_text("torch==2.13.0\n")
        about = {"lock": "provenance/lock-0.txt", "flags": {"deterministic": False}}
        return {"provenance": about, "dtype": "float32", "digests": {"questions": "5" * 64}}


def metrics_of(method: str, scale: int) -> list[Metric]:
    """Return a metric for each probe, step and some slices; the same for the same trial."""
    dice = random.Random(f"{method} {scale}")
    rows: list[Metric] = []
    for probe in PROBES:
        for measure in ("success", "accuracy"):
            before, after = sorted([dice.uniform(0.0, 0.3), dice.uniform(0.6, 0.99)])
            for step, value in ((0, before), (1, after)):
                cut: dict[str, Any] = {
                    "step": step,
                    "probe": probe,
                    "measure": measure,
                    "n": 20,
                }
                rows.append(Metric(**cut, value=value, low=value - 0.05, high=value + 0.01))
                rows.append(Metric(**cut, value=value, slice="known", low=0.1, high=0.9))
    rows.append(Metric(step=1, probe="multi_hop", measure="accuracy", hop=2, value=0.5, n=9))
    rows.append(Metric(step=1, probe="utility", measure="loss", value=float("nan"), n=0))
    return rows


def _graph(folder: Path, held: Claim, pictures: bool) -> list[Metric]:
    (folder / "graph.json").write_text(json.dumps({"nodes": [], "graph": held.recipe["graph"]}))
    (folder / "graph.graphml").write_text("<graphml/>")
    _picture(folder / "graph.png", pictures)
    return []


def _model(folder: Path, _: Claim, pictures: bool) -> list[Metric]:
    losses = [5.0 / (1 + step / 50) for step in range(1200)]
    (folder / "training.json").write_text(json.dumps({"numbers": {"lr": 0.01}, "loss": losses}))
    (folder / "trace.json").write_text("{}")
    rows = [
        Metric(step=0, probe="recall", measure="accuracy", slice=wording, value=0.9, n=300)
        for wording in ("seen", "unseen", "novel")
    ]
    (folder / "metrics.json").write_text(json.dumps([asdict(row) for row in rows]))
    for name in ("trace.png", "loss.png"):
        _picture(folder / name, pictures)
    return rows


def _before(folder: Path, _: Claim, pictures: bool) -> list[Metric]:
    _answers(step=0).write_parquet(folder / "answers.parquet")
    return []


def _moments(folder: Path, _: Claim, pictures: bool) -> list[Metric]:
    (folder / "moments.safetensors").write_bytes(b"E[k k^T]")
    return []


def _update(folder: Path, held: Claim, pictures: bool) -> list[Metric]:
    (folder / "delta.safetensors").write_bytes(held.key.encode() * 50)
    (folder / "update.json").write_text("{}")
    _picture(folder / "loss.png", pictures)
    return []


def _trial(folder: Path, held: Claim, pictures: bool) -> list[Metric]:
    rows = metrics_of(held.recipe["task"]["method"], held.recipe["task"]["scale"])
    (folder / "metrics.json").write_text(json.dumps([asdict(row) for row in rows]))
    pl.concat([_answers(0), _answers(1)]).write_parquet(folder / "answers.parquet")
    pl.DataFrame({"draw": [0], "norm": [0.5]}).write_parquet(folder / "tensors.parquet")
    if held.recipe["probe"].get("memory"):
        said = [("forget", 0.2, 0.4), ("holdout", 0.1, 0.3)]
        of_sets(said).write_parquet(folder / "memory.parquet")
    return rows


FILES = {
    "graph": _graph,
    "model": _model,
    "moments": _moments,
    "before": _before,
    "update": _update,
    "trial": _trial,
}


def _answers(step: int) -> pl.DataFrame:
    row = {
        "step": step,
        "draw": 0,
        "question": "0.0/efficacy",
        "request": "0.0",
        "probe": "efficacy",
        "level": "root",
        "candidates": ["falcon", "heron"],
        "logp": [-1.0, -2.0],
    }
    return pl.DataFrame([row], schema=SCHEMA)


def _picture(path: Path, real: bool) -> None:
    if not real:
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([5.0 / (1 + step / 50) for step in range(300)])
    axes.set(title=path.stem, xlabel="step", ylabel="loss (nats)")
    figure.savefig(path, dpi=110)


def frozen(run: Any) -> str:
    """Return all that MLflow holds of a run as one text: NaN, too, is equal to itself."""
    return json.dumps(run.to_dictionary(), sort_keys=True, default=str)


def models_of(run: Any) -> list[str]:
    """Return the ids of the models that a run says it made."""
    return [output.model_id for output in run.outputs.model_outputs]


def datasets_of(run: Any) -> list[Any]:
    """Return the datasets that a run says it used."""
    return [entry.dataset for entry in run.inputs.dataset_inputs]
