from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from ksmith.records import UserError
from ksmith.store import Store
from ksmith.store.database import locate, refuse_network, sqlite_engine


def test_pragmas_are_read_back_on_both_connections(tmp_path: Path) -> None:
    asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with Store.open(tmp_path) as store, store.write() as writer, store.read() as reader:
        for connection in (writer, reader):
            found = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked
            ]
            assert found == ["wal", 1, 1, 30_000]


def test_reader_cannot_write(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path) as store,
        store.read() as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM node")


MOUNTS = [("/", "ext4"), ("/data", "nfs4"), ("/data/local", "xfs"), ("/mnt", "fuse.sshfs")]


@pytest.mark.parametrize("path", ["/data/lab/ksmith.db", "/mnt/ksmith.db"])
def test_network_file_systems_are_refused(path: str) -> None:
    with pytest.raises(UserError, match="network file system"):
        refuse_network(Path(path), MOUNTS)


@pytest.mark.parametrize("path", ["/data/local/ksmith.db", "/home/ksmith.db", "/database/a.db"])
def test_local_file_systems_are_not(path: str) -> None:
    assert refuse_network(Path(path), MOUNTS) is None


def test_last_mount_on_a_point_counts() -> None:
    with pytest.raises(UserError, match="lustre"):
        refuse_network(Path("/data/x.db"), [("/data", "ext4"), ("/data", "lustre")])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "must be a file"),
        ("mysql://user:secret@host/db", "no support for 'mysql'"),
        ("user:secret@host", "not a database URL"),
    ],
)
def test_urls_that_cannot_be_used(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        locate(tmp_path, url)
    assert "secret" not in str(caught.value)


def test_url_names_the_file(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home", f"sqlite:///{tmp_path / 'other.db'}") as store:
        assert store.studies() == []
    assert (tmp_path / "other.db").exists()
    assert not (tmp_path / "home" / "ksmith.db").exists()


def test_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(UserError, match="cannot be used as a lab"):
        Store.open(tmp_path / "home")


def test_file_system_without_shared_memory_is_refused(tmp_path: Path) -> None:
    # SQLite's dot-file locking stands for such a file system: the mode silently stays "delete".
    url = make_url(f"sqlite:///file:{tmp_path / 'x.db'}?vfs=unix-dotfile&uri=true")
    with pytest.raises(UserError, match="cannot be put into WAL mode"):
        sqlite_engine(url).connect()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ksmith.db").write_text("something else " * 100, encoding="utf-8")
    with pytest.raises(UserError, match="not an SQLite database"):
        Store.open(tmp_path)
