"""Small studies whose science is fake: what each node does is written into its recipe."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ksmith.records import Json
from ksmith.study import Point, Study

ROOT = Path(__file__).parents[2]
WORKER = [sys.executable, str(ROOT / "tests" / "worker" / "fake_science.py")]

Orders = dict[str, dict[str, Json]]  # kind -> what its handler does


def point(scale: int, *, method: Orders | None = None, **orders: Orders) -> Point:
    """Return one trial; `orders` are told to the handlers by the section that names them."""
    settings: dict[str, Json] = {
        "seed": 0,
        "graph": {"source": "synthetic", "orders": orders.get("graph", {})},
        "model": {"recipe": "tiny", "orders": orders.get("model", {})},
        "task": {"kind": "edit", "method": "graddiff", "scale": scale},
        "method": {"name": "graddiff", "orders": method or {}},
        "probe": {"kinds": ["efficacy"], "orders": orders.get("probe", {})},
    }
    return Point(axes={"task.scale": scale}, settings=settings)


def study(name: str, points: Sequence[Point]) -> Study:
    """Return a study of these points."""
    scales = [one.axes["task.scale"] for one in points]
    return Study(
        name=name,
        question="Does it run?",
        path=Path(f"{name}.toml"),
        text=f'name = "{name}"',
        overrides=(),
        points=list(points),
        axes={"task.scale": scales},
        grid={"trials": len(points), "settings": {"task.scale": scales}}
        | {"zip": [], "when": [], "exclude": []},
        notes=[],
    )


def trials(number: int, **orders: Any) -> list[Point]:
    """Return points of different scales, which share the graph and the model alone."""
    return [point(scale, **orders) for scale in range(1, number + 1)]


def executed(home: Path) -> Counter[str]:
    """Return how often the fake science was executed, by key."""
    path = home / "executed.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return Counter(line.split()[0] for line in lines)


def environment() -> dict[str, str]:
    """Return an environment in which a process finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


RUN = """
import sys
from pathlib import Path
from ksmith.scheduler import Options, run
from ksmith.store import Store
from tests.scheduler.small import WORKER
home, workers, ttl, names = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
with Store.open(home) as store:
    options = Options(workers=workers, ttl=ttl, command=WORKER)
    print(run(store, names, options), flush=True)
"""


def scheduler(
    home: Path, *names: str, workers: int = 2, ttl: int = 60
) -> subprocess.Popen[str]:
    """Return a scheduler in a process of its own, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(home), str(workers), str(ttl), *names],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
