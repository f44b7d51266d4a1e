"""The process around the attempts: specs come in as lines, events go out as lines.

A worker knows no database. The end of stdin means: finish what you are at, then go; so the work
of a scheduler that was killed is not lost, the next one finds the folder. Whatever the science
prints goes to the attempt's log, because stdout belongs to the protocol:

    {"key", "attempt", "fence", "event": "started" | "progress" | "finished",
     "done", "total", "text", "reason"}
"""

import argparse
import errno
import faulthandler
import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from ksmith.records import Json, Reason, Spec, UserError
from ksmith.worker.attempt import Emit, Load, Stop, check, one_line, perform

TEXT = 500  # letters; a line stays below 4096 bytes, which a pipe takes in one piece


@final
class _Loop:
    """What outlives one spec."""

    def __init__(self, load: Load, emit: Emit) -> None:
        self.load = load
        self.emit = emit
        self.stop = Stop()
        self.warm: dict[str, Any] = {}

    def one(self, line: str) -> Reason:
        """Return how the attempt at the spec in `line` ended; the scheduler was told."""
        try:
            spec = Spec.from_line(line)
            check(spec)
        except (ValueError, TypeError, AttributeError, UserError) as error:
            sys.stderr.write(f"refused: {error}\n")
            self.emit({"event": "refused", "text": str(error)})
            return "error"
        who = {"key": spec.key, "attempt": spec.attempt, "fence": spec.fence}
        try:
            _log_to(Path(f"{spec.folder}.log"))
            outcome = perform(
                spec, self.load, emit=self.emit, stop=self.stop, warm=self.warm
            ).outcome
            reason, text = outcome.reason, outcome.error or ""
        except OSError as error:
            reason, text = "error", f"the outcome could not be kept: {one_line(error)}"
            with suppress(OSError):  # the log's disk may be as full: the scheduler is told
                sys.stderr.write(f"{text}\n")
        with suppress(OSError):
            _flush()
        self.emit({**who, "event": "finished", "reason": reason, "text": text})
        return reason


def main(load: Load) -> int:
    """Return the exit code of a worker process; `load` imports the science when needed."""
    parser = argparse.ArgumentParser(prog="ksmith.worker", description=(__doc__ or "").strip())
    parser.add_argument("--spec", type=Path, help="perform the one spec in this file")
    asked = parser.parse_args()
    loop = _Loop(load, _protocol())
    signal.signal(signal.SIGTERM, loop.stop)
    faulthandler.enable()
    if asked.spec:
        return 0 if loop.one(asked.spec.read_text(encoding="utf-8")) == "ok" else 1
    while line := loop.stop.wait(sys.stdin):
        if line.strip():
            loop.one(line)
    return 0


def _protocol() -> Emit:
    """Return what sends events to the real stdout; print() goes to stderr from here on."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    os.set_blocking(pipe, False)
    return lambda event: _send(pipe, event)


def _send(pipe: int, event: Mapping[str, Json]) -> None:
    """Write one event. Where nobody reads, work goes on: only the end is waited for."""
    short = {**event, "text": str(event.get("text", ""))[:TEXT]}
    line = json.dumps(short, ensure_ascii=False).encode(errors="replace")
    while True:
        try:
            os.write(pipe, line + b"\n")
        except BlockingIOError:  # the reader was stopped, and the pipe is full
            if event["event"] != "finished":
                return
            select.select([], [pipe], [])
        except OSError as error:
            if error.errno != errno.EPIPE:  # the reader is dead
                raise
            return
        else:
            return


def _log_to(path: Path) -> None:
    """Let everything that this process says from now on go to the end of `path`."""
    _flush()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
