"""Connections: one engine that writes, one that only reads; what each kind of database needs.

SQLite (the embedded one) runs in WAL mode, read back after setting, because SQLite keeps the
old mode without an error where it cannot change it. A writer begins IMMEDIATE: a deferred
transaction that turns from reading to writing fails at once with "database is locked", whatever
the timeout. The clock is the database's own, in whole seconds, so two hosts cannot disagree
about a lease.

PostgreSQL lets writers work side by side, each blind to what another has not committed: two
needs that end at once would each leave their trial to the other. So writers take turns there,
too, under an advisory lock; what changes one row and looks at no other does not wait for it.
"""

import importlib.util
import json
import re
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ksmith.records import Json, UserError

FILE = "ksmith.db"
DRIVER = "psycopg"
BUSY_MS = 30_000
OLDEST_SQLITE = (3, 38, 0)  # unixepoch()

# WAL keeps its index in memory that the processes of one host share: across hosts, rows get
# lost.
NETWORK = re.compile(
    r"(fuse\.)?(nfs\d?|cifs|smb\w*|lustre|gpfs|ceph|beegfs|afs|panfs|pvfs2|orangefs|glusterfs"
    r"|sshfs|juicefs|s3fs|gcsfuse)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between databases, as pieces of SQL."""

    now: str  # whole seconds since the epoch
    skip: str  # ends the SELECT that picks a row nobody else is claiming
    turn: str  # the statement that waits until no other writer is at work
    among: str  # the numbers in a JSON list, a parameter called {}
    named: str  # the texts in a JSON list, a parameter called {}


DIALECTS = {
    "sqlite": Dialect(
        now="unixepoch()",
        skip="",  # there is one writer at a time
        turn="",
        among="(SELECT value FROM json_each(:{}))",
        named="(SELECT value FROM json_each(:{}))",
    ),
    "postgresql": Dialect(
        now="CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)",
        skip="FOR NO KEY UPDATE SKIP LOCKED",
        turn="SELECT pg_advisory_xact_lock(7374121500)",  # any number, always the same
        among="(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:{} AS json)))",
        named="(SELECT value FROM json_array_elements_text(CAST(:{} AS json)))",
    ),
}


@dataclass(frozen=True, slots=True)
class Database:
    """Where the tables are. `path` is None where a server keeps them."""

    url: URL
    path: Path | None
    writer: Engine
    reader: Engine

    @property
    def dialect(self) -> Dialect:
        """What differs."""
        return DIALECTS[self.url.get_backend_name()]

    @contextmanager
    def write(self, *, one_row: bool = False) -> Generator[Connection]:
        """Yield a connection in a transaction that may write; committed at the end.

        It is the only one that writes, but for those that change `one_row` of the queue by what
        stands in that row alone.
        """
        with self.writer.begin() as connection:
            if self.dialect.turn and not one_row:
                connection.exec_driver_sql(self.dialect.turn)
            yield connection

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Yield a connection that sees one moment and cannot write."""
        with self.reader.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.writer.dispose()
        self.reader.dispose()


def locate(home: Path, url: str | None) -> tuple[URL, Path | None]:
    """Return the database's URL and, for SQLite, its file.

    Raises:
        UserError: not a URL, a kind of database that is not supported, or a file that other
            hosts can write to.
    """
    try:
        found = make_url(url) if url else URL.create("sqlite", database=str(home / FILE))
    except ArgumentError:
        # The text is not shown: it may hold a password.
        raise UserError("not a database URL; for example postgresql://user@host/name") from None
    backend = found.get_backend_name()
    if backend not in DIALECTS:
        raise UserError(
            f"no support for {backend!r} databases; there are {', '.join(DIALECTS)}"
        )
    if backend != "sqlite":
        return server_url(found), None
    if not found.database or found.database == ":memory:":
        raise UserError("the database must be a file: processes share it")
    path = Path(found.database).absolute()
    refuse_network(path)
    return found.set(database=str(path)), path


def server_url(url: URL) -> URL:
    """Return the URL of a PostgreSQL database, with the one driver that ksmith is tested on.

    Raises:
        UserError: another driver is asked for, or ksmith was installed without this one.
    """
    _, _, driver = url.drivername.partition("+")
    if driver not in {"", DRIVER}:
        raise UserError(
            f"no support for the driver {driver!r}; postgresql://user@host/name uses {DRIVER}"
        )
    if importlib.util.find_spec(DRIVER) is None:
        raise UserError(f"a PostgreSQL database needs {DRIVER}: pip install 'ksmith[postgres]'")
    return url.set(drivername=f"postgresql+{DRIVER}")


def refuse_network(path: Path, mounts: Iterable[tuple[str, str]] | None = None) -> None:
    """Refuse a file on a network file system; `mounts` are (mount point, type), of this host.

    Raises:
        UserError: SQLite is not safe there.
    """
    if mounts is None:
        mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    target = path.resolve()
    over = [(Path(point), kind) for point, kind in mounts if target.is_relative_to(point)]
    if not over:
        return
    # The last of equal ones: a mount point can be mounted over.
    point, kind = max(reversed(over), key=lambda pair: len(pair[0].parts))
    if NETWORK.fullmatch(kind):
        raise UserError(
            f"{path} is on a network file system ({kind} at {point}), where SQLite loses "
            "writes; name a local folder with --home, or give a PostgreSQL URL"
        )


def connect(url: URL, path: Path | None) -> Database:
    """Return the database at `url`: its two engines, not yet connected.

    Raises:
        UserError: the SQLite library is too old.
    """
    if path is None:
        writer = create_engine(url, pool_pre_ping=True)  # a server may have been restarted
        reader = writer.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        return Database(url, None, writer, reader)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise UserError(
            f"SQLite {sqlite3.sqlite_version} is too old: ksmith needs 3.38 or later"
        )
    return Database(url, path, sqlite_engine(url), sqlite_engine(url, writes=False))


def sqlite_engine(url: URL, *, writes: bool = True, foreign_keys: bool = True) -> Engine:
    """Return an engine whose transactions all begin as writers, or all as readers."""
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # the driver's own BEGIN would be a deferred one
        _prepare(connection, writes=writes, foreign_keys=foreign_keys)

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _prepare(connection: sqlite3.Connection, *, writes: bool, foreign_keys: bool) -> None:
    # Outside a transaction: inside one, SQLite leaves the journal mode as it is.
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise UserError(
            f"the database cannot be put into WAL mode (it stays in {mode!r}): its file system "
            "has no shared memory; name another folder with --home"
        )
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    if not writes:
        connection.execute("PRAGMA query_only = ON")


@contextmanager
def clear_errors(path: Path | None) -> Generator[None]:
    """Yield; an error of the driver that the user can mend becomes a `UserError`."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        text = str(getattr(error, "orig", None) or error)
        where = path or "the database"
        if "not a database" in text:
            raise UserError(f"{where} is not an SQLite database") from error
        if "readonly" in text or "unable to open" in text:
            raise UserError(f"{where} cannot be opened for writing: {text}") from error
        if path is None:
            raise UserError(f"{where} cannot be reached: {text.splitlines()[0]}") from error
        raise


def loaded(value: Json) -> Json:
    """Return a JSON column's value: text in SQLite, already read in PostgreSQL."""
    return json.loads(value) if isinstance(value, str) else value
