"""What an edit costs beside the plain loop: `python -m tests.benchmarks.edit`.

Process CPU time on one thread, and how far resident memory grows, for 1, 10, 100 and 1000
requests; the plain loop, whose cost an edit does not depend on their number, is timed on a few
of them in the same process, in turns with the search, so that a busy machine slows both. Prints
a table and writes JSON.
"""

import argparse
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from ksmith.edit import EDITORS
from ksmith.lm.assets import Assets
from ksmith.lm.rows import Rows, at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.records import Request
from ksmith.settings import method as settings_of
from tests.benchmarks import world
from tests.benchmarks.counted import counted
from tests.benchmarks.plain import plain
from tests.benchmarks.plain import rows as plain_rows

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One model and one method's way of asking."""

    shape: str
    method: str
    layers: tuple[int, ...]  # the last one is where the vector is added
    contexts: int
    words: int  # of ten of the contexts; the others have five
    whole: bool = True  # also time the editor, and not the search alone


CASES = {
    "memit": Case("gpt2-4x128", "memit", (1, 2), 6, 10),
    "emmet": Case("gpt2-4x128", "emmet", (2,), 6, 10),
    "alphaedit": Case("gpt2-4x128", "alphaedit", (1, 2), 6, 10),
    "rome": Case("gpt2-4x128", "rome", (1,), 21, 10),
    "deep": Case("gpt2-12x256", "memit", (3,), 6, 10, whole=False),
    "deep-llama": Case("llama-12x256", "memit", (3,), 6, 10, whole=False),
    "toy": Case("toy", "memit", (0, 1), 3, 6),
    "toy-llama": Case("toy-llama", "rome", (1,), 3, 6),
}
ORDINARY = [name for name in CASES if not name.startswith("toy")]


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    case: str
    shape: str
    part: str  # "search" or "edit", the whole of it
    n: int
    ms: float  # of CPU time a request
    plain_ms: float  # ... of the plain loop's search
    ratio: float
    difference: float | None  # largest of ||delta - plain|| / ||plain||
    memory_mb: float  # growth of resident memory at most
    # 1e9 operations of matrix products, a request; of a search
    gflop: float | None
    plain_gflop: float


class Setting:
    """A case, ready to be run for any number of requests."""

    def __init__(self, name: str, most: int, steps: int) -> None:
        self.name, self.case = name, CASES[name]
        case = self.case
        self.model = world.model(case.shape)
        self.s = sites(self.model)
        self.assets: Assets = world.assets(self.model, list(case.layers), case.words)
        self.requests: list[Request] = world.requests(most)
        self.before = prefixes(self.assets.contexts, case.contexts)
        one_layer = case.method == "rome"
        where = {"layer": case.layers[0]} if one_layer else {"layers": list(case.layers)}
        more = {"nullspace": 1e3} if case.method == "alphaedit" else {}
        self.hp: Any = settings_of(
            case.method,
            {"steps": steps, "contexts": case.contexts, "stop_loss": 0.0, **where, **more},
        )

    def search(self, n: int) -> tuple[Tensor, Tensor]:
        """Return what is found for the first `n` requests, (n, d), and their sizes (n,)."""
        layer = self.case.layers[-1]
        asked = self.rows(n)
        site = self.s.mlp_out(layer)
        bare = asked.where(asked.bare)
        size = at_subject(self.model, bare, [site])[site].norm(dim=1)
        found = search(self.model, asked, Place(site, self.s.head, size), self.hp)
        return found.delta, size

    def rows(self, n: int) -> Rows:
        """Return the rows of the first `n` requests."""
        assets = self.assets
        return rows(assets.tokenizer, self.requests[:n], self.before, assets.kl_template)

    def edit(self, n: int) -> None:
        """Edit: `n` draws of one request with rome, one draw of all with the others."""
        mine = self.requests[:n]
        draws = [[one] for one in mine] if self.case.method == "rome" else [mine]
        EDITORS[self.case.method](self.model, draws, self.hp, self.assets)

    def plain(self, i: int, size: Tensor) -> Tensor:
        """Return what the plain loop finds for request `i`, (d,)."""
        assets = self.assets
        asked = plain_rows(assets.tokenizer, self.requests[i], self.before, assets.kl_template)
        return plain(self.model, asked, self.case.layers[-1], self.hp, size).delta


def cpu_ms(run: Callable[[], object]) -> float:
    """Return the process's CPU time in milliseconds."""
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def growth_mb(run: Callable[[], object]) -> float:
    """Return by how much resident memory grows at most."""
    process = psutil.Process()
    start = most = process.memory_info().rss
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return (max(most, process.memory_info().rss) - start) / 2**20


MANY = 1000  # requests: they are timed once, and their memory in the same run


def measure(name: str, numbers: list[int], *, steps: int, repeats: int) -> Iterator[Measured]:
    """Yield the lines of one case."""
    setting = Setting(name, max(numbers), steps)
    for n in numbers:
        (delta, size), flops = counted(partial(setting.search, n))  # warm
        few = min(n, 3)
        loops = [partial(setting.plain, i, size[i]) for i in range(few)]
        each = [counted(loop) for loop in loops]
        same, plain_flops = [one for one, _ in each], sum(made for _, made in each)
        difference = max(
            float((delta[i] - one).norm() / one.norm()) for i, one in enumerate(same)
        )
        parts: dict[str, Callable[[], object]] = {"search": partial(setting.search, n)}
        if setting.case.whole:
            parts["edit"] = partial(setting.edit, n)
        times: dict[str, list[float]] = {"plain": [], **{part: [] for part in parts}}
        memory: dict[str, float] = {}
        for turn in range(max(1, repeats)):
            for part, run in parts.items():
                if n < MANY:
                    times[part].append(cpu_ms(run) / n)
                elif not turn:
                    memory[part] = growth_mb(partial(_timed, run, n, times[part]))
            i = turn % few
            times["plain"].append(cpu_ms(partial(setting.plain, i, size[i])))
        for part, run in parts.items():
            plain_ms = statistics.median(times["plain"])
            ms = statistics.median(times[part])
            yield Measured(
                case=name,
                shape=setting.case.shape,
                part=part,
                n=n,
                ms=round(ms, 3),
                plain_ms=round(plain_ms, 3),
                ratio=round(plain_ms / ms, 2),
                difference=difference if part == "search" else None,
                memory_mb=round(memory.get(part) or growth_mb(run), 1),
                gflop=round(flops / n / 1e9, 4) if part == "search" else None,
                plain_gflop=round(plain_flops / few / 1e9, 4),
            )


def _timed(run: Callable[[], object], n: int, into: list[float]) -> None:
    into.append(cpu_ms(run) / n)


def line(found: Measured) -> str:
    """Return a line of the table."""
    difference = "" if found.difference is None else f"{found.difference:.1e}"
    return (
        f"{found.case:11} {found.part:7}{found.n:6}{found.ms:10.2f}{found.plain_ms:10.1f}"
        f"{found.ratio:8.1f}{found.memory_mb:9.1f}  {difference}"
    )


HEADER = "case        part        n        ms     plain   ratio   MB more  difference of delta"


def machine() -> dict[str, Any]:
    """Return what the numbers depend on beside the code."""
    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
    }


def main(words: list[str] | None = None) -> None:
    """Measure what is asked for; print it and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=ORDINARY, help=", ".join(CASES))
    parser.add_argument("--n", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu.json")
    given = parser.parse_args(words)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[Measured] = []
    try:
        print(HEADER)
        for name in given.cases:
            for one in measure(name, given.n, steps=given.steps, repeats=given.repeats):
                print(line(one), flush=True)
                found.append(one)
        written = {"machine": machine(), "measured": [asdict(one) for one in found]}
    finally:
        torch.set_num_threads(before)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
