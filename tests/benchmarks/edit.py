"""What an edit costs beside the plain loop: `python -m tests.benchmarks.edit`.

Process CPU time on one thread, and how far resident memory grows, for 1, 10, 100 and 1000
requests; the plain loop, whose cost an edit does not depend on their number, is timed on a few
of them in the same process, in turns with the search, so that a busy machine slows both. Prints
a table and writes JSON: a list of runs, each with its machine and what it measured.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.measured import FEW, LONG, RESULTS, Job, cpu_ms, growth_mb, machine
from tests.benchmarks.searching import Case, Searching
from tests.benchmarks.tuning import Tuning

TUNED = ("ft", "ft_l", "lora", "mend")  # go by gradients, and search for no value
SHAPE = "gpt2-4x128"
CASES = {
    **{name: Case(SHAPE, name, (1,)) for name in TUNED},
    "memit": Case(SHAPE, "memit", (1, 2), 6),
    "emmet": Case(SHAPE, "emmet", (2,), 6),
    "alphaedit": Case(SHAPE, "alphaedit", (1, 2), 6),
    "r_rome": Case(SHAPE, "r_rome", (1,), 21),
    "deep": Case("gpt2-12x256", "memit", (3,), 6, whole=False, most=10),
    "deep-llama": Case("llama-12x256", "memit", (3,), 6, whole=False, most=10),
    "rome": Case(SHAPE, "rome", (1,), 21),
    "toy": Case("toy", "memit", (0, 1), 3, 6),
    "toy-llama": Case("toy-llama", "rome", (1,), 3, 6),
    **{f"toy-{name}": Case("toy", name, (1,), words=6) for name in TUNED},
}
ORDINARY = [name for name in CASES if not name.startswith("toy")]  # what takes longest last


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    case: str
    shape: str
    part: str  # "search" or "edit", the whole of it
    n: int
    ms: float  # of CPU time a request
    plain_ms: float  # ... of the plain loop: its search, or all of it where there is none
    ratio: float
    difference: float | None  # largest of ||delta - plain|| / ||plain||
    memory_mb: float  # growth of resident memory at most
    plain_memory_mb: float  # ... of the plain loop, of one request
    # 1e9 operations of matrix products, a request; of what `difference` is about
    gflop: float | None
    plain_gflop: float | None


def job(name: str, most: int, steps: int) -> Job:
    """Return a case that is ready to be run."""
    case = CASES[name]
    if case.method in TUNED:
        return Tuning(case.shape, case.method, case.layers[-1], most, steps)
    return Searching(case, most, steps)


def measure(name: str, numbers: list[int], *, steps: int, repeats: int) -> Iterator[Measured]:
    """Yield the lines of one case."""
    case = CASES[name]
    numbers = [n for n in numbers if n <= case.most]
    ready = job(name, max(numbers), steps)
    ready.plain(0)  # warm
    plain_memory = growth_mb(partial(ready.plain, 0))
    for n in numbers:
        checked = ready.check(n) if n < LONG else None
        parts = ready.parts(n)
        times: dict[str, list[float]] = {"plain": [], **{part: [] for part in parts}}
        memory: dict[str, float] = {}
        for turn in range(repeats if n < LONG else 1):
            for part, run in parts.items():
                timed = partial(_timed, run, n, times[part])
                memory[part] = max(memory.get(part, 0.0), growth_mb(timed))
            for i in range(min(n, FEW) if n >= LONG else 1):
                _timed(partial(ready.plain, (turn + i) % min(n, FEW)), 1, times["plain"])
        for part in parts:
            mine = checked if checked and part == next(iter(parts)) else None
            plain_ms, ms = statistics.median(times["plain"]), statistics.median(times[part])
            yield Measured(
                case=name,
                shape=case.shape,
                part=part,
                n=n,
                ms=round(ms, 3),
                plain_ms=round(plain_ms, 3),
                ratio=round(plain_ms / ms, 2),
                difference=mine.difference if mine else None,
                memory_mb=round(memory[part], 1),
                plain_memory_mb=round(plain_memory, 1),
                gflop=round(mine.gflop / 1e9, 4) if mine else None,
                plain_gflop=round(mine.plain_gflop / 1e9, 4) if mine else None,
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


def main(words: list[str] | None = None) -> None:
    """Measure what is asked for; print it and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=ORDINARY, help=", ".join(CASES))
    parser.add_argument("--n", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--add", action="store_true", help="keep what else is in the JSON")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu.json")
    given = parser.parse_args(words)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[Measured] = []
    about = machine()
    text = given.out.read_text(encoding="utf-8") if given.add and given.out.exists() else "[]"
    there: list[dict[str, Any]] = json.loads(text)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        print(HEADER)
        for name in given.cases:
            for one in measure(name, given.n, steps=given.steps, repeats=given.repeats):
                print(line(one), flush=True)
                found.append(one)
                # After each line: one that is ended early leaves what it has measured.
                new = {"machine": about, "measured": [asdict(one) for one in found]}
                text = json.dumps([*_others(there, found), new], indent=1)
                given.out.write_text(text + "\n", encoding="utf-8")
    finally:
        torch.set_num_threads(before)


def _others(runs: list[dict[str, Any]], found: list[Measured]) -> list[dict[str, Any]]:
    """Return earlier runs without the lines that are measured anew."""
    anew = {(one.case, one.n) for one in found}
    kept = [
        {**run, "measured": [x for x in run["measured"] if (x["case"], x["n"]) not in anew]}
        for run in runs
    ]
    return [run for run in kept if run["measured"]]


if __name__ == "__main__":
    main()
