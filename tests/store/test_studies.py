import dataclasses
import multiprocessing
from pathlib import Path

import pytest

from ksmith.records import UserError
from ksmith.store import End, Store
from tests.scheduler.small import point, study, trials
from tests.store.servers import url_of

OK = End(reason="ok", seconds=2.0)


def finish_all(store: Store) -> int:
    number = 0
    while held := store.claim("me"):
        store.finish(held, OK)
        number += 1
    return number


def rows(store: Store) -> list[tuple[object, ...]]:
    """Return every row of every table that a study writes."""
    with store.read() as connection:
        return [
            tuple(row)
            for table in ("study", "study_trial", "node", "need")
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
        ]


def test_adding_twice_changes_nothing_and_says_so(store: Store) -> None:
    first = store.add(study("s", trials(3)))
    before = rows(store)
    second = store.add(study("s", trials(3)))
    assert (first.new, first.shared, first.unchanged) == (3, 0, False)
    assert (second.new, second.shared, second.unchanged) == (0, 3, True)
    assert rows(store) == before


def test_preview_stores_nothing_and_says_the_same(store: Store) -> None:
    seen = store.preview(study("s", trials(3)))
    assert rows(store) == []
    added = store.add(study("s", trials(3)))
    assert dataclasses.replace(seen, study_id=added.study_id) == added
    assert [node.kind for node in added.assets[:2]] == ["graph", "model"]
    assert len(added.assets) == 2 + 3 + 3


def test_trial_of_another_study_is_shared(store: Store) -> None:
    store.add(study("one", trials(3)))
    assert finish_all(store) == 2 + 3 * 3
    added = store.add(study("two", trials(5)))
    assert (added.trials, added.new, added.shared, added.done) == (5, 2, 3, 3)
    assert {node.kind for node in added.assets} == {"before", "update"}
    assert finish_all(store) == 2 * 3
    assert store.study("two").states == {"done": 5}


def test_new_probes_of_old_updates_edit_nothing_again(store: Store) -> None:
    store.add(study("one", trials(3)))
    finish_all(store)
    added = store.add(study("two", trials(3, probe={"trial": {"n": 1}})))
    assert (added.new, {node.kind for node in added.assets}) == (3, {"before"})
    assert finish_all(store) == 6


def test_same_name_with_another_grid_shows_the_difference(store: Store) -> None:
    store.add(study("s", trials(2)))
    before = rows(store)
    with pytest.raises(UserError, match=r"task\.scale: 1, 2 -> 1, 2, 3") as caught:
        store.add(study("s", trials(3)))
    assert "--replace" in str(caught.value)
    assert rows(store) == before


def test_replace_relinks_and_deletes_no_trial(store: Store) -> None:
    store.add(study("s", trials(3)))
    dropped = store.trials("s")[0]
    added = store.add(study("s", trials(4)[1:]), replace=True)
    assert (added.new, added.shared, added.replaced) == (1, 2, True)
    assert [row.axes["task.scale"] for row in store.trials("s")] == [2, 3, 4]
    assert store.find(dropped.key).state == "blocked"


def test_replace_keeps_the_new_grid_and_what_set_said(store: Store) -> None:
    store.add(study("s", trials(1)))
    told = dataclasses.replace(study("s", trials(2)), overrides=("task.scale=[1, 2]",))
    store.add(told, replace=True)
    with pytest.raises(UserError) as refused:
        store.add(study("s", trials(3)))
    assert "1, 2 -> 1, 2, 3" in str(refused.value)  # from the grid that replaced the first
    assert store.study("s").text == 'name = "s"\n# --set task.scale=[1, 2]\n'


def test_what_set_said_in_many_lines_stays_a_comment() -> None:
    told = dataclasses.replace(study("s", trials(1)), overrides=("a=[1,\n2]", 'b="x  y"'))
    assert told.told == 'name = "s"\n# --set a=[1,\\n2]\n# --set b="x  y"\n'


def test_points_that_give_the_same_trial_are_one(store: Store) -> None:
    added = store.add(study("s", [*trials(2), point(1)]))
    assert added.trials == 2
    assert store.add(study("s", [*trials(2), point(1)])).unchanged


def test_moved_data_file_is_noted_where_work_is_left(store: Store) -> None:
    def at(path: str) -> None:
        one = dataclasses.replace(point(1), files={"graph.path": path})
        store.add(study("s", [one]))

    at("/old/facts.json")
    at("/new/facts.json")
    held = store.claim("me")
    assert held and held.files == {"graph.path": "/new/facts.json"}


def test_deleted_study_leaves_its_trials_as_orphans(store: Store) -> None:
    store.add(study("one", trials(3)))
    store.add(study("two", trials(1)))
    gone = store.delete("one")
    assert (gone.trials, gone.orphans) == (3, 2)
    assert [row.name for row in store.studies()] == ["two"]
    assert len(store.dag([store.study("two").id]).trials) == 1
    assert store.add(study("one", trials(3))).shared == 3
    with pytest.raises(UserError, match="no study 'three'; there are two, one"):
        store.delete("three")


def test_misspelt_study_gets_the_nearest_name(store: Store) -> None:
    with pytest.raises(UserError, match="there is none yet"):
        store.study("plasticity")
    store.add(study("plasticity", trials(1)))
    with pytest.raises(UserError, match="did you mean 'plasticity'"):
        store.study("plastcity")


def _add(home: Path, url: str, results: "multiprocessing.Queue[tuple[int, bool]]") -> None:
    with Store.open(home, url) as store:
        added = store.add(study("s", trials(200)))
        results.put((added.new, added.unchanged))


def test_two_adds_of_one_grid_at_once(store: Store) -> None:
    store.close()  # connections must not be taken across a fork
    fork = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[int, bool]] = fork.Queue()
    both = [
        fork.Process(target=_add, args=(store.home, url_of(store), results)) for _ in range(2)
    ]
    for process in both:
        process.start()
    assert sorted(results.get(timeout=60) for _ in both) == [(0, True), (200, False)]
    for process in both:
        process.join()
    assert store.study("s").trials == 200
    assert len(store.dag([1]).nodes) == 2 + 3 * 200
