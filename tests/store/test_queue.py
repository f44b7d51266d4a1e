import multiprocessing
import time
from collections import Counter
from pathlib import Path

import pytest

from ksmith.records import Metric, Reason
from ksmith.store import Claim, End, Policy, Store, Worker
from ksmith.store.metrics import number
from tests.scheduler.small import point, study, trials
from tests.store.servers import url_of

OK = End(reason="ok", seconds=1.0)
WORKER = Worker(host="here", boot="b", pid=1, pid_started=2, device="cpu")


def claimed(store: Store, owner: str = "me", *, ttl: int = 60) -> Claim:
    """Return a claim that has to be there."""
    found = store.claim(owner, ttl=ttl)
    assert found is not None
    return found


def state(store: Store, key: str) -> str:
    return store.find(key).state


def finish_all(store: Store) -> list[str]:
    """Return the kinds of all that was ready, in the order in which it was finished."""
    kinds: list[str] = []
    while held := store.claim("me"):
        store.finish(held, OK)
        kinds.append(held.kind)
    return kinds


def test_claim_starts_an_attempt_under_a_new_fence(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = claimed(store)
    assert (held.kind, held.fence, held.attempt) == ("graph", 1, 1)
    assert held.folder == f"assets/{held.key}/1-1"
    assert held.log == f"{held.folder}.log"
    (attempt,) = store.attempts(held.id)
    assert (attempt.state, attempt.fence, attempt.ended) == ("started", 1, None)
    assert store.claim("me") is None  # the rest waits for the graph


def test_needs_come_with_their_folders(store: Store) -> None:
    store.add(study("s", trials(1)))
    graph = claimed(store)
    store.finish(graph, OK)
    model = claimed(store)
    assert model.needs == {"graph": (graph.key, graph.folder)}


def test_order_gates_first_then_what_ends_a_trial(store: Store) -> None:
    store.add(study("s", trials(2)))
    kinds = finish_all(store)
    assert kinds == ["graph", "model", "before", "before", "update", "trial", "update", "trial"]


def test_warm_group_is_preferred_but_gates_come_first(store: Store) -> None:
    points = [point(1, model={"model": {"n": n}}) for n in (1, 2)]
    store.add(study("s", points))
    store.finish(claimed(store), OK)  # the graph
    first = claimed(store)
    store.finish(first, OK)
    second = store.claim("me", warm=first.key)
    assert second and second.kind == "model"  # though the first model's work is ready
    store.finish(second, OK)
    warm = store.claim("me", warm=second.key)
    assert warm and warm.group == second.key
    assert claimed(store).group == first.key


def test_wanted_limits_the_choice(store: Store) -> None:
    store.add(study("s", trials(1)))
    assert store.claim("me", wanted=[]) is None
    graph = store.find("graph")
    assert store.claim("me", wanted=[graph.id]) is not None


def test_worker_is_kept_with_the_attempt(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = claimed(store)
    assert store.start(held, WORKER)
    (attempt,) = store.attempts(held.id)
    assert (attempt.host, attempt.pid, attempt.device) == ("here", 1, "cpu")
    assert state(store, held.key) == "running"


def test_finish_brings_metrics_and_outbox_in(store: Store) -> None:
    store.add(study("s", trials(1)))
    for _ in range(4):
        store.finish(claimed(store), OK)
    held = claimed(store)
    metric = Metric(step=1, probe="efficacy", measure="success", value=float("nan"), n=3)
    assert held.kind == "trial"
    assert store.finish(held, End(reason="ok", metrics=[metric])) == "done"
    with store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT node_id, attempt_id, value, n FROM metric"
        ).all()
        waiting = connection.exec_driver_sql("SELECT attempt_id, kind FROM outbox").all()
    assert rows == [(held.id, held.attempt_id, None, 3)]
    assert waiting == [(held.attempt_id, "attempt")]  # of the trial alone, not of its assets


@pytest.mark.parametrize(
    ("reason", "policy", "expected"),
    [
        ("error", Policy(), ["failed"]),
        ("oom", Policy(), ["failed"]),
        ("timeout", Policy(), ["failed"]),
        ("lost", Policy(), ["ready", "failed"]),
        ("preempted", Policy(), ["ready", "failed"]),
        ("lost", Policy(max_lost=0), ["failed"]),
        ("error", Policy(retries=2), ["ready", "ready", "failed"]),
        ("cancelled", Policy(), ["cancelled"]),
    ],
)
def test_retry_goes_by_reason(
    store: Store, reason: Reason, policy: Policy, expected: list[str]
) -> None:
    store.add(study("s", trials(1)))
    graph = store.find("graph")
    for wanted in expected:
        held = claimed(store)
        assert store.finish(held, End(reason=reason, error="why"), policy) == wanted
        assert store.find(held.key).reason == "why"
    assert store.claim("me") is None
    assert [row.state for row in store.attempts(graph.id)] == [reason] * len(expected)


def test_lost_attempts_are_not_charged(store: Store) -> None:
    store.add(study("s", trials(1)))
    policy = Policy(retries=1)
    reasons: list[Reason] = ["lost", "error"]
    for reason in reasons:
        assert store.finish(claimed(store), End(reason=reason), policy) == "ready"
    assert store.finish(claimed(store), OK, policy) == "done"


def test_backoff_puts_the_next_try_off(store: Store) -> None:
    store.add(study("s", trials(1)))
    policy = Policy(backoff=1000)
    assert store.finish(claimed(store), End(reason="lost"), policy) == "ready"
    assert store.claim("me") is None


def test_given_back_is_ready_and_not_charged(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = [claimed(store)]
    for _ in range(3):
        assert store.give_back(held[-1])
        assert state(store, held[-1].key) == "ready"
        held.append(claimed(store))
    assert not store.give_back(held[0])
    states = [row.state for row in store.attempts(held[0].id)]
    assert states == ["cancelled"] * 3 + ["started"]


def test_taken_over_claim_fences_the_old_owner(store: Store) -> None:
    store.add(study("s", trials(1)))
    old = claimed(store, "old", ttl=-10)
    assert store.take_over(old, "new", dead=False)
    assert store.renew(old) == "fenced"
    assert not store.start(old, WORKER)
    assert store.finish(old, OK) is None
    assert not store.give_back(old)
    assert state(store, old.key) == "leased"
    assert store.finish(old.of("new"), OK) == "done"
    assert [row.state for row in store.attempts(old.id)] == ["ok"]


def test_running_lease_is_not_taken_from_the_living(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = claimed(store, "old")
    assert not store.take_over(held, "new", dead=False)
    assert store.take_over(held, "new", dead=True)
    assert not store.take_over(held, "third", dead=True)  # it is no longer the old one's


def test_late_result_of_a_lost_attempt_does_not_count(store: Store) -> None:
    store.add(study("s", trials(1)))
    late = claimed(store)
    store.finish(late, End(reason="lost"))
    again = claimed(store)
    assert again.fence > late.fence
    assert store.finish(late, OK) is None
    assert store.finish(again, OK) == "done"
    assert [row.state for row in store.attempts(late.id)] == ["lost", "ok"]


def test_cancel_at_once_or_when_the_attempt_stops(store: Store) -> None:
    store.add(study("s", trials(1)))
    held, trial = claimed(store), store.trials("s")[0]
    assert store.cancel([held.id, trial.id]) == (1, 1)
    assert state(store, trial.key) == "cancelled"
    assert store.renew(held) == "cancel"
    assert store.give_back(held)
    assert state(store, held.key) == "cancelled"
    assert store.claim("me") is None


def test_result_that_came_before_the_cancel_is_kept(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = claimed(store)
    store.cancel([held.id])
    assert store.finish(held, OK) == "done"


def test_failed_need_blocks_says_why_and_its_retry_unblocks(store: Store) -> None:
    store.add(study("s", trials(1)))
    store.finish(claimed(store), OK)
    model = claimed(store)
    store.finish(model, End(reason="error", error="ValueError: no"))
    (trial,) = store.trials("s")
    assert (trial.state, trial.reason) == ("blocked", f"{model.key} failed: ValueError: no")
    assert store.retry([trial.id]) == [model.key]
    assert finish_all(store) == ["model", "before", "update", "trial"]
    assert store.trials("s")[0].state == "done"
    assert store.retry([trial.id]) == []


def test_what_failed_on_its_way_frees_its_trials_and_a_retry_takes_that_back(
    store: Store,
) -> None:
    """A trial of it tells what there is, and its own failure is not tried again."""
    store.add(study("s", trials(1)))
    kinds: list[str] = []
    while (held := claimed(store)).kind != "update":
        store.finish(held, OK)
        kinds.append(held.kind)
    assert kinds == ["graph", "model", "before"]
    left = End(reason="error", error="no", unfinished=True)
    assert store.finish(held, left) == "failed"
    metric = Metric(step=0, probe="efficacy", measure="success", value=0.5, n=3)
    trial = claimed(store)
    assert (trial.kind, trial.needs["update"]) == ("trial", (held.key, held.folder))
    again = End(reason="error", error="so", unfinished=True, metrics=[metric])
    assert store.finish(trial, again, Policy(retries=3)) == "failed"
    assert store.find(trial.key).folder == trial.folder
    assert store.retry([held.id]) == [held.key, trial.key]  # whoever asked for it
    assert (state(store, held.key), state(store, trial.key)) == ("ready", "blocked")
    assert store.find(held.key).folder is None
    assert finish_all(store) == ["update", "trial"]


def test_a_trial_that_was_free_to_tell_waits_while_its_update_is_retried(store: Store) -> None:
    store.add(study("s", trials(1)))
    while (held := claimed(store)).kind != "update":
        store.finish(held, OK)
    store.finish(held, End(reason="oom", unfinished=True))
    (trial,) = store.trials("s")
    assert trial.state == "ready"
    store.retry([held.id])
    assert state(store, trial.key) == "blocked"


def test_undone_asset_is_built_again_and_blocks_until_then(store: Store) -> None:
    store.add(study("s", trials(1)))
    done = [claimed(store)]
    store.finish(done[0], OK)
    for _ in range(3):
        done.append(claimed(store))
        store.finish(done[-1], OK)
    model = done[1]
    assert not store.undo(model.key, "assets/another/1-1")
    assert store.undo(model.key, model.folder)
    assert state(store, store.trials("s")[0].key) == "blocked"
    again = claimed(store)
    assert (again.key, again.attempt) == (model.key, 2)
    store.finish(again, OK)
    assert finish_all(store) == ["trial"]


def _claimer(home: Path, url: str, name: str, seen: "multiprocessing.Queue[str]") -> None:
    with Store.open(home, url) as store:
        while True:
            held = store.claim(name)
            if held is None:
                if all(row.states == {"done": row.trials} for row in store.studies()):
                    break
                time.sleep(0.02)
                continue
            assert store.start(held, WORKER)
            assert store.renew(held) == "held"
            seen.put(held.key)
            assert store.finish(held, OK) == "done"


def test_sixteen_claimers_take_each_of_many_nodes_once(store: Store) -> None:
    points = [point(1, graph={"graph": {"n": n}}) for n in range(30)]
    store.add(study("s", points))  # 30 graphs, models, befores, updates, trials
    store.close()  # connections must not be taken across a fork
    fork = multiprocessing.get_context("fork")
    seen: multiprocessing.Queue[str] = fork.Queue()
    workers = [
        fork.Process(target=_claimer, args=(store.home, url_of(store), f"w{n}", seen))
        for n in range(16)
    ]
    for worker in workers:
        worker.start()
    keys = Counter(seen.get(timeout=60) for _ in range(150))
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * 16  # no lock error
    assert len(keys) == 150
    assert seen.empty()
    assert store.states([1]) == {
        (kind, "done"): 30 for kind in ("graph", "model", "before", "update", "trial")
    }


def test_number_of_nothing() -> None:
    assert number(None) is None
    assert number(float("nan")) is None
    assert number(0.5) == 0.5
