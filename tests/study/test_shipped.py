"""The studies that ksmith ships: all are read, and a large one differs where it may."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ksmith.study import read

STUDIES = Path(__file__).parents[2] / "studies"
OWN = ("name", "graph", "model", "grid")  # what a larger variant may have of its own
RECORDS = ("counterfact", "zsre")  # take a user's own copy of a benchmark
LARGE = sorted((STUDIES / "large").glob("*.toml"))


def loaded(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", [*sorted(STUDIES.glob("*.toml")), *LARGE], ids=lambda p: p.stem
)
def test_a_shipped_study_is_read(path: Path, tmp_path: Path) -> None:
    records = tmp_path / "records.json"
    records.write_text("[]")
    sets = [f"graph.path={records}"] if path.stem in RECORDS else []
    study = read(path, sets)
    assert study.points
    assert study.question.endswith("?")
    assert study.notes == [], study.notes
    assert study.name == path.stem + ("_large" if path.parent.name == "large" else "")


@pytest.mark.parametrize("path", LARGE, ids=lambda p: p.stem)
def test_a_large_study_has_its_own_graph_model_and_grid_alone(path: Path) -> None:
    large, small = loaded(path), loaded(STUDIES / path.name)
    rest = [{k: v for k, v in table.items() if k not in OWN} for table in (large, small)]
    assert rest[0] == rest[1]
    assert large["graph"]["facts"] > small["graph"]["facts"]


def test_every_paper_study_has_a_script_and_a_large_variant() -> None:
    names = {path.stem for path in STUDIES.glob("*.toml")}
    assert names == {path.stem for path in STUDIES.glob("*.py")}
    assert {path.stem for path in LARGE} == names - set(RECORDS)
