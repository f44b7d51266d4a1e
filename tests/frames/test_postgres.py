"""Frames of a lab whose database is a PostgreSQL server's."""

from pathlib import Path

import pytest

import ksmith
from ksmith.records import UserError
from ksmith.store import Store
from tests.scheduler.small import study, trials
from tests.store.folders import run_all
from tests.store.servers import SERVER, WHY_NOT, drop, fresh

pytestmark = [pytest.mark.postgres, pytest.mark.skipif(SERVER is None, reason=WHY_NOT)]


def test_frames_come_from_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = fresh("ksmith_frames")
    with Store.open(tmp_path, url) as store:
        store.add(study("s", trials(2)))
        run_all(store)
    monkeypatch.setenv("KSMITH_DATABASE", url)
    rows = ksmith.trials("s", home=tmp_path)
    assert rows["task.scale"].to_list() == [1, 2]
    assert rows["seconds"].to_list() == [2.5, 2.5]
    assert ksmith.metrics("s", home=tmp_path)["value"].to_list() == [0.5, 0.5]
    drop("ksmith_frames")


def test_server_that_is_not_there_is_said_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://u:hunter2@127.0.0.1:1/d"
    monkeypatch.setenv("KSMITH_DATABASE", url)
    for ask in (lambda: Store.open(tmp_path, url), lambda: ksmith.trials(home=tmp_path)):
        with pytest.raises(UserError, match="cannot be re") as caught:
            ask()
        assert "hunter2" not in str(caught.value)
