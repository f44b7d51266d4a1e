"""Bring a database to the schema of this code, or refuse; Alembic does the steps.

The steps and the record that they were taken share one transaction, so a killed upgrade leaves
the old database. A file lock keeps two first starts apart; an older database is copied first.
"""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import URL, Engine, create_engine, inspect, text

from ksmith.records import UserError
from ksmith.store.database import DIALECTS, sqlite_engine

ROOM = Path(__file__).parent
# In a wheel the migrations lie in the package; in a checkout beside it.
FOLDERS = (ROOM.parent / "migrations", ROOM.parent.parent / "migrations")


def config(folders: Sequence[Path] = FOLDERS) -> Config:
    """Return Alembic's configuration, which has no file.

    Raises:
        RuntimeError: an installation without its migrations.
    """
    for folder in folders:
        if (folder / "env.py").is_file():
            found = Config()
            found.set_main_option("script_location", str(folder).replace("%", "%%"))
            return found
    raise RuntimeError(
        f"ksmith's migrations are missing: not in {' nor in '.join(map(str, folders))}"
    )


def revisions(settings: Config) -> list[str]:
    """Return the revisions that this code knows, newest first."""
    return [step.revision for step in ScriptDirectory.from_config(settings).walk_revisions()]


def current(url: URL, path: Path | None) -> str | None:
    """Return the revision that the database is at; None for one that is not there yet.

    Raises:
        UserError: it holds other tables than ksmith's.
    """
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        return None
    engine = create_engine(url) if path is None else _read_only(path)
    try:
        with engine.connect() as connection:
            names = inspect(connection).get_table_names()
            if "alembic_version" in names and "node" in names:
                return connection.execute(
                    text("SELECT version_num FROM alembic_version")
                ).scalar()
    finally:
        engine.dispose()
    if path is not None and names:
        raise UserError(f"{path} is not a ksmith database: it holds {', '.join(names[:5])}")
    if "alembic_version" in names:  # MLflow's, for one: both would write their revision there
        raise UserError(
            "the database holds another program's tables; give ksmith one of its own"
        )
    return None


def _read_only(path: Path) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)

    return create_engine("sqlite://", creator=connect)


def migrate(
    url: URL, path: Path | None, home: Path, settings: Config | None = None
) -> Path | None:
    """Return the backup of an older database, if there was one; it is now of this code's schema.

    Raises:
        UserError: the database is newer than this code; it is left as it is.
    """
    settings = settings or config()
    known = revisions(settings)
    if check(current(url, path), known) == known[0]:
        return None
    with FileLock(home / "ksmith.db.lock"):
        found = check(current(url, path), known)
        if found == known[0]:
            return None  # another process was faster
        saved = _backup_first(path, home, found) if path is not None and found else None
        _upgrade(url, path, settings)
        return saved


def check(found: str | None, known: list[str]) -> str | None:
    """Return the revision that a database is at, if this code knows it.

    Raises:
        UserError: the database is newer than this code.
    """
    if found is not None and found not in known:
        raise UserError(
            f"database is at revision {found}, this ksmith knows up to {known[0]}: "
            "upgrade ksmith"
        )
    return found


def _backup_first(path: Path, home: Path, revision: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return backup(path, home / "backups" / f"ksmith-{revision}-{stamp}.db")


def backup(path: Path, target: Path) -> Path:
    """Return `target`, now a copy of the database as it is at this moment, also while in use.

    Raises:
        UserError: `target` is there already.
    """
    if target.exists():
        raise UserError(f"{target} is there already; a backup overwrites nothing")
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    return target


def _upgrade(url: URL, path: Path | None, settings: Config) -> None:
    # Foreign keys are off while tables are copied, as SQLite demands; checked before commit.
    engine = create_engine(url) if path is None else sqlite_engine(url, foreign_keys=False)
    try:
        with engine.begin() as connection:
            if path is None:  # other hosts do not see the file lock
                connection.exec_driver_sql(DIALECTS[url.get_backend_name()].turn)
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            if (
                path is not None
                and connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            ):
                raise UserError(f"{path}: rows point at rows that are not there; not upgraded")
    finally:
        engine.dispose()
