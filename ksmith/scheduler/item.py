"""What a run is at: one claim, and the worker that has it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ksmith.records import Json
from ksmith.scheduler.pool import Slot
from ksmith.scheduler.progress import Running
from ksmith.store import Claim, Lease


@dataclass(slots=True, kw_only=True)
class Item:
    """A claim and who is at it: the process of a slot, or an orphan of a dead scheduler."""

    claim: Claim
    slot: Slot | None
    orphan: Lease | None = None
    begun: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    done: int = 0
    total: int = 0
    text: str = ""

    def is_asked(self, said: Mapping[str, Json]) -> bool:
        """Return whether an event is about this very attempt."""
        asked = (self.claim.key, self.claim.attempt, self.claim.fence)
        return (said.get("key"), said.get("attempt"), said.get("fence")) == asked

    def running(self, now: float) -> Running:
        """Return how far it is at a moment of the monotonic clock."""
        return Running(
            key=self.claim.key,
            kind=self.claim.kind,
            worker=self.slot.name if self.slot else "a worker of an earlier run",
            done=self.done,
            total=self.total,
            text=self.text,
            seconds=now - self.begun,
        )
