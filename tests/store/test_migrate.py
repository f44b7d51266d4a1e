import hashlib
import multiprocessing
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from ksmith.records import UserError
from ksmith.store import Store
from ksmith.store.database import locate
from ksmith.store.migrate import FOLDERS, config, current, migrate, revisions

SCHEMAS = Path(__file__).parent / "schemas"

NEXT = '''
"""A step of the future."""
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("node") as table:
        table.add_column(sa.Column("colour", sa.String(), nullable=False, server_default="red"))
    {more}
'''


def dump(home: Path, name: str) -> Path:
    """Return a database in `home` that is made from an old schema with a few rows."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "ksmith.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / name).read_text(encoding="utf-8"))
    return path


def later(folder: Path, more: str = "pass") -> Config:
    """Return the configuration of a ksmith that knows one more migration."""
    here = next(found for found in FOLDERS if (found / "env.py").is_file())
    shutil.copytree(here, folder, ignore=shutil.ignore_patterns("__pycache__"))
    step = NEXT.format(down=revisions(config())[0], more=more)
    (folder / "versions" / "next.py").write_text(step.lstrip(), encoding="utf-8")
    return config([folder])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_migrations_make_the_tables_of_the_code(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, store.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


@pytest.mark.parametrize("name", sorted(path.name for path in SCHEMAS.glob("*.sql")))
def test_every_old_schema_is_upgraded_with_its_rows(tmp_path: Path, name: str) -> None:
    dump(tmp_path, name)
    with Store.open(tmp_path) as store:
        (study,) = store.studies()
        assert (study.name, study.states) == ("old", {"done": 1, "blocked": 1})
        done, blocked = store.trials("old")
        assert (done.state, blocked.state) == ("done", "blocked")
        assert [attempt.state for attempt in store.attempts(done.id)] == ["lost", "ok"]
        assert store.find(done.key).folder == f"outcomes/{done.key}/2-2"
        made = store.claim("me")
        assert made and made.kind == "model"
    assert SCHEMAS.joinpath("0001.sql").exists()


def test_older_database_is_copied_then_upgraded(tmp_path: Path) -> None:
    path = dump(tmp_path / "home", "0001.sql")
    url, _ = locate(tmp_path / "home", None)
    saved = migrate(url, path, tmp_path / "home", later(tmp_path / "migrations"))
    assert saved and saved.name.startswith("ksmith-0001-")
    assert current(url, path) == "next"
    with closing(sqlite3.connect(path)) as connection:
        assert {row[0] for row in connection.execute("SELECT colour FROM node")} == {"red"}
    with closing(sqlite3.connect(saved)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (
            "0001",
        )
    assert migrate(url, path, tmp_path / "home", later(tmp_path / "again")) is None


def test_failed_upgrade_leaves_the_old_database(tmp_path: Path) -> None:
    path = dump(tmp_path / "home", "0001.sql")
    url, _ = locate(tmp_path / "home", None)
    broken = later(tmp_path / "migrations", more='raise RuntimeError("half way")')
    with pytest.raises(RuntimeError, match="half way"):
        migrate(url, path, tmp_path / "home", broken)
    assert current(url, path) == "0001"
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(node)")]
        assert "colour" not in names
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = dump(tmp_path, "0001.sql")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = digest(path)
    with pytest.raises(UserError, match=r"at revision 9999, this ksmith knows up to 0001"):
        Store.open(tmp_path)
    assert digest(path) == before
    assert not (tmp_path / "backups").exists()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ksmith.db")) as connection:
        connection.execute("CREATE TABLE runs(id INTEGER)")
    with pytest.raises(UserError, match="not a ksmith database: it holds runs"):
        Store.open(tmp_path)


def _open(home: Path) -> None:
    with Store.open(home) as store:
        assert store.studies() == []


def test_parallel_first_starts(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    starts = [fork.Process(target=_open, args=(tmp_path / "home",)) for _ in range(6)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert [start.exitcode for start in starts] == [0] * 6
    with Store.open(tmp_path / "home") as store:
        assert store.check() == []
