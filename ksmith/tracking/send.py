"""Send one run to MLflow, so that sending it again changes nothing.

A run is found again by its tags, and closed last: an open one was left half sent and is sent
again from the start. Each of MLflow's calls is harmless when repeated (same parameter, same
metric at the same time and step, same dataset), except for the output link of a model, which is
looked up first.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from ksmith.records import canonical
from ksmith.tracking.run import Artifact, Checkpoint, Graph, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

T = TypeVar("T")

# MLflow's limits for one request and for one value.
METRICS, PARAMS, TAGS = 900, 100, 100
KEY, PARAM_VALUE, TAG_VALUE = 250, 6000, 5000
DIGEST = 16  # of 36 allowed: the UI shows it whole

EXTERNAL = "mlflow.model.isExternal"  # what create_external_model() sets, too
NOTE = "mlflow.note.content"
KIND = {
    "mlflow.experimentKind": "custom_model_development"
}  # else the UI is one for chat agents


def send(client: "MlflowClient", run: Run, root: Path | None) -> str:
    """Return the id of `run` in MLflow, complete and closed there.

    `root` is the local folder in which files can be linked instead of uploaded, or None.
    """
    experiment = find_experiment(client, run.study, run.about, root)
    there = find(client, experiment, run)
    if there is None:
        there = client.create_run(
            experiment, start_time=run.started, tags=_identity(run), run_name=run.name
        )
    run_id: str = there.info.run_id
    if there.info.status != "RUNNING":
        return run_id
    model = _checkpoint(client, there, run.checkpoint, root) if run.checkpoint else None
    if run.graph:
        _dataset(client, run_id, run.graph)
    _values(client, run_id, run, model)
    _files(client, there, run.artifacts, root)
    client.set_terminated(run_id, run.status, run.ended)
    return run_id


def find_experiment(
    client: "MlflowClient", name: str, about: str = "", root: Path | None = None
) -> str:
    """Return the id of the experiment of that name, created or restored where it has to be."""
    from mlflow.exceptions import MlflowException

    there = client.get_experiment_by_name(name)
    if there is None:
        location = root.as_uri() if root else None
        try:
            return client.create_experiment(
                name, location, tags={**KIND, NOTE: about[:TAG_VALUE]}
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        there = client.get_experiment_by_name(name)  # another host was first
        assert there is not None
    if there.lifecycle_stage == "deleted":
        client.restore_experiment(there.experiment_id)
    return there.experiment_id


def find(client: "MlflowClient", experiment: str, run: Run) -> "MlflowRun | None":
    """Return the run that an earlier call made for the same attempt, or None."""
    text = f"tags.`ksmith.trial` = '{run.key}' AND tags.`ksmith.attempt` = '{run.attempt}'"
    order = ["attributes.start_time ASC"]
    found = client.search_runs([experiment], text, max_results=1, order_by=order)
    return found[0] if found else None


def _identity(run: Run) -> dict[str, str]:
    return {
        "ksmith.study": run.study,
        "ksmith.trial": run.key,
        "ksmith.attempt": str(run.attempt),
    }


def _values(client: "MlflowClient", run_id: str, run: Run, model: str | None) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(k[:KEY], v[:PARAM_VALUE]) for k, v in run.params.items()]
    tags = [RunTag(k[:KEY], v[:TAG_VALUE]) for k, v in run.tags.items() if v]
    if run.note:
        tags.append(RunTag(NOTE, run.note[:TAG_VALUE]))
    for batch in _batches(params, PARAMS):
        client.log_batch(run_id, params=batch)
    for batch in _batches(tags, TAGS):
        client.log_batch(run_id, tags=batch)
    # The time is the attempt's end, never now: the same point sent again is the same row.
    metrics = [
        Metric(
            point.name[:KEY],
            point.value,
            run.ended,
            point.step,
            model_id=model if point.headline else None,
            dataset_name=run.graph.name if run.graph else None,
            dataset_digest=run.graph.digest[:DIGEST] if run.graph else None,
            run_id=run_id,
        )
        for point in run.points
    ]
    for batch in _batches(metrics, METRICS):
        client.log_batch(run_id, metrics=batch)


def _dataset(client: "MlflowClient", run_id: str, graph: Graph) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=graph.name,
        digest=graph.digest[:DIGEST],
        source_type="local",
        source=canonical({"uri": graph.source}),
        profile=canonical(graph.profile),
    )
    client.log_inputs(
        run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "graph")])]
    )


def _checkpoint(
    client: "MlflowClient", run: "MlflowRun", checkpoint: Checkpoint, root: Path | None
) -> str:
    """Return the id of the external logged model that stands for the updated weights.

    The weights stay in their outcome folder, which its tags name; in the lab's own store they
    can be downloaded, too, since a link costs nothing.
    """
    from mlflow.entities import LoggedModelOutput

    run_id, experiment = run.info.run_id, run.info.experiment_id
    linked = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    if linked:
        return linked[0]
    found = client.search_logged_models(
        [experiment], f"source_run_id = '{run_id}'", max_results=1
    )
    model = found[0] if found else None
    if model is None:
        model = client.create_logged_model(
            experiment,
            name=checkpoint.name,
            source_run_id=run_id,
            tags={EXTERNAL: "true", **checkpoint.tags},
            params=checkpoint.params,
            model_type="delta",
        )
    folder = _linkable(model.artifact_location, root)
    if folder:
        link(checkpoint.file, folder / checkpoint.file.name)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=1)])
    return model.model_id


def _files(
    client: "MlflowClient", run: "MlflowRun", artifacts: Iterable[Artifact], root: Path | None
) -> None:
    folder = _linkable(run.info.artifact_uri, root)
    for artifact in artifacts:
        if folder:
            link(artifact.file, folder / artifact.target)
        elif not artifact.asset:
            _upload(client, run.info.run_id, artifact)


def _linkable(uri: str | None, root: Path | None) -> Path | None:
    """Return the folder that `uri` names where it lies in `root`, else None."""
    parts = urlsplit(uri or "")
    if root is None or not uri or parts.scheme not in {"file", ""}:
        return None
    folder = Path(unquote(parts.path))
    return folder if folder.is_relative_to(root) else None


def _upload(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    if not artifact.name or artifact.name == artifact.file.name:
        client.log_artifact(run_id, str(artifact.file), artifact.folder or None)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        renamed = Path(folder) / artifact.name
        link(artifact.file, renamed)
        client.log_artifact(run_id, str(renamed), artifact.folder or None)


def link(file: Path, target: Path) -> None:
    """Make `target` the same file as `file`; a copy where the file systems differ."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copy2(file, target)


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
