import shutil
import time
from pathlib import Path

import pytest

import ksmith
from ksmith.records import Outcome, Reason, UserError
from ksmith.scheduler import Options, Progress, Summary, run
from ksmith.store import Claim, End, Policy, Store
from tests.scheduler.small import WORKER, executed, point, study, trials


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "home")


def go(store: Store, *names: str, workers: int = 1, **options: object) -> Summary:
    """Return the end of a run of study "s", or of `names`, with fake science."""
    asked = Options(workers=workers, command=WORKER, **options)  # pyright: ignore[reportArgumentType]
    return run(store, names or ["s"], asked)


def open_attempts(store: Store) -> int:
    with store.read() as connection:
        return connection.exec_driver_sql(
            "SELECT COUNT(*) FROM attempt WHERE state = 'started'"
        ).scalar_one()


def test_everything_runs_once_and_a_second_run_does_nothing(store: Store) -> None:
    store.add(study("s", trials(4)))
    first = go(store, workers=2)
    assert (first.done, first.ran, first.left, first.stopped) == (4, 2 + 3 * 4, 0, False)
    assert set(executed(store.home).values()) == {1}
    again = go(store, workers=2)
    assert (again.done, again.ran) == (4, 0)
    assert store.check() == []
    outcome = Outcome.read(store.home / str(store.trials("s")[0].folder))
    assert outcome and outcome.info["threads"] == "1"
    assert {"events.jsonl", "made.txt", "metrics.json"} == set(outcome.files)


def test_full_disk_fails_the_attempt_and_publishes_nothing(store: Store) -> None:
    store.add(study("s", trials(1, probe={"trial": {"act": "full"}})))
    summary = go(store)
    (trial,) = store.trials("s")
    assert (summary.failed, trial.state) == (1, "failed")
    assert trial.reason == ("the outcome could not be kept: OSError: [Errno 27] File too large")
    left = {path.name for path in (store.home / "outcomes" / trial.key).iterdir()}
    assert left == {"1-1.log"}
    assert [row.state for row in store.attempts(trial.id)] == ["error"]
    assert store.check() == []


def test_home_beside_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    store = Store.open(Path("../lab"))
    store.add(study("s", trials(1)))
    assert go(store).done == 1
    assert store.home == tmp_path / "lab"


def test_second_study_runs_only_what_is_new(store: Store) -> None:
    store.add(study("one", trials(3)))
    store.add(study("two", trials(5)))
    assert go(store, "one").ran == 2 + 3 * 3
    summary = go(store, "two")
    assert (summary.done, summary.ran) == (5, 3 * 2)
    assert set(executed(store.home).values()) == {1}


def test_only_what_the_study_needs_is_run(store: Store) -> None:
    store.add(study("one", trials(1)))
    store.add(study("two", [point(9, model={"model": {"n": 1}})]))
    go(store, "one")
    assert store.study("two").states == {"blocked": 1}
    assert sum(executed(store.home).values()) == 5


def test_one_trial_alone(store: Store) -> None:
    store.add(study("s", trials(3)))
    chosen = store.trials("s")[1]
    summary = go(store, trials=[chosen.id])
    assert (summary.trials, summary.done, summary.ran) == (1, 1, 5)
    assert store.study("s").states == {"blocked": 2, "done": 1}


def test_killed_worker_costs_its_attempt_and_the_trial_is_tried_again(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "die_once"}}), point(2)]))
    summary = go(store)
    assert (summary.done, summary.failed) == (2, 0)
    died = store.trials("s")[0]
    lost, ok = store.attempts(died.id)
    assert (lost.state, lost.exit_code) == ("lost", -9)
    assert lost.error and "SIGKILL" in lost.error
    assert (ok.state, lost.pid != ok.pid) == ("ok", True)
    assert not list(store.home.glob("*/*/*.tmp"))


def test_trial_that_kills_every_worker_fails_in_the_end(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "die"}}), point(2)]))
    summary = go(store)
    assert (summary.done, summary.failed) == (1, 1)
    assert [row.state for row in store.attempts(store.trials("s")[0].id)] == ["lost", "lost"]


@pytest.mark.parametrize(
    ("act", "reason", "error"),
    [
        ("fail", "error", "ValueError: the science is wrong"),
        ("oom", "oom", "OutOfMemoryError: too big"),
    ],
)
def test_failed_trial_is_not_tried_again(
    store: Store, act: str, reason: str, error: str
) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": act}}), point(2)]))
    summary = go(store)
    assert (summary.done, summary.failed) == (1, 1)
    trial = store.trials("s")[0]
    (attempt,) = store.attempts(trial.id)
    assert (attempt.state, attempt.error, trial.reason) == (reason, error, error)
    outcome = Outcome.read(store.home / attempt.folder)
    assert outcome and "Traceback" in str(outcome.traceback)
    assert "Traceback" in (store.home / attempt.log).read_text(encoding="utf-8")
    assert go(store).ran == 0
    store.retry([trial.id])
    assert go(store).ran == 1


def test_error_is_tried_again_where_that_is_asked_for(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "fail_once"}})]))
    assert go(store, policy=Policy(retries=1)).done == 1
    states = [row.state for row in store.attempts(store.trials("s")[0].id)]
    assert states == ["error", "ok"]


def test_failed_asset_blocks_what_needs_it_and_nothing_else_is_built_for_it(
    store: Store,
) -> None:
    bad = {"method": {"update": {"act": "fail"}}}
    store.add(study("s", [point(1, **bad), point(2)]))
    summary = go(store)
    assert (summary.done, summary.blocked, summary.left) == (1, 1, 0)
    blocked = store.trials("s")[0]
    assert blocked.reason and blocked.reason.endswith(
        "failed: ValueError: the science is wrong"
    )


def test_what_an_update_that_failed_left_is_measured_once_and_marked(store: Store) -> None:
    """Its trials are tried, and fail; what they had measured is no finished trial's."""
    stops = {"act": "unfinished"}
    points = [
        point(1),
        point(2, method={"update": stops}, probe={"trial": stops}),
        point(3, method={"update": {"act": "fail"}}),  # which leaves nothing
    ]
    store.add(study("s", points))
    summary = go(store, policy=Policy(retries=1))
    states = [row.state for row in store.trials("s")]
    assert (states, summary.failed, summary.blocked) == (["done", "failed", "blocked"], 1, 1)
    failed = store.trials("s")[1]
    assert [row.state for row in store.attempts(failed.id)] == ["error"]  # it is not retried
    assert failed.reason == "ValueError: it diverged"
    assert ksmith.metrics("s", store.home)["trial"].n_unique() == 1
    rows = ksmith.metrics("s", store.home, unfinished=True)
    found = rows.select("trial", "step", "state").rows()
    assert found == [(store.trials("s")[0].key, 1, "done"), (failed.key, 0, "failed")]
    assert store.check() == []
    assert go(store).ran == 0


def test_what_a_failed_update_left_is_gone_so_it_is_made_again(store: Store) -> None:
    stops = {"act": "unfinished"}
    store.add(study("s", [point(1, method={"update": stops}, probe={"trial": stops})]))
    update = store.find("update-")
    while (held := store.claim("me")) and held.kind != "update":
        (store.home / held.folder).mkdir(parents=True)
        outcome(held, "ok").write(store.home / held.folder)
        (store.home / held.folder / "made.txt").touch()
        store.finish(held, End(reason="ok"))
    assert held and store.finish(held, End(reason="error", unfinished=True)) == "failed"
    assert go(store).failed == 1  # its folder was never there
    assert [row.state for row in store.attempts(update.id)] == ["error", "error"]


def outcome(held: Claim, reason: Reason) -> Outcome:
    """Return what an attempt left that took no time."""
    return Outcome(
        key=held.key,
        kind=held.kind,
        attempt=held.attempt,
        fence=held.fence,
        reason=reason,
        started=0.0,
        seconds=0.0,
        cpu_seconds=0.0,
        peak_memory=0,
        device="cpu",
        host="here",
        versions={},
        files={},
    )


def test_preempted_worker_is_free(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "term"}})]))
    assert go(store).done == 1
    states = [row.state for row in store.attempts(store.trials("s")[0].id)]
    assert states == ["preempted", "ok"]


def test_garbage_on_stdout_goes_to_the_log(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "garbage"}})]))
    assert go(store).done == 1
    (attempt,) = store.attempts(store.trials("s")[0].id)
    log = (store.home / attempt.log).read_text(encoding="utf-8")
    assert log == "{not json\nsaid by a child\n"


def test_worker_that_closes_its_stdout_is_lost(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "close_stdout"}})]))
    assert go(store).done == 1
    states = [row.state for row in store.attempts(store.trials("s")[0].id)]
    assert states == ["lost", "ok"]


def test_worker_that_cannot_start(store: Store) -> None:
    store.add(study("s", trials(1)))
    broken = Options(workers=1, command=["/bin/sh", "-c", "echo no module >&2; exit 3"])
    summary = run(store, ["s"], broken)
    assert (summary.done, summary.blocked) == (0, 1)
    reason = store.find("graph").reason
    assert reason == "its worker exited with 3: no module"


def test_worker_that_speaks_nonsense(store: Store) -> None:
    store.add(study("s", trials(1)))
    words = r"""read line; printf '[1]\n{"event": 3}\n\377\n{"event": "finished"}\n'; exit 0"""
    summary = run(store, ["s"], Options(workers=1, command=["/bin/sh", "-c", words]))
    assert summary.blocked == 1
    assert [row.state for row in store.attempts(store.find("graph").id)] == ["lost", "lost"]


def test_command_that_is_not_there_gives_its_lease_back(store: Store) -> None:
    store.add(study("s", trials(1)))
    with pytest.raises(FileNotFoundError):
        run(store, ["s"], Options(workers=1, command=["/no/such/worker"]))
    assert store.leases() == []
    assert go(store).done == 1


def test_slow_attempt_is_stopped(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"act": "slow"}})]))
    trial = store.trials("s")[0]
    go(store)  # its assets, which a busy machine may take long for
    store.retry([trial.id])
    summary = go(store, timeout=0.6)
    assert (summary.failed, summary.ran) == (1, 1)
    failed, stopped = store.attempts(trial.id)
    assert failed.state == "error"
    assert (stopped.state, stopped.error) == ("timeout", "longer than 0.6 s")


def test_vanished_asset_is_built_again_for_a_pending_trial_only(store: Store) -> None:
    store.add(study("s", trials(2)))
    go(store, trials=[store.trials("s")[0].id])
    shutil.rmtree(store.home / "assets")
    summary = go(store)
    assert (summary.done, summary.ran) == (2, 2 + 3)  # graph, model; the second trial's three
    first = store.trials("s")[0]
    assert executed(store.home)[first.key] == 1
    assert executed(store.home)[store.find("model").key] == 2


def test_outcome_from_before_the_database_is_adopted(store: Store) -> None:
    store.add(study("s", trials(1)))
    go(store)
    (store.home / "ksmith.db").rename(store.home / "lost.db")
    with Store.open(store.home) as anew:
        anew.add(study("s", trials(1)))
        summary = go(anew)
        assert (summary.done, summary.ran) == (1, 0)
    assert set(executed(store.home).values()) == {1}


def test_changed_file_in_an_outcome_is_not_counted(store: Store) -> None:
    store.add(study("s", trials(1)))
    go(store)
    trial = store.trials("s")[0]
    (store.home / str(trial.folder) / "metrics.json").write_text("[]", encoding="utf-8")
    (store.home / "ksmith.db").rename(store.home / "lost.db")
    with Store.open(store.home) as anew:
        anew.add(study("s", trials(1)))
        assert go(anew).done == 1
        first, second = anew.attempts(anew.trials("s")[0].id)
        assert (first.state, second.state) == ("lost", "ok")


def test_cancelled_trial_is_stopped_within_a_second_or_two(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"sleep": 60}})]))
    trial = store.trials("s")[0]

    cancelled: list[float] = []

    def cancel(progress: Progress) -> None:
        if any(one.key == trial.key for one in progress.running):
            store.cancel([trial.id])
            cancelled.append(time.monotonic())

    summary = run(store, ["s"], Options(workers=1, command=WORKER), cancel)
    assert (summary.cancelled, summary.left) == (1, 0)
    assert time.monotonic() - cancelled[0] < 20
    assert [row.state for row in store.attempts(trial.id)] == ["cancelled"]


def test_worker_stays_warm_and_is_started_only_when_needed(store: Store) -> None:
    store.add(study("s", trials(3)))
    go(store, workers=8)
    with store.read() as connection:
        pids = connection.exec_driver_sql("SELECT DISTINCT pid FROM attempt").all()
    assert len(pids) <= 6  # never more than were ready at once
    infos = [Outcome.read(store.home / str(row.folder)) for row in store.trials("s")]
    assert max(outcome.info["count"] for outcome in infos if outcome) > 1


def test_progress_ends_with_everything_done(store: Store) -> None:
    store.add(study("s", [point(1, probe={"trial": {"sleep": 0.5}}), point(2)]))
    seen: list[Progress] = []
    run(store, ["s"], Options(workers=1, command=WORKER), seen.append)
    assert seen[-1].trials == {"done": 2}
    assert seen[-1].assets["graph"] == (1, 1)
    assert (seen[-1].finished, seen[-1].running) == (2, ())
    assert any(one.text == "half way" for progress in seen for one in progress.running)


def test_unknown_study(store: Store) -> None:
    with pytest.raises(UserError, match="no study 'x'"):
        go(store, "x")


def test_nothing_is_left_open(store: Store) -> None:
    store.add(study("s", trials(2)))
    go(store, workers=2)
    assert open_attempts(store) == 0
    assert store.leases() == []
