"""What a run tells of itself while it goes on, and at its end."""

from collections.abc import Mapping
from dataclasses import dataclass

from ksmith.records import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One attempt under way."""

    key: str
    kind: Kind
    worker: str
    done: int
    total: int
    text: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run at one moment."""

    trials: Mapping[str, int]  # state -> number
    assets: Mapping[Kind, tuple[int, int]]  # kind -> (done, all)
    running: tuple[Running, ...]
    finished: int  # trials that ended in this run
    failed: int  # attempts that ended otherwise than ok, in this run
    seconds: float  # since the run began
    rate: float | None  # trials per second; None before the first
    eta: float | None  # seconds to go
    stopping: bool  # no more is claimed
    waiting: int  # nodes that another run is at


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run ended. The numbers of trials are those of the studies, whoever ran them."""

    trials: int
    done: int
    failed: int
    cancelled: int
    blocked: int  # for good: something they need failed or was cancelled
    left: int  # still to run: the run was stopped
    ran: int  # attempts that this run began, at trials and assets
    adopted: int  # outcomes that an earlier run had left
    stopped: bool
    seconds: float
