"""Databases on the PostgreSQL server that the environment names, one a test."""

import os

from sqlalchemy import create_engine, make_url

from ksmith.store import Store

# For example postgresql://postgres@127.0.0.1/postgres: its user may create databases.
SERVER = os.environ.get("KSMITH_TEST_POSTGRES")
WHY_NOT = "no PostgreSQL server: KSMITH_TEST_POSTGRES names none"


def fresh(name: str, template: str | None = None) -> str:
    """Return the URL of a new database; like `template`, where one is given."""
    drop(name)
    _do(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    return make_url(str(SERVER)).set(database=name).render_as_string(hide_password=False)


def drop(name: str) -> None:
    """Remove a database, whoever is connected to it."""
    _do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def url_of(store: Store) -> str:
    """Return what `Store.open` must be told to open the same database again."""
    return store.database.url.render_as_string(hide_password=False)


def _do(statement: str) -> None:
    url = make_url(str(SERVER)).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
