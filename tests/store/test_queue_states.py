"""Whatever schedulers do, in any order, the queue's promises hold."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ksmith.records import Reason
from ksmith.store import Claim, End, Store, Worker
from tests.scheduler.small import study, trials

WORKER = Worker(host="here", boot="b", pid=1, pid_started=2, device="cpu")
OWNERS = st.sampled_from(["one", "two"])
REASONS: st.SearchStrategy[Reason] = st.sampled_from(
    ["ok", "ok", "error", "oom", "lost", "preempted", "cancelled"]
)
SETTINGS = settings(
    max_examples=12, stateful_step_count=25, deadline=None, derandomize=True, database=None
)


class Queue(RuleBasedStateMachine):
    claims: Bundle[Claim] = Bundle("claims")
    make: ClassVar[Callable[[Path], Store]]  # folder -> a store without rows
    room: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(dir=self.room))
        self.store = type(self).make(self.home)
        self.store.add(study("s", trials(2)))
        for _ in range(4):  # graph, model and the answers before: near to the trials
            held = self.store.claim("one")
            assert held and self.store.finish(held, End(reason="ok")) == "done"
        self.fences: dict[int, int] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.home)

    def holds(self, held: Claim) -> bool:
        """Return whether the claim still counts, by the rows."""
        return any(
            lease.claim.attempt_id == held.attempt_id and lease.claim.owner == held.owner
            for lease in self.store.leases()
        )

    @rule(target=claims, owner=OWNERS, late=st.booleans())
    def claim(self, owner: str, late: bool) -> Claim | MultipleResults[Claim]:
        held = self.store.claim(owner, ttl=-10 if late else 60)
        if held is None:
            return multiple()
        assert held.fence > self.fences.get(held.id, 0)
        return held

    @rule(held=claims)
    def start(self, held: Claim) -> None:
        expected = self.holds(held)
        assert self.store.start(held, WORKER) == expected

    @rule(held=claims)
    def renew(self, held: Claim) -> None:
        expected = self.holds(held)
        assert (self.store.renew(held) != "fenced") == expected

    @rule(held=claims, reason=REASONS)
    def finish(self, held: Claim, reason: Reason) -> None:
        expected = self.holds(held)
        state = self.store.finish(held, End(reason=reason))
        assert (state is not None) == expected
        assert reason != "ok" or state in {None, "done"}

    @rule(held=claims)
    def give_back(self, held: Claim) -> None:
        expected = self.holds(held)
        assert self.store.give_back(held) == expected

    @rule(target=claims, held=claims, owner=OWNERS, dead=st.booleans())
    def take_over(self, held: Claim, owner: str, dead: bool) -> Claim | MultipleResults[Claim]:
        if self.store.take_over(held, owner, dead=dead):
            return held.of(owner)
        return multiple()

    @rule(position=st.integers(0, 1))
    def cancel(self, position: int) -> None:
        self.store.cancel([self.store.trials("s")[position].id])

    @rule(position=st.integers(0, 1))
    def retry(self, position: int) -> None:
        self.store.retry([self.store.trials("s")[position].id])

    @rule(kind=st.sampled_from(["graph", "model"]))
    def undo(self, kind: str) -> None:
        row = self.store.find(kind)
        if row.folder:
            assert self.store.undo(row.key, row.folder) == (row.state == "done")

    @invariant()
    def promises(self) -> None:
        dag = self.store.dag([1])
        for node in dag.nodes.values():
            tried = self.store.attempts(node.id)
            open_ones = [attempt for attempt in tried if attempt.state == "started"]
            assert len(open_ones) == (node.state in {"leased", "running"})
            assert [attempt.no for attempt in tried] == list(range(1, len(tried) + 1))
            assert sum(attempt.state == "ok" for attempt in tried) <= 1 or node.kind != "trial"
            if node.state == "done":
                (counts,) = [one for one in tried if one.folder == node.folder]
                assert counts.state == "ok"
            self.fences[node.id] = max([0, *(attempt.fence for attempt in tried)])
        for id, need in dag.needs:
            if dag.nodes[id].state == "ready":
                assert dag.nodes[need].state == "done"

    @invariant()
    def outbox_has_every_closed_attempt_at_a_trial(self) -> None:
        with self.store.read() as connection:
            told = connection.exec_driver_sql(
                "SELECT attempt_id FROM outbox ORDER BY attempt_id"
            ).scalars()
            closed = connection.exec_driver_sql(
                "SELECT attempt.id FROM attempt JOIN node ON node.id = node_id "
                "WHERE kind = 'trial' AND attempt.state <> 'started' ORDER BY attempt.id"
            ).scalars()
            assert list(told) == list(closed)


class ForgetfulQueue(Queue):
    """A queue that forgets who is at what."""

    @rule()
    def forget(self) -> None:
        with self.store.write() as connection:
            connection.exec_driver_sql("UPDATE node SET state = 'ready' WHERE state = 'leased'")


def test_queue_keeps_its_promises(make: Callable[[Path], Store], tmp_path: Path) -> None:
    Queue.make, Queue.room = staticmethod(make), tmp_path
    assert run_state_machine_as_test(Queue, settings=SETTINGS) is None


def test_a_queue_that_breaks_them_is_found_out(
    make: Callable[[Path], Store], tmp_path: Path
) -> None:
    Queue.make, Queue.room = staticmethod(make), tmp_path
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            ForgetfulQueue, settings=settings(SETTINGS, phases=[Phase.generate])
        )
