"""What is handed out with a lease, and what comes back: claims, workers, how attempts end."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ksmith.records import Json, Kind, Metric, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one node, and the right to end it while `owner` holds the lease."""

    id: int  # of the node
    key: str
    kind: Kind
    recipe: dict[str, Json]
    files: dict[str, str]
    group: str
    fence: int
    attempt: int  # number of the try, from 1
    attempt_id: int
    owner: str
    folder: str  # relative to the home
    log: str
    needs: Mapping[str, tuple[str, str]]  # role -> (key, folder relative to the home)

    def of(self, owner: str) -> "Claim":
        """Return the same claim as another owner has it."""
        return dataclasses.replace(self, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The process that runs an attempt; its start tells it from a later one of that pid."""

    host: str
    boot: str
    pid: int
    pid_started: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often a node is tried again, by the reason for which its attempt ended."""

    max_lost: int = 1  # lost and preempted
    retries: int = 0  # error, oom and timeout
    backoff: int = 0  # seconds before the next try


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an attempt ended, and what it measured."""

    reason: Reason
    error: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    metrics: Sequence[Metric] = field(default_factory=tuple)
    unfinished: bool = False  # it failed, and what it had done by then is in its folder


Renewal = Literal["held", "cancel", "fenced"]
