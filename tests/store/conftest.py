"""Every test of the store runs on both kinds of database, on PostgreSQL where one is named."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmith.store import Store
from tests.store.servers import SERVER, WHY_NOT, drop, fresh

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]

Empty = Callable[[Path], Store]  # folder -> a store in it, whose database has no rows yet


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the tables and no rows; a copy of it saves the migration."""
    home = tmp_path_factory.mktemp("empty")
    Store.open(home).close()
    return home / "ksmith.db"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the name of a PostgreSQL database like `empty`."""
    if SERVER is None:
        pytest.skip(WHY_NOT)
    name = f"ksmith_template_{os.getpid()}"
    Store.open(tmp_path_factory.mktemp("template"), fresh(name)).close()
    yield name
    drop(name)


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> Iterator[Empty]:
    """Yield what makes empty stores on one kind of database."""
    if request.param == "sqlite":
        empty: Path = request.getfixturevalue("empty")

        def copy(home: Path) -> Store:
            home.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty, home / "ksmith.db")
            return Store.open(home)

        yield copy
        return
    template: str = request.getfixturevalue("template")
    made: list[tuple[str, Store]] = []

    def create(home: Path) -> Store:
        name = f"ksmith_test_{os.getpid()}_{len(made)}"
        made.append((name, Store.open(home, fresh(name, template))))
        return made[-1][1]

    yield create
    for name, store in made:
        store.close()
        drop(name)


@pytest.fixture
def store(tmp_path: Path, make: Empty) -> Iterator[Store]:
    """Yield an empty store."""
    with make(tmp_path) as opened:
        yield opened
