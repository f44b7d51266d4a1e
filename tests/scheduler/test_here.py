from pathlib import Path

import pytest

from ksmith.records import Outcome, Spec, UserError
from ksmith.scheduler import here
from ksmith.store import Store
from ksmith.worker.here import perform
from tests.scheduler.small import executed, point, study, trials
from tests.worker.fake_science import HANDLERS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "home")


def in_process(spec: Spec) -> None:
    perform(spec, {}, lambda: HANDLERS)


def test_one_trial_with_what_it_needs(store: Store) -> None:
    store.add(study("s", trials(2)))
    key = here(store, "s", in_process)
    assert [row.state for row in store.trials("s")] == ["done", "blocked"]
    assert key == store.trials("s")[0].key
    assert sum(executed(store.home).values()) == 5
    outcome = Outcome.read(store.home / str(store.find(key).folder))
    assert outcome and outcome.reason == "ok"


def test_the_trial_that_is_named(store: Store) -> None:
    store.add(study("s", trials(2)))
    chosen = store.trials("s")[1].key
    assert here(store, "s", in_process, trial=chosen.rpartition("-")[2][:10]) == chosen
    with pytest.raises(UserError, match="is done; only a pending trial"):
        here(store, "s", in_process, trial=chosen)


def test_exception_reaches_the_debugger_once_it_is_recorded(store: Store) -> None:
    store.add(study("s", [point(1, method={"update": {"act": "fail"}})]))
    with pytest.raises(ValueError, match="the science is wrong") as caught:
        here(store, "s", in_process)
    assert caught.traceback[-1].name == "_fail"  # the very frame
    assert store.find("update").reason == "ValueError: the science is wrong"
    assert store.leases() == []
    with pytest.raises(UserError, match="no pending trial"):
        here(store, "s", in_process)


def test_leaving_the_debugger_gives_the_lease_back(store: Store) -> None:
    store.add(study("s", trials(1)))

    def leave(_: Spec) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here(store, "s", leave)
    assert store.leases() == []
    assert here(store, "s", in_process)
    assert [row.state for row in store.attempts(store.find("graph").id)] == ["cancelled", "ok"]


def test_trial_of_another_study(store: Store) -> None:
    store.add(study("s", trials(1)))
    store.add(study("t", trials(2)))
    other = store.trials("t")[1].key
    with pytest.raises(UserError, match="no trial of study 's'"):
        here(store, "s", in_process, trial=other)
