"""One small lab for the whole session of tests: a graph, a model, a few trials, for real.

The order of files keeps both processes busy to the end.
"""

import gc
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two contending threads are ten times slower
os.environ.setdefault("MPLBACKEND", "Agg")

# Machines may be busy. Each run draws other examples: few of them, many times.
settings.register_profile("ksmith", deadline=None, max_examples=40)
settings.load_profile("ksmith")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

CUT = (
    "graph.facts=160",
    "model.recipe=fixture",
    "model.layers=3",
    "model.width=64",
    "model.steps=200",  # in fewer it learns too little to be traced
    "method.npo.steps=10",
    'task.method=["rome", "npo"]',
    'task.level=["leaf"]',
    "task.scale=[1, 4]",
    "task.draws=3",
)  # of studies/plasticity.toml


def _ours(name: str) -> bool:
    """Whether a variable of the environment would change what is tested."""
    return name.startswith(("KSMITH", "MLFLOW"))


def run_ksmith(
    home: Path, *words: str, cwd: Path | None = None, code: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Return the finished `ksmith --home HOME words`, as a user would start it."""
    environment = {k: v for k, v in os.environ.items() if not _ours(k)}
    return subprocess.run(
        [sys.executable, "-m", "ksmith", "--home", str(home), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(code)},
        check=False,
    )


def invoke_ksmith(home: Path, *words: str) -> Result:
    """Return the same, done in this process: one of its own takes seconds to import it all."""
    from ksmith.cli import ksmith

    runner = CliRunner(env={name: None for name in os.environ if _ours(name)})
    return runner.invoke(ksmith, ["--home", str(home), *words])


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
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this session that all its processes know."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def installed(common: Path) -> Path:
    """Return a folder that holds nothing but the unpacked wheel."""
    folder = common / "wheel"
    with FileLock(common / "wheel.lock"):
        if not (folder / "finished").exists():
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
            (folder / "finished").touch()
    return folder / "site"


@pytest.fixture(scope="session")
def lab(common: Path, installed: Path) -> Path:
    """Return the home of a lab in which a cut of studies/plasticity.toml was run.

    From the wheel, far from the checkout, as a user would: tests/test_wheel.py looks at that.
    """
    home, elsewhere = common / "lab", common / "elsewhere"
    with FileLock(common / "lab.lock"):
        if not (home / "finished").exists():
            elsewhere.mkdir(exist_ok=True)
            # One worker: the other processor is busy with tests, and importing torch is dear.
            words = ["run", "studies/plasticity.toml", "--workers", "1"]
            words += [word for value in CUT for word in ("--set", value)]
            done = run_ksmith(home, *words, cwd=elsewhere, code=installed)
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
