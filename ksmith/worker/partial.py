"""What attempts at a node have done so far, kept for the next one, which goes on from there.

    partial = Partial.take(job)
    path = partial.find("sums.safetensors")            # what an earlier attempt kept, or None
    ...
    if partial.due():                                  # seldom enough to cost little
        partial.keep("sums.safetensors", lambda path: save_file(sums, path, {"row": "512"}))

It lies in `<home>/partial/<key>/<attempt>-<fence>/` and goes when an attempt at the node ends
well. An attempt takes it over by renaming the folder: one that is late, and still at work, finds
its own gone, and ends. Each file appears whole or not at all; what belongs together (sums, and
how far they go) belongs into one file, which says in itself what the key does not.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import final

from ksmith.records import Spec
from ksmith.worker.job import Job

ROOM = "partial"
NAME = re.compile(r"(\d+)-(\d+)")  # <attempt>-<fence>
SECONDS = 30.0  # at least, between two times that something is kept
SHARE = 0.05  # of the time that the work takes, at most, for keeping it


def room(spec: Spec) -> Path:
    """Return the folder for what attempts at the node of `spec` leave half done."""
    return Path(spec.folder).parents[2] / ROOM / spec.key


def drop(spec: Spec) -> None:
    """Forget what was half done of a node that is done."""
    shutil.rmtree(room(spec), ignore_errors=True)


@final
class Partial:
    """One attempt's hold on what is half done; `folder` is None where nothing is to be kept."""

    def __init__(self, folder: Path | None, seconds: float = SECONDS) -> None:
        self.folder = folder
        self._seconds = seconds
        self._kept = time.monotonic()
        self._cost = 0.0  # seconds, the last time

    @classmethod
    def take(cls, job: Job, seconds: float = SECONDS) -> "Partial":
        """Return what earlier attempts at the node of `job` left; it is this attempt's now.

        `seconds` pass at least between two times that it is `due`. A job outside a lab (a trial
        that is run again, to compare) keeps nothing.
        """
        if job.partial is None:
            return cls(None, seconds)
        mine = job.partial / f"{job.spec.attempt}-{job.spec.fence}"
        number = (job.spec.fence, job.spec.attempt)
        # Never that of a newer attempt: then it is this one that is late.
        older = sorted((n, path) for n, path in _numbered(job.partial) if n <= number)
        mine.parent.mkdir(parents=True, exist_ok=True)
        if older and older[-1][1] != mine:
            with suppress(FileNotFoundError):  # taken by another in this very moment
                older[-1][1].rename(mine)
        mine.mkdir(exist_ok=True)
        for _, path in older[:-1]:
            shutil.rmtree(path, ignore_errors=True)
        for path in mine.glob("*.tmp"):
            path.unlink()
        return cls(mine, seconds)

    def find(self, name: str) -> Path | None:
        """Return the path of what was kept under `name`, or None."""
        path = self.folder / name if self.folder else None
        return path if path and path.exists() else None

    def due(self) -> bool:
        """Return whether it is time to keep what is done, by what that cost the last time."""
        wait = max(self._seconds, self._cost / SHARE)
        return self.folder is not None and time.monotonic() - self._kept >= wait

    def keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Let `write` make a file at the path that it is given, then call it `name`.

        What was kept under that name before is there until the new one is whole.

        Raises:
            FileNotFoundError: a newer attempt has taken over.
            OSError: the file cannot be written; what was kept before is still there.
        """
        if self.folder is None:
            return
        start = time.monotonic()
        if not self.folder.exists():
            raise FileNotFoundError(f"{self.folder} is gone: a newer attempt has taken over")
        temporary = self.folder / f"{name}.tmp"
        try:
            write(temporary)
            _flush(temporary)
            temporary.rename(self.folder / name)
            _flush(self.folder)
        finally:
            temporary.unlink(missing_ok=True)
            self._kept = time.monotonic()
            self._cost = self._kept - start

    def forget(self, name: str) -> None:
        """Remove what was kept under `name`, if anything was."""
        if path := self.find(name):
            path.unlink(missing_ok=True)


def _numbered(folder: Path) -> list[tuple[tuple[int, int], Path]]:
    """Return ((fence, attempt), path) of each attempt's folder."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.glob("*")]
    return [((int(name[2]), int(name[1])), path) for name, path in found if name]


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
