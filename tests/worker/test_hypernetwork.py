"""The network that edits as an asset: trained, written, taken up, and used by updates."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ksmith import study
from ksmith.lm.delta import load
from ksmith.lm.hypernetwork_file import load_for
from ksmith.records import Outcome, Spec, UserError
from ksmith.worker import hypernetwork
from ksmith.worker.job import Job, Report, silent
from ksmith.worker.partial import Partial
from tests.conftest import ROOT
from tests.worker.test_tasks import SMALL, done, stranger

__all__ = ["stranger"]  # a fixture

FEW = (
    'task.method=["mend"]',
    "method.mend.steps=4",
    "method.mend.batch=4",
    "method.mend.edits=[1, 2]",
    "method.mend.layers=[1]",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, stranger: Path) -> Path:
    """Return a lab with a model that exists, MEND's network for it, and a trial of MEND."""
    home = tmp_path_factory.mktemp("lab")
    found = done(home, *FEW, f"model.load={stranger}")
    assert {role: outcome.error for role, outcome in found.items()} == dict.fromkeys(found)
    assert set(found) == {"graph", "model", "hypernetwork", "before", "update", "trial"}
    return home


def only(home: Path, kind: str) -> Path:
    (folder,) = (home / ("outcomes" if kind == "trial" else "assets")).glob(f"{kind}-*/1-1")
    return folder


def test_what_is_written_says_how_it_came_about(home: Path) -> None:
    folder = only(home, "hypernetwork")
    outcome = Outcome.read(folder)
    assert outcome and set(outcome.files) == {
        "hypernetwork.safetensors",
        "hypernetwork.json",
        "loss.png",
        "events.jsonl",
    }
    about = json.loads((folder / "hypernetwork.json").read_text())
    assert about["settings"]["edits"] == [1, 2]
    assert len(about["losses"]) == outcome.info["steps"] == 4
    assert [look["step"] for look in about["looks"]] == [0, 1, 2, 3, 4]
    assert outcome.info["subjects"]["unseen"] > 0.3 * outcome.info["subjects"]["all"]
    network = load_for(folder / "hypernetwork.safetensors", outcome.info["weights"])
    assert [m.name for m in network.matrices] == outcome.info["matrices"]
    with pytest.raises(UserError, match="trained for other weights"):
        load_for(folder / "hypernetwork.safetensors", "0" * 64)


def test_an_update_moves_the_matrices_of_the_network(home: Path) -> None:
    folder = only(home, "update")
    deltas, _ = load(folder / "delta.safetensors")
    outcome = Outcome.read(only(home, "hypernetwork"))
    assert outcome and outcome.info["matrices"]
    for delta in deltas:
        assert set(delta) == {f"{name}.weight" for name in outcome.info["matrices"]}
    told = json.loads((folder / "update.json").read_text())
    assert told["layers_from"] == "the study"
    for draw in told["draws"]:
        assert draw["facts"] == 1 and draw["unseen"] in (0, 1)


class _Killed(Exception):
    pass


def test_a_killed_training_is_taken_up_to_the_same_bits(
    home: Path, stranger: Path, tmp_path: Path
) -> None:
    whole = only(home, "hypernetwork")

    def kill(step: int, _total: int, _text: str) -> None:
        if step == 3:
            raise _Killed

    with pytest.raises(_Killed):
        _make(home, stranger, tmp_path, attempt=1, report=kill)
    info = _make(home, stranger, tmp_path, attempt=2)
    assert info["went_on_from"] in (1, 2)
    one, other = (
        load_for(path / "hypernetwork.safetensors", info["weights"])
        for path in (whole, tmp_path / "2-2.tmp")
    )
    for name, tensor in one.learnt.items():
        assert torch.equal(tensor, other.learnt[name]), name


def _make(
    home: Path, stranger: Path, folder: Path, attempt: int, report: Report = silent
) -> dict[str, Any]:
    """Train again what the lab has trained, in a folder beside it, keeping it at each step."""
    sets = [*SMALL, *FEW, f"model.load={stranger}"]
    (point,) = study.read(ROOT / "studies" / "plasticity.toml", sets).points
    node = study.nodes(point)["hypernetwork"]
    mine = folder / f"{attempt}-{attempt}.tmp"
    mine.mkdir()
    spec = Spec(
        key=node.key,
        kind=node.kind,
        recipe=node.recipe,
        needs={need: str(only(home, need)) for need in node.needs},
        need_keys=node.needs,
        files=node.files,
        folder=str(mine),
        attempt=attempt,
        fence=attempt,
    )
    job = Job(spec=spec, folder=mine, report=report, partial=folder / "partial")
    return hypernetwork.made(job, Partial.take(job, seconds=0.0))
