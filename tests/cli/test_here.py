"""`run --here` does the work in this process: the outcome is published, the error is raised."""

from pathlib import Path

import pytest

from ksmith.records import Node, Outcome, Spec, UserError
from ksmith.study import nodes, read
from ksmith.worker.here import perform

STUDY = 'name = "s"\nquestion = "?"\n[grid]\n"task.method" = ["rome"]\n[graph]\nfacts = 360\n'


@pytest.fixture
def node(tmp_path: Path) -> Node:
    file = tmp_path / "s.toml"
    file.write_text(STUDY)
    return nodes(read(file).points[0])["graph"]


def spec(node: Node, home: Path) -> Spec:
    return Spec(
        key=node.key,
        kind=node.kind,
        recipe=node.recipe,
        needs={},
        need_keys={},
        files={},
        folder=str(home / "assets" / node.key / "1-1"),
        attempt=1,
        fence=1,
    )


def test_outcome_is_published(node: Node, tmp_path: Path) -> None:
    asked = spec(node, tmp_path)
    perform(asked, {})
    outcome = Outcome.read(Path(asked.folder))
    assert outcome is not None
    assert outcome.reason == "ok"
    assert "graph.json" in outcome.files


def test_error_is_recorded_and_raised_with_its_own_frames(node: Node, tmp_path: Path) -> None:
    node.recipe["graph"] = {"source": "nowhere"}
    asked = spec(Node(kind="graph", recipe=node.recipe), tmp_path)
    with pytest.raises((UserError, KeyError)) as raised:
        perform(asked, {})
    assert "make_graph" in [entry.name for entry in raised.traceback]
    outcome = Outcome.read(Path(asked.folder))
    assert outcome is not None
    assert outcome.reason == "error"
    assert outcome.traceback is not None
