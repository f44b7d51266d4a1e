import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ksmith.records import Outcome, UserError, digests
from ksmith.store import Damaged, End, Store
from ksmith.store.measured import read
from tests.scheduler.small import study, trials
from tests.store.folders import leave, run_all


def table(store: Store, name: str, columns: str) -> list[tuple[object, ...]]:
    with store.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT {columns} FROM {name} ORDER BY {columns}")
        return [tuple(row) for row in rows]


NODE = "key, state, folder, attempt_no, fence"
ATTEMPT = "node_id, no, fence, state, folder, seconds"
ROW = "node_id, attempt_id, probe, measure, value, n"


def test_reindex_brings_emptied_tables_back(store: Store) -> None:
    store.add(study("s", trials(2)))
    run_all(store)
    before = [table(store, "node", NODE), table(store, "metric", ROW)]
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM metric")
        connection.exec_driver_sql("UPDATE node SET state = 'blocked', folder = NULL")
    found = store.reindex()
    assert (found.counted, found.attempts, found.unknown, found.damaged) == (8, 0, 0, ())
    assert [table(store, "node", NODE), table(store, "metric", ROW)] == before
    attempts = table(store, "attempt", ATTEMPT)
    again = store.reindex()
    assert (again.counted, again.attempts) == (8, 0)
    assert [table(store, "node", NODE), table(store, "metric", ROW)] == before
    assert table(store, "attempt", ATTEMPT) == attempts


def test_reindex_makes_a_lost_database_anew(
    store: Store, make: Callable[[Path], Store], tmp_path: Path
) -> None:
    store.add(study("s", trials(2)))
    run_all(store)
    for room in ("assets", "outcomes"):
        shutil.copytree(store.home / room, tmp_path / "copy" / room)
    with make(tmp_path / "copy") as anew:
        assert anew.reindex().unknown == 8  # a study says what a key means
        anew.add(study("s", trials(2)))
        assert anew.reindex().attempts == 8
        assert anew.study("s").states == {"done": 2}
        assert anew.claim("me") is None
        assert [row.seconds for row in anew.trials("s")] == [2.5, 2.5]
        assert len(table(anew, "metric", ROW)) == 8
        assert anew.check() == []


def test_reindex_unblocks_and_leaves_what_is_running_alone(store: Store) -> None:
    store.add(study("s", trials(1)))
    graph = store.claim("me")
    assert graph
    leave(store, graph)
    assert store.reindex().counted == 0
    assert store.find(graph.key).state == "leased"
    store.finish(graph, End(reason="lost"))
    assert store.reindex().counted == 1
    assert [(row.no, row.state) for row in store.attempts(graph.id)] == [(1, "ok")]
    held = store.claim("me")
    assert held and held.kind == "model"


def test_reindex_does_not_count_failed_or_damaged_folders(store: Store) -> None:
    store.add(study("s", trials(1)))
    graph = store.claim("me")
    assert graph
    leave(store, graph, "error")
    store.finish(graph, End(reason="lost"))
    second = store.claim("me")
    assert second
    (leave(store, second) / "metrics.json").write_text("[]", encoding="utf-8")
    store.finish(second, End(reason="lost"))
    found = store.reindex()
    assert found.counted == 0
    assert len(found.damaged) == 1 and "digest differs" in found.damaged[0]
    assert store.find(graph.key).state == "failed"


def test_folder_of_another_attempt_is_damaged(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = store.claim("me")
    assert held
    folder = leave(store, held)
    assert read(folder, key=held.key, attempt=1, fence=1)
    with pytest.raises(Damaged, match="says fence 1, not 2"):
        read(folder, fence=2)
    (folder / "more.txt").touch()
    with pytest.raises(Damaged, match=r"more\.txt, which its outcome does not know"):
        read(folder)
    (folder / "more.txt").unlink()
    (folder / "metrics.json").unlink()
    with pytest.raises(Damaged, match=r"lacks metrics\.json"):
        read(folder)
    (folder / "outcome.json").write_text('{"key": ', encoding="utf-8")
    assert read(folder) is None


def test_metrics_that_are_none(store: Store) -> None:
    store.add(study("s", trials(1)))
    held = store.claim("me")
    assert held
    folder = leave(store, held)
    outcome = Outcome.read(folder)
    assert outcome
    (folder / "metrics.json").write_text('[{"what": 1}]', encoding="utf-8")
    replace(outcome, files=digests(folder)).write(folder)
    with pytest.raises(Damaged, match="not a list of metrics"):
        read(folder)


def test_backup_is_a_whole_database_and_overwrites_nothing(store: Store) -> None:
    store.add(study("s", trials(2)))
    if store.database.path is None:
        with pytest.raises(UserError, match="by its own tools"):
            store.backup(store.home / "one.db")
        return
    target = store.backup(store.home / "copies" / "one.db")
    with pytest.raises(UserError, match="overwrites nothing"):
        store.backup(target)
    with Store.open(store.home / "other", f"sqlite:///{target}") as copy:
        assert copy.study("s").trials == 2
