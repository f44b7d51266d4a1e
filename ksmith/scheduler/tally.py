"""What a run counts while it goes on, and what it tells of itself from that."""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ksmith.records import Kind, Reason
from ksmith.scheduler.item import Item
from ksmith.scheduler.plan import PENDING, Plan
from ksmith.scheduler.progress import Progress, Summary


@dataclass(slots=True)
class Tally:
    """Counts of one run; the plan knows how all nodes of its studies stand."""

    plan: Plan
    begun: float = field(default_factory=time.monotonic)
    first: float | None = None  # when the first trial ended
    ran: int = 0  # attempts that this run began
    trials: int = 0  # those that ended
    bad: int = 0  # attempts that ended otherwise than ok
    adopted: int = 0  # outcomes that an earlier run had left

    def end(self, item: Item, reason: Reason, state: str) -> None:
        """Count an attempt that ended, after which its node is in `state`."""
        if item.claim.kind == "trial" and state not in PENDING:
            self.trials += 1
            self.first = self.first or time.monotonic()
        self.bad += reason != "ok"
        self.adopted += item.orphan is not None and reason == "ok"

    def progress(
        self, items: Sequence[Item], wanted: Collection[int], now: float, *, stopping: bool
    ) -> Progress:
        """Return the run as it is at a moment of the monotonic clock."""
        states = self._states()
        pending = sum(states[state] for state in PENDING)
        # By the pace since the first trial ended: what was built before it is built once.
        more = self.trials - 1
        rate = more / (now - self.first) if self.first and more > 0 else None
        return Progress(
            trials=dict(states),
            assets=self._assets(),
            running=tuple(item.running(now) for item in items),
            finished=self.trials,
            failed=self.bad,
            seconds=now - self.begun,
            rate=rate,
            eta=pending / rate if rate else None,
            stopping=stopping,
            waiting=self._elsewhere(items, wanted),
        )

    def summary(self, wanted: Collection[int], *, stopped: bool) -> Summary:
        """Return how the run ended."""
        states = self._states()
        left = len(self.plan.trials & set(wanted))
        pending = sum(states[state] for state in PENDING)
        return Summary(
            trials=len(self.plan.trials),
            done=states["done"],
            failed=states["failed"],
            cancelled=states["cancelled"],
            blocked=pending - left,
            left=left,
            ran=self.ran,
            adopted=self.adopted,
            stopped=stopped,
            seconds=time.monotonic() - self.begun,
        )

    def _states(self) -> Counter[str]:
        return Counter(self.plan.states[id] for id in self.plan.trials)

    def _assets(self) -> dict[Kind, tuple[int, int]]:
        found: dict[Kind, tuple[int, int]] = {}
        for id, node in self.plan.dag.nodes.items():
            if node.kind != "trial":
                done, total = found.get(node.kind, (0, 0))
                found[node.kind] = (done + (self.plan.states[id] == "done"), total + 1)
        return found

    def _elsewhere(self, items: Sequence[Item], wanted: Collection[int]) -> int:
        """Return how many nodes another run is at."""
        mine = {item.claim.id for item in items}
        held = {id for id in wanted if self.plan.states[id] in {"leased", "running"}}
        return len(held - mine)
