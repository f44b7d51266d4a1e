"""Turn an attempt's rows and folder into the run that MLflow is told of."""

import getpass
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmith.records import UNFINISHED, Metric, Outcome, inside
from ksmith.tracking.client import redact
from ksmith.tracking.rows import Tried
from ksmith.tracking.run import Artifact, Checkpoint, Graph, Point, Run, status

OWN_FILES = (
    "change.html",
    "answers.parquet",
    "memory.parquet",
    "memory_gold.parquet",
    "metrics.json",
    "tensors.parquet",
    "outcome.json",
)

# role -> file of that asset -> where it goes in the run, and under which name
PICTURES: tuple[tuple[str, str, str], ...] = (
    ("update", "loss.png", "loss.png"),
    ("model", "trace.png", "trace.png"),
    ("model", "loss.png", "training.png"),
    ("graph", "graph.png", "graph.png"),
)
MODEL_FILES = ("metrics.json", "trace.json", "training.json", "outcome.json")
GRAPH_FILES = ("graph.json", "graph.graphml")
BROKEN = "diverged.json"  # of an update that diverged: the step, and the losses up to there

CURVE = 500  # points of a training curve: more are no clearer, and each is a row

# Settings that name a run by themselves; other axes are added with their names.
NAMED = {"task.kind", "task.method", "task.level", "task.scale", "task.share", "seed"}


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one node's result and the outcome in it."""

    key: str
    recipe: Mapping[str, Any]
    folder: Path | None
    outcome: Outcome | None

    def file(self, name: str) -> Path | None:
        """Return a file of the folder, or None where there is none."""
        path = self.folder / name if self.folder else None
        return path if path and path.is_file() else None


def json_of(file: Path | None) -> Any:
    """Return what a JSON file holds; an empty object where there is no file."""
    return json.loads(file.read_text(encoding="utf-8")) if file else {}


def place(home: Path, of: Mapping[str, Any], folder: str | None) -> Place:
    """Return where the result of a node lies."""
    path = (home / folder).resolve() if folder else None
    outcome = Outcome.read(path) if path else None
    return Place(of["key"], of["recipe"], path, outcome)


def trial_run(
    home: Path,
    tried: Tried,
    study: Mapping[str, Any],
    metrics: Sequence[Metric],
) -> Run:
    """Return the run of one attempt at a trial in one of the trial's studies."""
    settings: dict[str, Any] = study["settings"]
    here = place(home, tried.node, tried.attempt["folder"])
    needs = {role: place(home, of, of["folder"]) for role, of in tried.needs.items()}
    ok = tried.attempt["state"] == "ok"
    started, ended = times(tried, here.outcome)
    name = run_name(settings, study["axes"])
    number = tried.attempt["no"]
    tags = {
        **attempt_tags(tried, here.outcome),
        "ksmith.study": study["name"],
        "ksmith.kind": "trial",
        # What gold models say is one need a draw and seed: too many for tags.
        **{f"ksmith.{role}": needs[role].key for role in sorted(needs) if "." not in role},
        **digest_tags([*needs.values(), here]),
    }
    return Run(
        study=study["name"],
        about=about(study),
        name=name if number == 1 else f"{name} (attempt {number})",
        key=here.key,
        attempt=number,
        status=status(tried.attempt["state"]),
        started=started,
        ended=ended,
        note=left(here.outcome) + note(metrics),
        params={key: shown(value) for key, value in settings.items()},
        tags=tags,
        points=(*points(metrics), *broken(needs.get("update"))),
        graph=graph_of(needs.get("graph")),
        checkpoint=checkpoint(needs.get("update"), settings, name) if ok else None,
        artifacts=tuple(artifacts(home, tried, here, needs)),
    )


def model_run(
    home: Path, tried: Tried, study: str, about: str, metrics: Sequence[Metric]
) -> Run:
    """Return the run of the model that a study's trials update: its training and its trace."""
    here = place(home, tried.node, tried.attempt["folder"])
    needs = {role: place(home, of, of["folder"]) for role, of in tried.needs.items()}
    training = json_of(here.file("training.json"))
    settings: dict[str, Any] = {
        **{f"model.{name}": value for name, value in here.recipe.get("model", {}).items()},
        **{f"training.{name}": value for name, value in training.get("numbers", {}).items()},
    }
    found = here.outcome.info if here.outcome else {}
    started, ended = times(tried, here.outcome)
    source = settings.get("model.recipe") or settings.get("model.load") or "loaded"
    return Run(
        study=study,
        about=about,
        name=f"model {source} seed {settings.get('model.seed', 0)}",
        key=here.key,
        attempt=tried.attempt["no"],
        status=status(tried.attempt["state"]),
        started=started,
        ended=ended,
        note=note(metrics),
        params={key: shown(value) for key, value in settings.items()},
        tags={
            **attempt_tags(tried, here.outcome),
            "ksmith.study": study,
            "ksmith.kind": "model",
            **{f"ksmith.{k}": str(v) for k, v in found.items() if isinstance(v, int | str)},
        },
        points=(*points(metrics), *curve(training.get("loss", []))),
        graph=graph_of(needs.get("graph")),
        artifacts=tuple(model_files(here, needs.get("graph"))),
    )


# --- names, params, tags ----------------------------------------------------------------------


def run_name(settings: Mapping[str, Any], axes: Mapping[str, Any]) -> str:
    """Return a readable name: `rome leaf x1 seed 0`, with every other axis of the study."""
    parts = [str(settings.get("task.method", "?"))]
    if settings.get("task.kind", "edit") != "edit":
        parts.append(str(settings["task.kind"]))
    level = settings.get("task.level") or "any"
    if level != "any":
        parts.append(str(level))
    share = settings.get("task.share")
    parts.append(
        f"x{settings.get('task.scale', 1)}" if share is None else f"{share:.3g} of all"
    )
    parts += [f"{key}={shown(axes[key])}" for key in sorted(axes) if key not in NAMED]
    parts.append(f"seed {settings.get('seed', 0)}")
    return " ".join(parts)


def shown(value: Any) -> str:
    """Return a setting as text: JSON, but a string without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def about(study: Mapping[str, Any]) -> str:
    """Return the experiment's description: the question and the file."""
    return f"{study['question']}\n\n```toml\n{study['text'].strip()}\n```\n"


def attempt_tags(tried: Tried, outcome: Outcome | None) -> dict[str, str]:
    """Return who did what, where and with which versions; empty values are left out."""
    row = tried.attempt
    versions = dict(outcome.versions) if outcome else {}
    commit = versions.pop("commit", "")
    dirty = versions.pop("dirty", "")
    error = row["error"] or (outcome.error if outcome else None) or ""
    tags = {
        "ksmith.trial": tried.node["key"],
        "ksmith.attempt": str(row["no"]),
        "ksmith.fence": str(row["fence"]),
        "ksmith.reason": row["state"],
        "ksmith.error": redact(error),
        "ksmith.device": row["device"] or (outcome.device if outcome else ""),
        "ksmith.host": row["host"] or (outcome.host if outcome else ""),
        "ksmith.commit": commit,
        "ksmith.dirty": dirty,
        "mlflow.source.git.commit": commit,
        **source_tags(),
        **provenance_tags(outcome),
        **{f"ksmith.version.{name}": text for name, text in sorted(versions.items())},
    }
    return {name: text for name, text in tags.items() if text}


def provenance(outcome: Outcome | None) -> dict[str, Any]:
    """Return what an outcome says of the process that made it; older ones say nothing."""
    return dict(outcome.info.get("provenance", {})) if outcome else {}


def provenance_tags(outcome: Outcome | None) -> dict[str, str]:
    """Return the names of the kept lock and diff, the GPU, and what decides about bits."""
    found = provenance(outcome)
    flags = found.pop("flags", {})
    if outcome and "dtype" in outcome.info:
        found["dtype"] = outcome.info["dtype"]
    return {
        **{f"ksmith.{name}": shown(value) for name, value in found.items()},
        **{f"ksmith.flag.{name}": shown(value) for name, value in flags.items()},
    }


def digest_tags(places: Iterable[Place]) -> dict[str, str]:
    """Return the digests of all that a trial's numbers were made from; the last place's win."""
    found: dict[str, str] = {}
    for one in places:
        found |= one.outcome.info.get("digests", {}) if one.outcome else {}
    return {f"ksmith.digest.{name}": text for name, text in sorted(found.items())}


def provenance_files(home: Path, outcome: Outcome | None) -> Iterator[Artifact]:
    """Yield the list of packages and the changes of the working copy, as the lab keeps them."""
    found = provenance(outcome)
    for name in ("lock", "diff"):
        if name in found and (path := inside(home, found[name])).is_file():
            yield Artifact(file=path, folder="provenance")


def times(tried: Tried, outcome: Outcome | None) -> tuple[int, int]:
    """Return start and end in ms: by the worker's clock where it left an outcome."""
    if outcome:
        return round(outcome.started * 1000), round((outcome.started + outcome.seconds) * 1000)
    started: int = tried.attempt["started"]
    return started * 1000, (tried.attempt["ended"] or started) * 1000


def source_tags() -> dict[str, str]:
    """Return what MLflow's own clients say about who and what made a run."""
    tags = {"mlflow.source.name": "ksmith", "mlflow.source.type": "LOCAL"}
    try:
        return {**tags, "mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container whose user has no name
        return tags


# --- metrics ----------------------------------------------------------------------------------


def metric(row: Mapping[str, Any]) -> Metric:
    """Return the metric of a row of the table `metric`; NULL is "not a number"."""
    return Metric(
        step=row["step"],
        probe=row["probe"],
        measure=row["measure"],
        slice=row["slice"] or "",
        hop=row["hop"],
        value=math.nan if row["value"] is None else row["value"],
        n=row["n"],
        low=row["low"],
        high=row["high"],
    )


def points(rows: Iterable[Metric]) -> Iterator[Point]:
    """Yield what MLflow can chart: values over everything and over slices, intervals of the first.

    Slices of slices ("known.stored", or "stored" at hop 2) and their intervals are left out:
    a thousand columns more in MLflow's table would hide the rest. So are slices on the way of a
    sequence. metrics.json, which the run has, and frames have them all.
    """
    every = list(rows)
    end = max((row.step for row in every), default=0)
    for row in every:
        if "." in row.slice or (row.slice and row.hop is not None):
            continue
        whole = is_whole(row)
        if not whole and 0 < row.step < end:
            continue
        headline = whole and 0 < row.step == end
        yield Point(name=row.name, value=row.value, step=row.step, headline=headline)
        if whole and row.low is not None and row.high is not None:
            yield Point(name=f"{row.name}.low", value=row.low, step=row.step)
            yield Point(name=f"{row.name}.high", value=row.high, step=row.step)


def is_whole(row: Metric) -> bool:
    """Return whether it is over all questions of its probe, not over a slice."""
    return not row.slice and row.hop is None


def note(rows: Sequence[Metric]) -> str:
    """Return a markdown table of the metrics over everything, with counts and intervals.

    Where there are slices alone (a model's recall by wording), of those.
    """
    whole = [row for row in rows if is_whole(row)] or list(rows)
    before = {row.name: row for row in whole if row.step == 0}
    after = {row.name: row for row in whole if row.step > 0}
    if not whole:
        return ""
    lines = [
        "| metric | before | after | 95 % interval | n |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row.name for row in whole):
        first, last = before.get(name), after.get(name)
        main = last or first
        assert main is not None
        cells = [
            name,
            f"{first.value:.3f}" if first else "",
            f"{last.value:.3f}" if last else "",
            f"{main.low:.3f} to {main.high:.3f}"
            if main.low is not None and main.high is not None
            else "",
            str(main.n),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def left(outcome: Outcome | None) -> str:
    """Return what is to be said of an attempt that failed on its way; "" of any other."""
    draws = outcome.info.get(UNFINISHED, {}).get("draws") if outcome else None
    if not draws:
        return ""
    return (
        f"**Failed.** What had been measured by then: the answers before, and "
        f"{draws['finished']} of {draws['of']} draws after the update.\n\n"
    )


def broken(update: Place | None) -> Iterator[Point]:
    """Yield the losses of an update that diverged, up to the last good step."""
    curves: dict[str, list[float]] = json_of(update.file(BROKEN) if update else None).get(
        "curve", {}
    )
    for part, losses in curves.items():
        yield from curve(losses, f"update.loss.{part}")


def curve(losses: Sequence[float], name: str = "training.loss") -> Iterator[Point]:
    """Yield about `CURVE` points of a training curve at most: even steps, and the last one."""
    stride = max(1, -(-len(losses) // CURVE))
    for step, loss in enumerate(losses, start=1):
        if step % stride == 0 or step == len(losses):
            yield Point(name=name, value=float(loss), step=step)


# --- graph, checkpoint, files -----------------------------------------------------------------


def graph_of(graph: Place | None) -> Graph | None:
    """Return the graph as a dataset, its digest the one of its bytes."""
    if graph is None or graph.outcome is None or graph.folder is None:
        return None
    recipe: dict[str, Any] = graph.recipe.get("graph", {})
    name = f"{recipe.get('source', 'graph')} seed {recipe.get('seed', 0)}"
    digest = graph.outcome.files.get("graph.json", graph.key)
    profile = {k: v for k, v in graph.outcome.info.items() if isinstance(v, int | float | str)}
    return Graph(name=name, digest=digest, source=str(graph.folder), profile=profile)


def checkpoint(
    update: Place | None, settings: Mapping[str, Any], name: str
) -> Checkpoint | None:
    """Return the updated model: a file of deltas and what its weights are added to."""
    file = update.file("delta.safetensors") if update else None
    if update is None or file is None or update.outcome is None:
        return None
    return Checkpoint(
        name=model_name(name),
        file=file,
        tags={
            "ksmith.update": update.key,
            "path": str(file),
            "sha256": update.outcome.files.get("delta.safetensors", ""),
            "bytes": str(file.stat().st_size),
            "host": update.outcome.host,
            **source_tags(),
        },
        params={
            key: shown(value)
            for key, value in settings.items()
            if key == "seed" or key.partition(".")[0] in {"task", "method", "model"}
        },
    )


def model_name(name: str) -> str:
    """Return a run's name as a model's: MLflow takes none of / : . % " and '."""
    return "".join("_" if character in "/:.%\"'" else character for character in name)


def artifacts(
    home: Path, tried: Tried, here: Place, needs: Mapping[str, Place]
) -> Iterator[Artifact]:
    """Yield the files of a trial's run: what it measured, and the pictures of what it used."""
    for name in OWN_FILES:
        if path := here.file(name):
            yield Artifact(file=path)
    log = home / tried.attempt["log"]
    if log.is_file() and log.stat().st_size:
        yield Artifact(file=log, name="log.txt")
    yield from provenance_files(home, here.outcome)
    if tried.attempt["state"] != "ok":
        yield from _broken(needs.get("update"))
        return
    for role, own, name in PICTURES:
        if role in needs and (path := needs[role].file(own)):
            yield Artifact(file=path, folder="figures", name=name)
    yield from graph_files(needs.get("graph"), uploaded=False)


def _broken(update: Place | None) -> Iterator[Artifact]:
    """Yield how the loss of an update that diverged went."""
    if update and (path := update.file(BROKEN)):
        yield Artifact(file=path)
        if picture := update.file("loss.png"):
            yield Artifact(file=picture, folder="figures")


def model_files(here: Place, graph: Place | None) -> Iterator[Artifact]:
    """Yield the files of a model's run; its weights stay where they are."""
    for name in MODEL_FILES:
        if path := here.file(name):
            yield Artifact(file=path)
    for role, own, name in PICTURES:
        of = {"model": here, "graph": graph}.get(role)
        if of and (path := of.file(own)):
            yield Artifact(file=path, folder="figures", name=name)
    yield from graph_files(graph, uploaded=True)


def graph_files(graph: Place | None, *, uploaded: bool) -> Iterator[Artifact]:
    """Yield the graph's own files; a server gets them with the model's run, not with each."""
    for name in GRAPH_FILES:
        if graph and (path := graph.file(name)):
            yield Artifact(file=path, folder="graph", asset=not uploaded)


def metrics_of(folder: Path) -> list[Metric]:
    """Return the metrics that an asset left in its folder."""
    file = folder / "metrics.json"
    return [Metric(**row) for row in json_of(file)] if file.is_file() else []
