"""One attempt: from a spec to a published outcome folder, whatever the science does."""

import importlib.metadata
import json
import platform
import re
import resource
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO, final

from ksmith.records import (
    UNFINISHED,
    Json,
    Kind,
    Outcome,
    Reason,
    Spec,
    UserError,
    digests,
    publish,
)
from ksmith.worker import partial
from ksmith.worker.commit import working_copy
from ksmith.worker.job import Job
from ksmith.worker.provenance import difference, provenance

Handler = Callable[[Job], dict[str, Json]]  # returns Outcome.info
Handlers = Mapping[Kind, Handler]
Load = Callable[[], Handlers]
Emit = Callable[[dict[str, Json]], None]

PACKAGES = ("ksmith", "torch", "transformers", "tokenizers", "safetensors", "numpy", "polars")
KEY = re.compile(r"[a-z]+-\d+-[0-9a-f]{20}")
PROGRESS_SECONDS = 0.5  # at most one line in that time


class Preempted(BaseException):
    """Somebody asked this process to end: not an error of the work."""


class Unfinished(Exception):
    """Work that failed, some of which is there: for what reason, and what `Outcome.info` says.

    Its folder holds what was done, in the files that it would have had.
    """

    def __init__(self, failure: Exception, left: dict[str, Json], **info: Json) -> None:
        super().__init__(one_line(failure))
        self.failure = failure
        self.info: dict[str, Json] = {UNFINISHED: left, **info}


@final
class Stop:
    """What SIGTERM does: end the work, or the waiting for it; never the publishing."""

    def __init__(self) -> None:
        self.asked = False
        self._working = False
        self._waiting = False

    def __call__(self, _signal: int, _frame: object) -> None:
        self.asked = True
        if self._waiting:
            sys.exit(128 + signal.SIGTERM)
        if self._working:
            self._working = False
            raise Preempted

    def wait(self, stream: TextIO) -> str:
        """Return the next line of `stream`, "" at its end or where no more is to be done."""
        self._waiting = True
        try:
            return "" if self.asked else stream.readline()
        finally:
            self._waiting = False

    def work(self, handler: Handler, job: Job) -> dict[str, Json]:
        """Return what the handler returns, or raise Preempted in the middle of it."""
        self._working = True
        try:
            if self.asked:
                raise Preempted
            return handler(job)
        finally:
            self._working = False


@dataclass(frozen=True, slots=True)
class Performed:
    """How an attempt ended, with the very exception where there was one."""

    outcome: Outcome
    failure: BaseException | None


@final
class _Teller:
    """Events of one attempt: to the scheduler, and into the folder."""

    def __init__(self, spec: Spec, emit: Emit | None) -> None:
        self._who = {"key": spec.key, "attempt": spec.attempt, "fence": spec.fence}
        self._emit = emit
        self._file: TextIO | None = None
        self._last = float("-inf")

    def keep(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def tell(self, event: str, **more: Json) -> None:
        if self._file:
            line = json.dumps({"time": round(time.time(), 3), "event": event, **more})
            self._file.write(f"{line}\n")
            self._file.flush()
        if self._emit:
            self._emit({**self._who, "event": event, **more})

    def progress(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS or done == total:
            self._last = now
            self.tell("progress", done=done, total=total, text=text)


def check(spec: Spec) -> None:
    """Refuse a spec that would make the worker write or read outside its lab.

    Raises:
        UserError: its folder is not <home>/outcomes|assets/<key>/<attempt>-<fence>, or a need
            lies elsewhere than in that home's assets.
    """
    room = "outcomes" if spec.kind == "trial" else "assets"
    folder = Path(spec.folder)
    right = (room, spec.key, f"{int(spec.attempt)}-{int(spec.fence)}")
    fits = folder.is_absolute() and folder.parts[-3:] == right and ".." not in folder.parts
    if not (fits and KEY.fullmatch(spec.key)):
        raise UserError(f"folder {spec.folder!r} is not <home>/{'/'.join(right)}")
    assets = folder.parents[2].resolve() / "assets"
    for role, need in spec.needs.items():
        if not Path(need).resolve().is_relative_to(assets):
            raise UserError(f"what it needs as {role} is not in {assets}: {need!r}")


def perform(
    spec: Spec,
    load: Load,
    *,
    emit: Emit | None = None,
    stop: Stop | None = None,
    warm: dict[str, Any] | None = None,
) -> Performed:
    """Return one attempt, whose outcome is published in the spec's folder.

    `load` returns the handlers; it is called here so that a failing import is an outcome too.

    Raises:
        UserError: a spec that must not be performed; nothing was written.
        OSError: the outcome could not be published (disk full, folder there already); what was
            written of it is removed.
    """
    check(spec)
    teller = _Teller(spec, emit)
    folder = Path(spec.folder)
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        teller.keep(temporary / "events.jsonl")
        teller.tell("started")
        job = Job(
            spec=spec,
            folder=temporary,
            report=teller.progress,
            warm={} if warm is None else warm,
            partial=partial.room(spec),
        )
        done = _work(job, load, stop or Stop())
        teller.close()
        outcome = replace(done.outcome, files=digests(temporary))
        outcome.write(temporary)
        publish(folder)
        if outcome.reason == "ok":
            partial.drop(spec)
    except OSError:
        teller.close()
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Performed(outcome, done.failure)


@dataclass(frozen=True, slots=True)
class _Clocks:
    """Where the clocks stood at the start."""

    started: float
    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "_Clocks":
        return cls(time.time(), time.monotonic(), time.process_time())


def _work(job: Job, load: Load, stop: Stop) -> Performed:
    spec, clocks = job.spec, _Clocks.now()
    _ = versions(), difference()  # of now: somebody may edit the code while this runs
    info: dict[str, Json] = {}
    failure: BaseException | None = None
    try:
        info = stop.work(lambda job: load()[spec.kind](job), job)
    except Unfinished as error:
        info, failure = error.info, error.failure
    except (Exception, Preempted) as error:
        # The worker's border: whatever the science raises is recorded, and the next spec comes.
        failure = error
    text = "".join(traceback.format_exception(failure)) if failure else None
    sys.stderr.write(text or "")
    outcome = Outcome(
        key=spec.key,
        kind=spec.kind,
        attempt=spec.attempt,
        fence=spec.fence,
        reason=reason_of(failure),
        started=clocks.started,
        seconds=time.monotonic() - clocks.wall,
        cpu_seconds=time.process_time() - clocks.cpu,
        peak_memory=_peak_memory(),
        device=spec.device,
        host=socket.gethostname(),
        versions=versions(),
        files={},
        error=one_line(failure) if failure else None,
        traceback=text,
        info={**info, "provenance": provenance(job.folder.parents[2], spec.device)},
    )
    return Performed(outcome, failure)


def reason_of(failure: BaseException | None) -> Reason:
    """Return for what reason an attempt ended that raised `failure`."""
    if failure is None:
        return "ok"
    if isinstance(failure, Preempted):
        return "preempted"
    # By name: torch's own class is known only to who imports torch.
    names = {kind.__name__ for kind in type(failure).__mro__}
    return "oom" if names & {"MemoryError", "OutOfMemoryError"} else "error"


def one_line(failure: BaseException) -> str:
    """Return the exception as one line; a mistake of the user's by its message alone."""
    text = " ".join(str(failure).split())[:500]
    if isinstance(failure, UserError) and text:
        return text
    return f"{type(failure).__name__}: {text}" if text else type(failure).__name__


def _peak_memory() -> int:
    """Return the most bytes that were resident in this process's life so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@cache
def versions() -> dict[str, str]:
    """Return the version of Python, of each package that numbers could depend on, and of the code.

    `commit` and `dirty` are those of the checkout that this process was started in, if any.
    """
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | working_copy(Path.cwd())
