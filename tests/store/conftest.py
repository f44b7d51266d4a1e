import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmith.store import Store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the tables and no rows; a copy of it saves the migration."""
    home = tmp_path_factory.mktemp("empty")
    Store.open(home).close()
    return home / "ksmith.db"


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Iterator[Store]:
    """Yield an empty store."""
    shutil.copy(empty, tmp_path / "ksmith.db")
    with Store.open(tmp_path) as opened:
        yield opened
