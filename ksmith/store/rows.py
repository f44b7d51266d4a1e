"""What the store answers with: studies, nodes, trials, attempts and leases as they stand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ksmith.records import Json, Kind
from ksmith.store.claims import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study and how far its trials are."""

    id: int
    name: str
    question: str
    text: str
    created: int
    states: Mapping[str, int]  # state -> number of trials, only those that occur

    @property
    def trials(self) -> int:
        """How many there are."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A trial or an asset as it stands."""

    id: int
    key: str
    kind: Kind
    recipe: dict[str, Json]
    files: dict[str, str]
    group: str
    state: str
    attempts: int
    folder: str | None  # relative to the home, of the attempt that counts
    reason: str | None
    cancel_requested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial in one study."""

    id: int
    key: str
    position: int
    state: str
    attempts: int
    seconds: float | None  # of the attempt that counts
    reason: str | None  # why it failed; for a blocked one, the need that did
    folder: str | None
    run_id: str | None
    axes: dict[str, Json]
    settings: dict[str, Json]  # by dotted names


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One try at a node."""

    id: int
    no: int
    fence: int
    state: str
    host: str | None
    pid: int | None
    device: str | None
    exit_code: int | None
    error: str | None
    folder: str
    log: str
    started: int
    ended: int | None
    seconds: float | None
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A node that somebody holds, and the worker on it where one is known."""

    claim: Claim
    expired: bool
    cancel_requested: bool
    state: str
    host: str | None
    boot: str | None
    pid: int | None
    pid_started: int | None
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """The nodes that studies are made of, as they stand."""

    nodes: Mapping[int, NodeRow]
    needs: Collection[tuple[int, int]]  # (node, what it needs)
    trials: frozenset[int]
