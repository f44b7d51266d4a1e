"""How benchmarks measure: CPU time, memory, and what a case of them is."""

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

RESULTS = Path(__file__).parent / "results"


FEW = 3  # requests that the plain loop is run for


LONG = 100  # requests, of which the whole edit alone is timed, and once


@dataclass(frozen=True)
class Checked:
    """Both ways are the same, and what they multiply."""

    difference: float
    gflop: float  # a request
    plain_gflop: float


class Job(Protocol):
    """A case, ready to be run for any number of requests."""

    def parts(self, n: int) -> dict[str, Callable[[], object]]:
        """Return what is timed of `n` requests."""
        ...

    def plain(self, i: int) -> object:
        """Run the plain loop for request `i`."""
        ...

    def check(self, n: int) -> Checked:
        """Return how far the two are apart for the first of `n` requests."""
        ...


def cpu_ms(run: Callable[[], object]) -> float:
    """Return the process's CPU time in milliseconds."""
    start = time.process_time()
    run()
    return 1e3 * (time.process_time() - start)


def spent_ms(run: Callable[[], object], device: str) -> float:
    """Return the CPU time of a run in milliseconds; on a GPU the wall time, all of it done."""
    if device == "cpu":
        return cpu_ms(run)
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def growth_mb(run: Callable[[], object], device: str = "cpu") -> float:
    """Return by how much resident memory, or what is allocated on a GPU, grows at most.

    What was freed before is given back first, where the C library can: else nothing would grow.
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        there = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - there) / 2**20
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
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


def machine() -> dict[str, Any]:
    """Return what the numbers depend on beside the code."""
    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
    }
