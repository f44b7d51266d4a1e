"""A worker with harmless science: what each handler does is said in the recipe.

Run as `python fake_science.py`, it is a process like `python -m ksmith.worker`.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time

from ksmith.records import KINDS, Json
from ksmith.worker.attempt import Handlers, Unfinished
from ksmith.worker.job import Job
from ksmith.worker.loop import main


def handle(job: Job) -> dict[str, Json]:
    """Do what the recipe says, and leave a trace of having been executed."""
    orders: dict[str, Json] = {}
    for part in job.spec.recipe.values():
        if isinstance(part, dict):
            orders |= part.get("orders", {}).get(job.spec.kind, {})
    with (job.folder.parents[2] / "executed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{job.spec.key} {job.spec.attempt}-{job.spec.fence} {os.getpid()}\n")
    for role, need in job.spec.needs.items():
        assert (job.need(role) / "made.txt").exists(), need
    (job.folder / "made.txt").write_text(job.spec.key, encoding="utf-8")
    job.progress(0, 2, "half way")
    time.sleep(orders.get("sleep", 0))
    if "act" in orders:
        ACTS[orders["act"]](job)
    job.warm["count"] = job.warm.get("count", 0) + 1
    _measure(job, step=1)
    return {"count": job.warm["count"], "threads": os.environ.get("OMP_NUM_THREADS")}


def _measure(job: Job, step: int) -> None:
    row = {"step": step, "probe": "efficacy", "measure": "success", "value": 0.5, "n": 4}
    (job.folder / "metrics.json").write_text(json.dumps([row]), encoding="utf-8")


def _unfinished(job: Job) -> None:
    _measure(job, step=0)
    left = {"draws": {"finished": 0, "of": 2}}
    raise Unfinished(ValueError("it diverged"), left)


def _first(job: Job) -> bool:
    return job.spec.attempt == 1


def _die(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(job: Job) -> None:
    if _first(job):
        _die(job)


def _fail(job: Job) -> None:
    raise ValueError("the science is wrong")


def _fail_once(job: Job) -> None:
    if _first(job):
        _fail(job)


def _slow(job: Job) -> None:
    """Fail at once, and the next time go on for ever: what the node needs is done by then."""
    _fail_once(job)
    time.sleep(60)


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def _oom(job: Job) -> None:
    raise OutOfMemoryError("too big")


def _wait(job: Job) -> None:
    """Go on when there is a file called "go" in the lab."""
    end = time.monotonic() + 60
    while not (job.folder.parents[2] / "go").exists() and time.monotonic() < end:
        time.sleep(0.01)


def _garbage(job: Job) -> None:
    sys.stdout.write("{not json\n")
    sys.stdout.flush()
    subprocess.run(["/bin/echo", "said by a child"], check=True)


def _close_stdout(job: Job) -> None:
    if _first(job):
        os.closerange(3, 256)  # the protocol's pipe among them
        time.sleep(60)


def _full(job: Job) -> None:
    """As a full disk, for this process: no file grows any more, its log included."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))


def _term(job: Job) -> None:
    if _first(job):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


ACTS = {
    "die": _die,
    "die_once": _die_once,
    "fail": _fail,
    "fail_once": _fail_once,
    "slow": _slow,
    "oom": _oom,
    "garbage": _garbage,
    "close_stdout": _close_stdout,
    "term": _term,
    "full": _full,
    "wait": _wait,
    "unfinished": _unfinished,
}

HANDLERS: Handlers = {kind: handle for kind in KINDS}

if __name__ == "__main__":
    sys.exit(main(lambda: HANDLERS))
