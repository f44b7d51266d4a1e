"""The worker processes: started when first needed, fed by lines, killed as a group."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from ksmith.records import Json, Spec
from ksmith.scheduler.devices import ORDER, Device
from ksmith.scheduler.processes import boot, host, kill_group, started
from ksmith.store import Worker

# One thread each: with two or more that contend, a worker is ten times slower.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
READ = 1 << 16
LONGEST = 1 << 20  # bytes without an end of line: no event of ours


def worker_command() -> list[str]:
    """Return how to start a worker."""
    return module_command("ksmith.worker")


def module_command(name: str) -> list[str]:
    """Return how to start a module: it finds others where this process does, nowhere else."""
    # -P keeps a random.py in the user's folder from being imported instead of Python's.
    unsafe = {"", str(Path.cwd())} & set(sys.path)
    return [sys.executable, *([] if unsafe else ["-P"]), "-m", name]


@final
class Slot:
    """A place for one worker process on one device, and the process if it has been needed."""

    def __init__(self, name: str, device: Device, command: Sequence[str]) -> None:
        self.name = name
        self.device = device
        self.warm: str | None = None  # the group whose model the process has loaded
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._unread = b""

    def start(self, log: Path) -> Worker:
        """Return the running worker; a new one writes to `log` until it has a spec."""
        if self.process is None:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as errors:
                self.process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self._environment(),
                    start_new_session=True,  # Ctrl-C at the terminal is not for the workers
                )
            assert self.process.stdout
            os.set_blocking(self.process.stdout.fileno(), False)
            self._unread = b""
        pid = self.process.pid
        return Worker(
            host=host(),
            boot=boot(),
            pid=pid,
            pid_started=started(pid) or 0,
            device=self.device.label,
        )

    def _environment(self) -> Mapping[str, str]:
        only = {"CUDA_VISIBLE_DEVICES": self.device.uuid} if self.device.uuid else {}
        return {**os.environ, **ENVIRONMENT, **ORDER, **only}

    @property
    def stdout(self) -> int | None:
        """The descriptor to wait for."""
        return self.process.stdout.fileno() if self.process and self.process.stdout else None

    def send(self, spec: Spec) -> bool:
        """Return whether the worker could be given `spec`; a dead one cannot."""
        assert self.process and self.process.stdin
        try:
            self.process.stdin.write(f"{spec.to_line()}\n".encode())
            self.process.stdin.flush()
        except OSError:
            return False
        return True

    def events(self) -> tuple[list[dict[str, Json]], bool]:
        """Return the events that have arrived, and whether there can be no more.

        What is not an event, a library's own words for example, is left out.
        """
        assert self.stdout is not None
        try:
            data = os.read(self.stdout, READ)
        except BlockingIOError:
            return [], False
        *lines, self._unread = (self._unread + data).split(b"\n")
        if len(self._unread) > LONGEST:
            self._unread = b""
        return [event for line in lines if (event := _event(line))], not data

    def exited(self) -> int | None:
        """Return the exit code of a worker that has ended by itself, else None."""
        return self.process.poll() if self.process else None

    def dismiss(self) -> None:
        """Give the worker the sign to go once it is done: the end of its stdin."""
        if self.process:
            _close(self.process.stdin)

    def ask(self) -> None:
        """Ask the worker to end now: what is half done can be kept, for the next attempt."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def end(self, *, wait: float = 0.0) -> int | None:
        """Return the exit code of the worker, killed unless it ends within `wait` seconds."""
        process, self.process, self.warm = self.process, None, None
        if process is None:
            return None
        try:
            if wait:
                _close(process.stdin)
            process.wait(wait)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
        return process.returncode


def _close(pipe: object) -> None:
    try:
        pipe.close()  # pyright: ignore[reportAttributeAccessIssue]
    except (OSError, AttributeError):
        return  # a dead worker's stdin cannot be flushed


def _event(line: bytes) -> dict[str, Json] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None
