"""Open a lab for reading, and read what frames are made of: a few plain selects.

SQLite files and PostgreSQL are read through ADBC, some five times as fast as row by row.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from ksmith.records import UserError

FILE = "ksmith.db"
REVISION = "0001"  # of the schema that these selects are for, the newest

TRIALS = """
SELECT study.name AS study, node.id AS node_id, node.key AS trial, node.state AS state,
       node.attempt_no AS attempts, attempt.seconds AS seconds, link.run_id AS run_id,
       node.reason AS reason, node.folder AS folder,
       CAST(link.settings AS TEXT) AS settings
  FROM study_trial AS link
  JOIN study ON study.id = link.study_id
  JOIN node ON node.id = link.node_id
  LEFT JOIN attempt ON attempt.node_id = node.id AND attempt.folder = node.folder
 {only}
 ORDER BY study.id, link.position
"""
TRIALS_SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "node_id": pl.Int64,
    "trial": pl.String,
    "state": pl.String,
    "attempts": pl.Int64,
    "seconds": pl.Float64,
    "run_id": pl.String,
    "reason": pl.String,
    "folder": pl.String,
    "settings": pl.String,
}

METRICS = """
SELECT node_id, step, probe, measure, slice, hop, value, n, low, high FROM metric {only}
 ORDER BY id
"""
METRICS_SCHEMA: dict[str, Any] = {
    "node_id": pl.Int64,
    "step": pl.Int64,
    "probe": pl.String,
    "measure": pl.String,
    "slice": pl.String,
    "hop": pl.Int64,
    "value": pl.Float64,
    "n": pl.Int64,
    "low": pl.Float64,
    "high": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is only read: its folder, and its database's URL where that is elsewhere."""

    home: Path
    url: str | None = None

    def check_revision(self) -> None:
        """Refuse a database that is newer than this code.

        Raises:
            UserError: it is.
        """
        found = self._read(
            "SELECT version_num FROM alembic_version", {"version_num": pl.String}
        ).item()
        if found != REVISION:
            # Alembic takes longer to load than most frames to make.
            from ksmith.store.migrate import check, config, revisions

            check(found, revisions(config()))

    def trials(self, study: str | None) -> pl.DataFrame:
        """Return the rows of `TRIALS_SCHEMA`, of one study or of all."""
        only = f"WHERE study.id = {self._study(study)}" if study is not None else ""
        return self._read(TRIALS.format(only=only), TRIALS_SCHEMA)

    def metrics(self, study: str | None) -> pl.DataFrame:
        """Return the rows of `METRICS_SCHEMA`; a missing value is NaN."""
        only = "WHERE node_id IN (SELECT node_id FROM study_trial)"
        if study is not None:
            only = (
                "WHERE node_id IN "
                f"(SELECT node_id FROM study_trial WHERE study_id = {self._study(study)})"
            )
        rows = self._read(METRICS.format(only=only), METRICS_SCHEMA)
        return rows.with_columns(pl.col("value").fill_null(float("nan")))

    def text(self, study: str) -> str:
        """Return the study file as it was stored last."""
        rows = self._read(
            f"SELECT text FROM study WHERE id = {self._study(study)}", {"text": pl.String}
        )
        return str(rows.item())

    def _study(self, name: str) -> int:
        rows = self._read(
            "SELECT id, name FROM study ORDER BY id", {"id": pl.Int64, "name": pl.String}
        )
        ids: dict[str, int] = dict(zip(rows["name"], rows["id"], strict=True))
        if name in ids:
            return ids[name]
        near = get_close_matches(name, ids, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ";"
        there = f"there are {', '.join(ids)}" if ids else "there is none yet"
        raise UserError(f"no study {name!r} in {self.home}{hint} {there}")

    def _read(self, query: str, schema: Mapping[str, Any]) -> pl.DataFrame:
        frame = (
            _read_server(self.url, query) if self.url else _read_file(self.home / FILE, query)
        )
        return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def open_lab(home: str | Path | None) -> Lab:
    """Return the lab in `home`, else in KSMITH_HOME, else in ./mlruns.

    Raises:
        UserError: there is none, or its database is newer than this code.
    """
    folder = Path(home or os.environ.get("KSMITH_HOME") or "mlruns")
    url = os.environ.get("KSMITH_DATABASE")
    if not url and not (folder / FILE).is_file():
        raise UserError(
            f"no lab in {folder.absolute()}: there is no {FILE}; "
            "name the folder with home= or KSMITH_HOME, or make one with `ksmith study create`"
        )
    lab = Lab(folder, url)
    lab.check_revision()
    return lab


# --- reading ----------------------------------------------------------------------------------


def _read_file(file: Path, query: str) -> pl.DataFrame:
    """Return the rows of `query`, of one moment, leaving no file behind.

    A file that no process has open has no -wal beside it. Opened read-only in the usual way,
    SQLite would put one there, or fail in a folder that cannot be written; opened as immutable
    it does neither, but sees no change. So a change in the meantime means reading again.
    """
    wal = file.with_name(f"{file.name}-wal")
    for _ in range(3):
        if wal.exists():
            break
        before = file.stat()
        frame = _select(file, "immutable=1", query)
        after = file.stat()
        if not wal.exists() and (before.st_mtime_ns, before.st_size) == (
            after.st_mtime_ns,
            after.st_size,
        ):
            return frame
    return _select(file, "mode=ro", query)


def _select(file: Path, mode: str, query: str) -> pl.DataFrame:
    from adbc_driver_manager import Error
    from adbc_driver_sqlite import dbapi

    uri = f"{file.absolute().as_uri()}?{mode}"
    try:
        with dbapi.connect(uri) as connection, connection.cursor() as cursor:
            # Types are inferred from the first batch: with one batch, from every row.
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "100000000"})
            cursor.execute(query)
            frame = pl.from_arrow(cursor.fetch_arrow_table())
    except Error as error:
        raise UserError(f"{file} cannot be read: {error}; try `ksmith db check`") from error
    assert isinstance(frame, pl.DataFrame)
    return frame


def _read_server(url: str, query: str) -> pl.DataFrame:
    if url.startswith("postgres"):
        return _read_postgres(url, query)
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(text(query))
            names = list(rows.keys())
            return pl.DataFrame(
                [tuple(row) for row in rows], names, orient="row", infer_schema_length=None
            )
    finally:
        engine.dispose()


def _read_postgres(url: str, query: str) -> pl.DataFrame:
    try:
        # An extra: not there where nobody asked for PostgreSQL.
        from adbc_driver_postgresql import dbapi  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            "a PostgreSQL database needs adbc-driver-postgresql: pip install 'ksmith[postgres]'"
        ) from error
    from adbc_driver_manager import Error

    # SQLAlchemy's name of the driver is no part of what the server's own library reads.
    address = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    try:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            frame = pl.from_arrow(cursor.fetch_arrow_table())
    except Error as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"the database cannot be read: {first}") from error
    assert isinstance(frame, pl.DataFrame)
    return frame
