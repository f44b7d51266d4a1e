"""Running studies: claim what is ready, hand it to workers, bring in what they leave.

One thread, one loop. The database is the truth about who may do what; this process only knows
which of its workers is at which claim. It can be killed at any line: the next run adopts what
its workers finished.
"""

import select
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from sqlalchemy.exc import DBAPIError

from ksmith.records import Json, Reason
from ksmith.scheduler import leases
from ksmith.scheduler.attempts import can_begin, end_of, last_line, published, spec_of, sweep
from ksmith.scheduler.devices import Choice, devices
from ksmith.scheduler.item import Item
from ksmith.scheduler.plan import make
from ksmith.scheduler.pool import Slot, worker_command
from ksmith.scheduler.processes import Owner, kill_group
from ksmith.scheduler.progress import Progress, Summary
from ksmith.scheduler.signals import caught, signal_name
from ksmith.scheduler.tally import Tally
from ksmith.store import Claim, Lease, Policy, Store

TICK = 0.2  # seconds between two looks at processes, when nothing else happens
LOOK = 1.0  # ... at what other runs do, or so much longer
LOOK_SHARE = 20  # ... that looking takes a twentieth of the time
REPORT = 0.25
GOODBYE = 5.0  # seconds that an idle worker has to end by itself
FAREWELL = 10.0  # ... that one at work has, to keep what is half done

TOLD: frozenset[Reason] = frozenset({"error", "oom", "timeout", "preempted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run."""

    workers: int | None = None  # None: one a GPU, else one a processor
    device: Choice = "auto"  # auto: the GPUs that torch can use, else processors
    ttl: int = 60  # seconds of a lease; renewed after a quarter
    timeout: float | None = None  # seconds that one attempt may take
    policy: Policy = field(default_factory=Policy)
    trials: Collection[int] | None = None  # ids; None: all of the studies
    command: Sequence[str] | None = None  # how to start a worker


def run(
    store: Store,
    studies: Sequence[str],
    options: Options | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Return how it ended, once nothing of `studies` is left to run, or Ctrl-C was pressed.

    Ctrl-C once lets running attempts end, twice (or SIGTERM) stops them, which have some seconds
    to keep what is half done, and gives their leases back. Workers are processes of their own
    sessions, so the terminal's Ctrl-C does not reach them.

    Raises:
        UserError: there is no such study.
    """
    ids = [store.study(name).id for name in studies]
    return _Run(store, ids, options or Options(), progress).go()


@final
class _Run:
    def __init__(
        self,
        store: Store,
        study_ids: Sequence[int],
        options: Options,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.store = store
        self.study_ids = study_ids
        self.options = options
        self.progress = progress
        self.me = Owner.me()
        self.plan = make(store, study_ids, options.trials)
        self.wanted = self.plan.wanted()
        self.items: list[Item] = []
        self.slots: list[Slot] = []
        self.tally = Tally(self.plan)
        self.stops = 0  # 1: claim no more; 2: stop what runs
        self.hungry = True  # something may be ready that was not
        self.next_look = self.reported = float("-inf")

    # --- the loop -------------------------------------------------------------------------

    def go(self) -> Summary:
        with caught(self._stop):
            try:
                self._look()
                while not self._over():
                    self._fill()
                    self._report()
                    self._listen()
                    self._watch()
                    if time.monotonic() > self.next_look:
                        self._look()
            finally:
                self._close()
        self._refresh()
        self._report(force=True)
        return self.tally.summary(self.wanted, stopped=self.stops > 0)

    def _stop(self, number: int) -> None:
        self.stops += 1 if number == signal.SIGINT else 2

    def _over(self) -> bool:
        if self.stops >= 2:
            return True
        if self.items:
            return False
        return self.stops == 1 or not self.wanted

    def _look(self) -> None:
        """Take in what other runs did, and what dead ones left."""
        begun = time.monotonic()
        mine = {item.claim.id: item for item in self.items}
        for lease in self.store.leases():
            item = mine.get(lease.claim.id)
            if item is None and not self.stops:
                self._inherit(lease)
            elif item and lease.cancel_requested:
                self._stop_item(item, "cancelled", "cancelled by hand")
        self._refresh()
        now = time.monotonic()
        self.next_look = now + max(LOOK, LOOK_SHARE * (now - begun))

    def _refresh(self) -> None:
        self.plan.update(self.store.standing(self.study_ids))
        self.wanted = self.plan.wanted()
        self.hungry = True

    def _inherit(self, lease: Lease) -> None:
        if lease.claim.id not in self.wanted and leases.lives(lease):
            return  # another study's: its next run will wait for it
        claim = leases.take(self.store, self.me, lease, self.options.ttl)
        if claim is None:
            return
        left = leases.settle(self.store, claim, lease, self.options.policy)
        self.tally.adopted += left == "adopted"
        if left == "living":
            slot = next(
                (slot for slot in self._idle() if slot.device.label == lease.device), None
            )
            self.items.append(Item(claim=claim, slot=slot, orphan=lease))

    # --- handing out ----------------------------------------------------------------------

    def _idle(self) -> list[Slot]:
        if not self.slots:
            command = self.options.command or worker_command()
            places = devices(self.options.workers, self.options.device)
            self.slots = [
                Slot(f"worker {number}", device, command)
                for number, device in enumerate(places, 1)
            ]
        busy = [item.slot for item in self.items]
        return [slot for slot in self.slots if slot not in busy]

    def _fill(self) -> None:
        """Give work to idle workers, to those that run already first."""
        if self.stops or not self.hungry or not self.wanted:
            return
        for slot in sorted(self._idle(), key=lambda slot: slot.process is None):
            claim = self.store.claim(
                str(self.me), wanted=self.wanted, warm=slot.warm, ttl=self.options.ttl
            )
            if claim is None:
                self.hungry = False
                return
            self._begin(slot, claim)

    def _begin(self, slot: Slot, claim: Claim) -> None:
        if not can_begin(self.store, claim):
            self.next_look = float("-inf")
            return
        try:
            worker = slot.start(self.store.home / claim.log)
        except OSError:
            self.store.give_back(claim)
            raise
        # Written before the worker is told, so that no worker is at what nobody knows of.
        if not self.store.start(claim, worker):
            return
        item = Item(claim=claim, slot=slot)
        self.items.append(item)
        self.tally.ran += 1
        slot.send(spec_of(self.store.home, claim, slot.device.name))  # a dead one is seen later

    # --- bringing in ----------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait for events, at most a tick, and act on them."""
        ears = {slot.stdout: slot for slot in self.slots if slot.stdout is not None}
        poll = select.poll()
        for pipe in ears:
            poll.register(pipe, select.POLLIN)
        for pipe, _ in poll.poll(TICK * 1000):
            slot = ears[pipe]
            events, ended = slot.events()
            for event in events:
                self._hear(slot, event)
            if ended:
                self._gone(slot, wait=1.0)

    def _hear(self, slot: Slot, event: Mapping[str, Json]) -> None:
        item = next((item for item in self.items if item.slot is slot), None)
        if item is None or item.orphan:
            return
        if event["event"] == "refused":
            self._conclude(item, "error", str(event.get("text")))
            return
        if not item.is_asked(event):
            return
        if event["event"] == "progress":
            item.done = _number(event.get("done"))
            item.total = _number(event.get("total"))
            item.text = str(event.get("text", ""))
        elif event["event"] == "finished":
            slot.warm = item.claim.group
            reason = event.get("reason")
            told: Reason = reason if reason in TOLD else "lost"
            if told == "preempted":
                slot.end(wait=GOODBYE)  # it is on its way out, and reads no more
            self._conclude(item, told, str(event.get("text") or "") or None)

    def _conclude(
        self, item: Item, otherwise: Reason, error: str | None, exit_code: int | None = None
    ) -> None:
        """End an item: by its folder if that was published, else as told."""
        self.items.remove(item)
        claim = item.claim
        end = end_of(self.store.home, claim, otherwise, error, exit_code)
        state = self.store.finish(claim, end, self.options.policy)
        if state is not None:  # None: fenced, and another's to tell of
            self.plan.update({claim.id: (state, claim.folder if state == "done" else None)})
            self.tally.end(item, end.reason, state)
        if state == "done":
            self.wanted -= {claim.id}
            self.hungry = True
        else:
            self.next_look = float("-inf")

    def _gone(self, slot: Slot, *, wait: float = 0.0) -> None:
        """A worker has ended, or said its last word."""
        code = slot.end(wait=wait)
        item = next((item for item in self.items if item.slot is slot), None)
        if item is None or item.orphan:
            return
        sweep(self.store.home, item.claim)
        last = last_line(self.store.home / item.claim.log)
        how = f"killed by {signal_name(-code)}" if code and code < 0 else f"exited with {code}"
        self._conclude(item, "lost", f"its worker {how}" + (f": {last}" if last else ""), code)

    # --- keeping --------------------------------------------------------------------------

    def _watch(self) -> None:
        """Renew leases, see to dead workers, orphans and what takes too long."""
        for slot in self.slots:
            if slot.exited() is not None:
                self._gone(slot)
        for item in list(self.items):
            if item.orphan:
                self._watch_orphan(item, item.orphan)
        now = time.monotonic()
        for item in list(self.items):
            if self.options.timeout and now - item.begun > self.options.timeout:
                self._stop_item(item, "timeout", f"longer than {self.options.timeout:g} s")
            elif now - item.renewed > self.options.ttl / 4:
                self._renew(item)

    def _watch_orphan(self, item: Item, orphan: Lease) -> None:
        working = leases.lives(orphan)  # asked first: a worker publishes before it ends
        if published(self.store.home, item.claim) is not None or not working:
            if not working:
                sweep(self.store.home, item.claim)
            self._conclude(item, "lost", "its worker died after its scheduler")

    def _renew(self, item: Item) -> None:
        try:
            renewal = self.store.renew(item.claim, self.options.ttl)
        except DBAPIError:
            # Before the lease runs out and another takes over, the work must have stopped.
            if time.monotonic() - item.renewed > 0.8 * self.options.ttl:
                self._stop_item(item, "lost", "its lease could not be renewed")
            return
        item.renewed = time.monotonic()
        if renewal == "fenced":
            self.items.remove(item)
            self._kill(item)
        elif renewal == "cancel":
            self._stop_item(item, "cancelled", "cancelled by hand")

    def _stop_item(self, item: Item, reason: Reason, error: str) -> None:
        self._kill(item)
        self._conclude(item, reason, error)
        sweep(self.store.home, item.claim)

    def _kill(self, item: Item, wait: float = 0.0) -> None:
        if item.orphan and item.orphan.pid and leases.lives(item.orphan):
            kill_group(item.orphan.pid)
        elif item.slot and not item.orphan:
            item.slot.end(wait=wait)

    def _close(self) -> None:
        """Leave no worker and no lease behind."""
        for item in self.items:  # all at once, then each is waited for
            if item.slot and not item.orphan:
                item.slot.ask()
        until = time.monotonic() + FAREWELL
        for item in self.items:
            self._kill(item, wait=max(0.0, until - time.monotonic()))
        for slot in self.slots:
            slot.dismiss()
        for slot in self.slots:
            slot.end(wait=GOODBYE)
        for item in self.items:
            end = published(self.store.home, item.claim)
            if end is not None and end.reason != "preempted":
                self.store.finish(item.claim, end, self.options.policy)
            else:
                self.store.give_back(item.claim)
            sweep(self.store.home, item.claim)
        self.items.clear()

    # --- telling --------------------------------------------------------------------------

    def _report(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self.progress is None or (now - self.reported < REPORT and not force):
            return
        self.reported = now
        self.progress(
            self.tally.progress(self.items, self.wanted, now, stopping=self.stops > 0)
        )


def _number(value: Json) -> int:
    return value if isinstance(value, int) else 0
