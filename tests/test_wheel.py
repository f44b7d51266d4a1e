"""A wheel carries all that a run needs: migrations, studies, the report's style."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.first

# A model that learns nothing, on a graph that is small: what is tested is the way, not the number.
QUICK = (
    "graph.facts=120",
    "model.recipe=fixture",
    "model.mechanism=plain",
    "model.steps=20",
    'task.method=["ft_l"]',
    'task.level=["leaf"]',
    "task.scale=[1]",
    "task.draws=2",
    'probe.kinds=["efficacy"]',
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds nothing but the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KSMITH", "MLFLOW"))}
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", "from ksmith.cli import main; main()", *words],
        cwd=home,
        env=kept | {"PYTHONPATH": str(site), "KSMITH_HOME": str(home / "lab")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_holds_migrations_and_studies_but_no_tests(installed: Path) -> None:
    assert list((installed / "ksmith" / "migrations" / "versions").glob("0001*.py"))
    assert (installed / "ksmith" / "studies" / "plasticity.toml").is_file()
    assert not (installed / "tests").exists()


def test_the_readmes_study_runs_from_it_elsewhere(installed: Path, tmp_path: Path) -> None:
    """Not from the checkout: the study and the migrations are those in the wheel."""
    sets = [word for value in QUICK for word in ("--set", value)]
    done = run(installed, tmp_path, "run", "studies/plasticity.toml", "--workers", "1", *sets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "lab" / "report" / "plasticity.html").is_file()


def test_without_its_migrations_it_would_fail(installed: Path, tmp_path: Path) -> None:
    """The guard can fail: the same wheel, less one folder, cannot open a lab."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ksmith").mkdir()
    for path in (installed / "ksmith").iterdir():
        if path.name != "migrations":
            (broken / "ksmith" / path.name).symlink_to(path)
    done = run(broken, tmp_path / "home", "study", "create", "studies/plasticity.toml")
    assert done.returncode != 0
