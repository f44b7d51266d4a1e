import pytest

from ksmith.records import UserError
from ksmith.store import End, Store
from ksmith.study import nodes
from tests.scheduler.small import point, study, trials


def test_find_by_any_beginning(store: Store) -> None:
    store.add(study("s", trials(2)))
    trial = store.trials("s")[0]
    short = trial.key.rpartition("-")[2][:8]
    assert store.find(trial.key).id == trial.id
    assert store.find(short).id == trial.id
    assert store.find("graph").kind == "graph"


@pytest.mark.parametrize("prefix", ["", "zzz", "%", "_", "trial-1-%"])
def test_find_nothing(store: Store, prefix: str) -> None:
    store.add(study("s", trials(1)))
    with pytest.raises(UserError, match="begins with"):
        store.find(prefix)


def test_find_too_much(store: Store) -> None:
    store.add(study("s", trials(2)))
    with pytest.raises(UserError, match="could be 2 keys"):
        store.find("trial")


def test_needs_by_role(store: Store) -> None:
    store.add(study("s", trials(1)))
    needs = store.needs(store.trials("s")[0].id)
    assert {role: row.kind for role, row in needs.items()} == {
        "graph": "graph",
        "model": "model",
        "update": "update",
        "before": "before",
    }


def test_expected_time_is_the_median_of_its_likes(store: Store) -> None:
    store.add(study("s", trials(3)))
    every = list(nodes(point(9)).values())
    assert store.expected(every) is None
    seconds = iter([10.0, 20.0, 1.0, 2.0, 9.0, 5.0, 3.0, 5.0, 4.0, 5.0, 3.0])
    while held := store.claim("me"):
        store.finish(held, End(reason="ok", seconds=next(seconds)))
    # graph 10, model 20, before 1 2 9, update 5 5 5, trial 3 4 3
    assert store.expected(every) == 10 + 20 + 2 + 5 + 3
    assert store.expected([]) == 0


def test_standing_is_what_dag_says(store: Store) -> None:
    store.add(study("s", trials(2)))
    held = store.claim("me")
    assert held
    store.finish(held, End(reason="ok"))
    dag = store.dag([1])
    assert store.standing([1]) == {
        row.id: (row.state, row.folder) for row in dag.nodes.values()
    }
    assert store.states([1])["graph", "done"] == 1
