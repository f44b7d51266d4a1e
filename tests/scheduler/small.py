"""Small studies whose science is fake: what each node does is written into its recipe."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkProcess as Process
from pathlib import Path
from typing import Any

from ksmith.records import Json
from ksmith.scheduler import Options, run
from ksmith.store import Store
from ksmith.study import Point, Study

ROOT = Path(__file__).parents[2]
WORKER = [sys.executable, str(ROOT / "tests" / "worker" / "fake_science.py")]
STOPPED = 130  # exit code of a scheduler that was told to stop

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


def scheduler(store: Store, name: str, *, workers: int = 2, ttl: int = 60) -> Process:
    """Return a scheduler in a process of its own; it exits with 0 if all trials are done.

    A fork, since a fresh interpreter costs a second. SQLite's connections must not be taken
    across one, so the store is closed before; it connects again when used.
    """
    store.close()
    process = get_context("fork").Process(target=_run, args=(store.home, name, workers, ttl))
    process.start()
    return process


def _run(home: Path, name: str, workers: int, ttl: int) -> None:
    os.setsid()  # as a shell with job control starts it
    with Store.open(home) as store:
        summary = run(store, [name], Options(workers=workers, ttl=ttl, command=WORKER))
    sys.exit(0 if summary.done == summary.trials else STOPPED if summary.stopped else 1)
