"""Leases that others left: whose owner is dead, or whose time has run out.

What such an owner's worker finished is adopted, what it is still at is waited for, and what is
lost is tried again. The lease changes hands with its fence, since the outcome folder carries
that; the old owner, should it only have slept, is not the owner any more and can write nothing.
"""

from typing import Literal

from ksmith.scheduler.attempts import published, sweep
from ksmith.scheduler.processes import Owner, alive, boot, host, kill_group
from ksmith.store import Claim, End, Lease, Policy, Store

Left = Literal["adopted", "ended", "living"]


def is_local(lease: Lease) -> bool:
    """Return whether the worker is a process of this host, and of no other container."""
    return lease.host == host() and lease.boot == boot()


def lives(lease: Lease) -> bool:
    """Return whether the worker is known to be still there."""
    if not is_local(lease) or lease.pid is None or lease.pid_started is None:
        return False
    return alive(lease.pid, lease.pid_started)


def take(store: Store, me: Owner, lease: Lease, ttl: int) -> Claim | None:
    """Return the claim, now mine, if its owner is dead or late; None where it is left alone."""
    owner = Owner.read(lease.claim.owner)
    dead = owner is not None and owner.dead
    if not dead and not lease.expired:
        return None
    if not store.take_over(lease.claim, str(me), dead=dead, ttl=ttl):
        return None
    if not dead and lives(lease) and lease.pid and (owner is None or lease.pid != owner.pid):
        # The owner sleeps, and will be fenced when it wakes: its worker's result cannot count.
        kill_group(lease.pid)
    return lease.claim.of(str(me))


def settle(store: Store, mine: Claim, lease: Lease, policy: Policy) -> Left:
    """Return what was made of a claim that was taken over."""
    working = lives(lease)  # asked first: a worker publishes before it ends
    end = published(store.home, mine)
    if end is not None:
        store.finish(mine, end, policy)
        return "adopted"
    if working:
        return "living"
    sweep(store.home, mine)
    if lease.state == "leased":
        store.give_back(mine)  # no worker was ever told of it
    else:
        store.finish(mine, End(reason="lost", error="its worker and scheduler died"), policy)
    return "ended"
