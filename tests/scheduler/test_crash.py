"""Schedulers and workers that are killed, stopped, interrupted: by real signals."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess as Process
from pathlib import Path

import pytest

from ksmith.records import Outcome
from ksmith.scheduler import Options, run
from ksmith.scheduler.processes import alive
from ksmith.store import Lease, Store
from tests.scheduler.small import STOPPED, WORKER, executed, point, scheduler, study, trials

WAITING = {"trial": {"act": "wait"}}  # for go()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "home")


def go(store: Store) -> None:
    """Let the trials that wait go on."""
    (store.home / "go").touch()


def wait_for(check: Callable[[], object], seconds: float = 30) -> None:
    """Return once `check` holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def running(store: Store) -> list[Lease]:
    """Return the leases of trials whose science has begun."""
    begun = executed(store.home)
    return [
        lease
        for lease in store.leases()
        if lease.claim.kind == "trial" and begun[lease.claim.key] == lease.claim.attempt
    ]


def waits_with(store: Store, number: int) -> list[Lease]:
    """Return the leases of trials, once so many of them are under way."""
    wait_for(lambda: len(running(store)) == number)
    return running(store)


def gone(lease: Lease) -> bool:
    """Has the worker ended?"""
    return not alive(lease.pid or 0, lease.pid_started or 0)


def send(process: Process, number: signal.Signals) -> None:
    assert process.pid
    os.kill(process.pid, number)


def kill(process: Process) -> None:
    process.kill()
    process.join()


def end(process: Process) -> int | None:
    """Return the exit code of a scheduler that ends by itself."""
    process.join(30)
    return process.exitcode


def again(store: Store, *, ttl: int = 60) -> int:
    """Run study "s" to its end; return how many outcomes were adopted."""
    summary = run(store, ["s"], Options(workers=2, command=WORKER, ttl=ttl))
    assert (summary.left, summary.done) == (0, summary.trials)
    return summary.adopted


def ends(store: Store, lease: Lease) -> list[str]:
    """Return how the attempts at a trial ended."""
    return [row.state for row in store.attempts(lease.claim.id)]


def is_clean(store: Store) -> bool:
    """Is every attempt closed, every result counted once, and nothing half-written left?"""
    with store.read() as connection:
        ask = connection.exec_driver_sql
        open_ones = ask("SELECT COUNT(*) FROM attempt WHERE state = 'started'").scalar_one()
        ok = ask("SELECT COUNT(*) FROM attempt WHERE state = 'ok'").scalar_one()
        done = ask("SELECT COUNT(*) FROM node WHERE state = 'done'").scalar_one()
        metrics = ask("SELECT COUNT(*) FROM metric").scalar_one()
    left = list(store.home.glob("*/*/*.tmp"))
    return not open_ones and ok == done == metrics and not left and not store.leases()


def test_killed_worker_costs_its_attempt_alone(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    process = scheduler(store, "s")
    killed, other = waits_with(store, 2)
    os.kill(killed.pid or 0, signal.SIGKILL)
    wait_for(lambda: executed(store.home)[killed.claim.key] == 2)
    go(store)
    assert end(process) == 0
    assert (ends(store, killed), ends(store, other)) == (["lost", "ok"], ["ok"])
    assert sum(executed(store.home).values()) == len(executed(store.home)) + 1
    assert is_clean(store)


def test_killed_scheduler_whose_workers_finish(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    process = scheduler(store, "s")
    left = waits_with(store, 2)
    kill(process)
    go(store)
    for lease in left:  # they finish what they are at, publish, and go
        wait_for(lambda lease=lease: gone(lease))
        assert (store.home / lease.claim.folder / "outcome.json").exists()
    assert again(store) == 2
    assert set(executed(store.home).values()) == {1}
    assert is_clean(store)


def test_killed_scheduler_whose_workers_are_waited_for(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    kill_me = scheduler(store, "s")
    left = waits_with(store, 2)
    kill(kill_me)
    process = scheduler(store, "s")  # takes over at once: the lease runs for a minute yet
    wait_for(lambda: {row.claim.owner for row in store.leases()} != {left[0].claim.owner})
    go(store)
    assert end(process) == 0
    assert set(executed(store.home).values()) == {1}
    assert [ends(store, lease) for lease in left] == [["ok"], ["ok"]]
    assert is_clean(store)


def test_orphan_that_dies_is_tried_again(store: Store) -> None:
    store.add(study("s", trials(1, probe=WAITING)))
    kill_me = scheduler(store, "s")
    (lease,) = waits_with(store, 1)
    kill(kill_me)
    process = scheduler(store, "s")
    wait_for(lambda: store.leases()[0].claim.owner != lease.claim.owner)
    os.kill(lease.pid or 0, signal.SIGKILL)
    go(store)
    assert end(process) == 0
    assert ends(store, lease) == ["lost", "ok"]
    assert is_clean(store)


def test_killed_scheduler_and_workers(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    process = scheduler(store, "s")
    left = waits_with(store, 2)
    kill(process)
    for lease in left:
        os.kill(lease.pid or 0, signal.SIGKILL)
    go(store)
    assert again(store) == 0
    assert [ends(store, lease) for lease in left] == [["lost", "ok"]] * 2
    assert sum(executed(store.home).values()) == len(executed(store.home)) + 2
    assert is_clean(store)


def test_scheduler_killed_again_and_again_runs_everything_once(store: Store) -> None:
    store.add(study("s", trials(8)))
    for delay in (0.1, 0.2, 0.3, 0.4, 0.5):
        process = scheduler(store, "s")
        time.sleep(delay)
        kill(process)
    again(store)
    assert set(executed(store.home).values()) == {1}
    assert is_clean(store)


def test_scheduler_that_slept_past_its_lease_is_fenced(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    process = scheduler(store, "s", workers=1, ttl=1)
    (lease,) = waits_with(store, 1)
    send(process, signal.SIGSTOP)
    wait_for(lambda: store.leases()[0].expired)
    go(store)
    os.kill(lease.pid or 0, signal.SIGSTOP)  # the worker sleeps as well: nothing to adopt
    again(store, ttl=5)
    tried = store.attempts(lease.claim.id)
    assert [row.state for row in tried] == ["lost", "ok"]
    send(process, signal.SIGCONT)
    assert end(process) == 0
    assert store.attempts(lease.claim.id) == tried  # what it had did not count
    assert is_clean(store)


def test_outcome_of_a_sleeping_scheduler_is_adopted(store: Store) -> None:
    store.add(study("s", trials(1, probe=WAITING)))
    process = scheduler(store, "s", workers=1, ttl=1)
    (lease,) = waits_with(store, 1)
    send(process, signal.SIGSTOP)
    go(store)
    wait_for((store.home / lease.claim.folder / "outcome.json").exists)
    wait_for(lambda: store.leases()[0].expired)
    assert again(store, ttl=5) == 1
    send(process, signal.SIGCONT)
    assert end(process) == 0
    assert set(executed(store.home).values()) == {1}
    assert is_clean(store)


def test_interrupt_once_lets_running_trials_end(store: Store) -> None:
    store.add(study("s", trials(3, probe=WAITING)))
    process = scheduler(store, "s", workers=1)
    (lease,) = waits_with(store, 1)
    assert process.pid
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does: not to the workers' sessions
    time.sleep(0.3)
    go(store)
    assert end(process) == STOPPED
    assert ends(store, lease) == ["ok"]
    assert store.study("s").states["done"] == 1
    assert gone(lease) and is_clean(store)
    again(store)
    assert set(executed(store.home).values()) == {1}


@pytest.mark.parametrize("signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_interrupt_twice_gives_leases_back(store: Store, signals: list[signal.Signals]) -> None:
    store.add(study("s", trials(2, probe=WAITING)))
    process = scheduler(store, "s", workers=1)
    (lease,) = waits_with(store, 1)
    for number in signals:
        send(process, number)
        time.sleep(0.3)  # two of a kind at once would be one
    assert end(process) == STOPPED
    assert store.find(lease.claim.key).state == "ready"
    told = Outcome.read(store.home / lease.claim.folder)  # it was asked, not killed
    assert told and told.reason == "preempted"
    assert gone(lease) and is_clean(store)
    go(store)
    again(store)
    assert ends(store, lease) == ["cancelled", "ok"]
    assert is_clean(store)


def test_two_schedulers_share_the_work(store: Store) -> None:
    store.add(study("s", trials(6)))
    store.add(study("t", [*trials(6), point(7)]))
    both = [scheduler(store, "s"), scheduler(store, "t")]
    assert [end(process) for process in both] == [0, 0]
    assert set(executed(store.home).values()) == {1}
    assert len(executed(store.home)) == 2 + 3 * 7
    assert is_clean(store)
