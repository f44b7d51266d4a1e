"""One small lab for the whole session of tests: a graph, a model, a few trials, for real.

The order of files keeps both processes busy to the end.
"""

import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two contending threads are ten times slower
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("ksmith", deadline=None)  # machines may be busy
settings.load_profile("ksmith")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

CUT = (
    "graph.facts=160",
    "model.recipe=fixture",
    "model.layers=3",
    "model.steps=200",
    'task.method=["rome", "npo"]',
    'task.level=["leaf"]',
    "task.scale=[1, 4]",
    "task.draws=3",
)  # of studies/plasticity.toml

Ksmith = Callable[..., subprocess.CompletedProcess[str]]


def run_ksmith(
    home: Path, *words: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Return the finished `ksmith --home HOME words`, as a user would start it."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("KSMITH", "MLFLOW"))
    }
    return subprocess.run(
        [sys.executable, "-m", "ksmith", "--home", str(home), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep Python's collector from what the imports leave.

    Walking through a million objects that stay takes a fifth of the time of importing torch,
    transformers and mlflow, and would be done again and again in the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that are marked `first` first, then those with many tests.

    A process is handed file after file: it had better be the short ones that are left at the
    end. The lab is made in the first file, so that others, late, need not wait for it.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (not item.get_closest_marker("first"), -tests[item.path]))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a lab in which a cut of studies/plasticity.toml was run."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent  # shared by all processes of this session
    home = base / "lab"
    with FileLock(base / "lab.lock"):
        if not (home / "finished").exists():
            sets = [word for value in CUT for word in ("--set", value)]
            done = run_ksmith(home, "run", str(ROOT / "studies" / "plasticity.toml"), *sets)
            assert done.returncode == 0, done.stdout + done.stderr
            (home / "finished").write_text(done.stdout, encoding="utf-8")
    return home


@pytest.fixture
def counterfact() -> Path:
    """Return the real benchmark file, where there is one."""
    path = DATA / "counterfact.json"
    if not path.exists():
        pytest.skip("no benchmark data beside the checkout (../shared/data/counterfact.json)")
    return path
