"""One trial in this process, for a debugger: the same claims and folders, no worker."""

import os
import time
from collections.abc import Callable

from ksmith.records import Spec, UserError
from ksmith.scheduler import leases
from ksmith.scheduler.attempts import can_begin, end_of, published, spec_of, sweep
from ksmith.scheduler.plan import PENDING, make
from ksmith.scheduler.processes import Owner, boot, host, started
from ksmith.store import Claim, Policy, Store, Worker

TTL = 24 * 3600  # nobody renews while a debugger holds the process
POLL = 0.5


def here(
    store: Store,
    study: str,
    perform: Callable[[Spec], None],
    *,
    trial: str | None = None,
    device: str = "cpu",
) -> str:
    """Return the key of the trial that was run, with what it needed, in this process.

    `perform` does one spec and raises what the work raises; so does this, once it is recorded.
    Without `trial` it is the first pending one of the study.

    Raises:
        UserError: there is nothing pending, or it is held up by something that failed.
    """
    chosen = _choose(store, study, trial)
    me, policy = Owner.me(), Policy()
    while True:
        for lease in store.leases():
            mine = leases.take(store, me, lease, TTL)
            if mine and leases.settle(store, mine, lease, policy) == "living":
                raise UserError(f"{mine.key} is being run by process {lease.pid}: wait for it")
        wanted = make(store, [store.study(study).id], [chosen]).wanted()
        if not wanted:
            return _ended(store, study, chosen)
        claim = store.claim(str(me), wanted=wanted, ttl=TTL)
        if claim is None:
            time.sleep(POLL)  # another run is at it
        elif can_begin(store, claim):
            _one(store, claim, perform, device)


def _choose(store: Store, study: str, trial: str | None) -> int:
    trials = store.trials(study)
    if trial is not None:
        found = store.find(trial)
        if found.id not in {row.id for row in trials}:
            raise UserError(f"{found.key} is no trial of study {study!r}")
        if found.state not in PENDING:
            raise UserError(f"{found.key} is {found.state}; only a pending trial can be run")
        return found.id
    for row in trials:
        if row.state in PENDING and not (row.state == "blocked" and row.reason):
            return row.id
    raise UserError(f"study {study!r} has no pending trial")


def _ended(store: Store, study: str, chosen: int) -> str:
    row = next(row for row in store.trials(study) if row.id == chosen)
    if row.state != "done":
        raise UserError(f"{row.key} is {row.state}: {row.reason}")
    return row.key


def _one(store: Store, claim: Claim, perform: Callable[[Spec], None], device: str) -> None:
    pid = os.getpid()
    worker = Worker(
        host=host(), boot=boot(), pid=pid, pid_started=started(pid) or 0, device=device
    )
    store.start(claim, worker)
    try:
        perform(spec_of(store.home, claim, device))
    except Exception as error:
        otherwise = f"{type(error).__name__}: {error}"
        store.finish(claim, end_of(store.home, claim, "error", otherwise))
        raise
    except BaseException:  # Ctrl-C, or the debugger was left
        if published(store.home, claim) is None:
            store.give_back(claim)
            sweep(store.home, claim)
        raise
    store.finish(claim, end_of(store.home, claim, "lost", "it left no outcome"))
