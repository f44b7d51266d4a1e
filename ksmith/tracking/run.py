"""What MLflow is told of one attempt: plain data, read from the store, sent by `send`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Status = Literal["FINISHED", "FAILED", "KILLED"]

# "ok" and "error" end a run by themselves; every other reason came from outside.
STATUS: dict[str, Status] = {"ok": "FINISHED", "error": "FAILED", "oom": "FAILED"}


def status(reason: str | None) -> Status:
    """Return the state in which MLflow shows an attempt that ended by `reason`."""
    return STATUS.get(reason or "lost", "KILLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of one metric. Those of the update's own quality are the checkpoint's, too."""

    name: str
    value: float  # nan and inf as they are
    step: int
    headline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The knowledge graph as a dataset: runs with one `digest` used the same one."""

    name: str
    digest: str
    source: str  # absolute folder
    profile: dict[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An updated model: the file with its deltas, where it lies and what made it."""

    name: str
    file: Path
    tags: dict[str, str]
    params: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file and the folder in the run's artifacts where it goes ("" is the top)."""

    file: Path
    folder: str = ""
    name: str = ""  # there; "" keeps the file's own
    asset: bool = False  # of a shared asset: linked, but uploaded with the asset's own run only

    @property
    def target(self) -> str:
        """The path in the run's artifacts."""
        name = self.name or self.file.name
        return f"{self.folder}/{name}" if self.folder else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One MLflow run: one attempt at a trial, or at an asset, in one study."""

    study: str
    about: str  # the experiment's description
    name: str
    key: str
    attempt: int
    status: Status
    started: int  # ms since the epoch
    ended: int
    note: str = ""  # markdown
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    graph: Graph | None = None
    checkpoint: Checkpoint | None = None
    artifacts: tuple[Artifact, ...] = ()
