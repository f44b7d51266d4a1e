"""What a trial of an unlearner costs beside a plain loop: `python -m tests.benchmarks.unlearn`.

Process CPU time on one thread, or wall time on a GPU (`--device cuda`), and how far memory grows,
of the steps of one draw; beside it the loop of `plain_unlearning.py`, which makes the same steps
of the same facts, in turns in the same process. `difference` says how far apart the two changes of
the weights end. Prints a table and writes JSON.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ksmith.lm.assets import Assets
from ksmith.lm.delta import Delta, dense
from ksmith.records import Request, Statement
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from tests.benchmarks import world
from tests.benchmarks.counted import counted
from tests.benchmarks.measured import RESULTS, growth_mb, machine, spent_ms
from tests.benchmarks.plain_unlearning import plain

LAYER = 1  # that rmu steers


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One line of the table."""

    method: str
    ms: float  # a trial
    plain_ms: float
    ratio: float
    difference: float  # ||change - plain|| / ||plain||, of all matrices together
    memory_mb: float  # growth at most
    plain_memory_mb: float
    gflop: float  # of matrix products, a trial
    plain_gflop: float


@dataclass(frozen=True)
class Job:
    """One method and what it is called with."""

    method: str
    model: nn.Module
    draw: Sequence[Request]
    kept: Sequence[Statement]
    hp: Any
    assets: Assets

    def ours(self) -> Delta:
        """Return what ksmith's method gives."""
        unlearn = UNLEARNERS[self.method]
        return unlearn(self.model, [self.draw], [self.kept], self.hp, self.assets)[0].delta

    def plain(self) -> Delta:
        """Return what the plain loop gives."""
        return plain(self.method, self.model, self.draw, self.kept, self.hp, self.assets)


def job(method: str, model: nn.Module, facts: int, retain: int, told: dict[str, Any]) -> Job:
    """Return a method that is to make a model forget so many facts, and keep others."""
    # Nobody prefers an answer to itself: some requests of `world` ask for what is there.
    some = world.requests(2 * (facts + retain))
    every = [request for request in some if request.new != request.old][: facts + retain]
    more = {"layer": LAYER} if method == "rmu" else {}
    return Job(
        method,
        model,
        [replace(request, kind="unlearn") for request in every[:facts]],
        [Statement(r.subject, r.relation, r.old, r.template) for r in every[facts:]],
        settings_of(method, {**told, **more}),
        Assets(tokenizer=world.tokenizer(), layer=LAYER, seed=0),
    )


def measure(ready: Job, repeats: int, device: str) -> Measured:
    """Return one line."""
    (mine, made), (same, plain_made) = counted(ready.ours), counted(ready.plain)  # warm
    sides: tuple[Callable[[], object], ...] = (ready.ours, ready.plain)
    times: tuple[list[float], list[float]] = ([], [])
    memory = [0.0, 0.0]
    for _ in range(repeats):
        for side, (run, into) in enumerate(zip(sides, times, strict=True)):
            timed = partial(_timed, run, into, device)
            memory[side] = max(memory[side], growth_mb(timed, device))
    ms, plain_ms = map(statistics.median, times)
    return Measured(
        method=ready.method,
        ms=round(ms, 2),
        plain_ms=round(plain_ms, 2),
        ratio=round(plain_ms / ms, 2),
        difference=apart(mine, same),
        memory_mb=round(memory[0], 1),
        plain_memory_mb=round(memory[1], 1),
        gflop=round(made / 1e9, 6),
        plain_gflop=round(plain_made / 1e9, 6),
    )


def _timed(run: Callable[[], object], into: list[float], device: str) -> None:
    into.append(spent_ms(run, device))


def apart(one: Delta, other: Delta) -> float:
    """Return ||one - other|| / ||other||, of all matrices together."""
    squares = [0.0, 0.0]
    for name, block in other.items():
        there = dense(block).double()
        squares[0] += float((dense(one[name]).double() - there).square().sum())
        squares[1] += float(there.square().sum())
    return (squares[0] / squares[1]) ** 0.5


HEADER = "method          ms     plain   ratio  MB more     plain   GFLOP   plain  difference"


def line(found: Measured) -> str:
    """Return a line of the table."""
    return (
        f"{found.method:9}{found.ms:9.0f}{found.plain_ms:10.0f}{found.ratio:8.2f}"
        f"{found.memory_mb:9.1f}{found.plain_memory_mb:10.1f}{found.gflop:8.1f}"
        f"{found.plain_gflop:8.1f}{found.difference:12.1e}"
    )


def main(words: list[str] | None = None) -> None:
    """Measure what is asked for; print it and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", default=list(UNLEARNERS), help="by default all")
    parser.add_argument("--shape", default="gpt2-4x128", choices=list(world.SHAPES))
    parser.add_argument("--vocabulary", type=int, help="by default that of the text")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--facts", type=int, default=32, help="to forget")
    parser.add_argument("--retain", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "unlearn.json")
    given = parser.parse_args(words)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    dtype = getattr(torch, given.dtype)
    model = world.model(given.shape, given.vocabulary, dtype, given.device)
    told = {"steps": given.steps, "batch": given.batch}
    asked = {k: v for k, v in vars(given).items() if k not in ("methods", "out")}
    about = {"machine": machine(), **asked}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    found: list[Measured] = []
    try:
        print(HEADER)
        for method in given.methods:
            ready = job(method, model, given.facts, given.retain, told)
            found.append(measure(ready, given.repeats, given.device))
            print(line(found[-1]), flush=True)
            # After each line: one that is ended early leaves what it has measured.
            written = {**about, "measured": [asdict(one) for one in found]}
            given.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
