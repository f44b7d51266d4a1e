"""Study files for the tests of this room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ksmith.records import StudyError
from ksmith.study import Point, nodes, read
from ksmith.study.identity import METHODS

HEAD = 'name = "x"\n'
ROME = HEAD + '[task]\nmethod = "rome"\n'


def written(folder: Path, text: str, name: str = "x.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    """Return the lines of the error, each without the name of the folder."""
    with pytest.raises(StudyError) as raised:
        read(path, overrides)
    return str(raised.value).replace(f"{path.parent}/", "").splitlines()


def only(path: Path, *overrides: str, methods: Mapping[str, type[Any]] = METHODS) -> Point:
    """Return the one trial of a study."""
    (point,) = read(path, overrides, methods=methods).points
    return point


def keys(point: Point, methods: Mapping[str, type[Any]] = METHODS) -> dict[str, str]:
    """Return the key of each node of a trial, by role."""
    return {role: node.key for role, node in nodes(point, methods).items()}
