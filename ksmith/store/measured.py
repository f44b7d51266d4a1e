"""Reading an outcome folder: the only way in which a measurement enters the store."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ksmith.records import Json, Metric, Outcome, file_digest, files_in


class Damaged(Exception):
    """An outcome folder that does not hold what its outcome.json says."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A complete outcome folder, its digests checked."""

    outcome: Outcome
    metrics: list[Metric]


def read(
    folder: Path,
    *,
    key: str | None = None,
    attempt: int | None = None,
    fence: int | None = None,
) -> Measured | None:
    """Return what is in `folder`, or None where it is not there or not complete.

    Raises:
        Damaged: it is another attempt's, or a file is missing, added or changed.
    """
    outcome = Outcome.read(folder)
    if outcome is None:
        return None
    for fault in faults(folder, outcome, {"key": key, "attempt": attempt, "fence": fence}):
        raise Damaged(f"{folder} {fault.text}")
    return Measured(outcome, metrics_of(folder))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a folder, said so that the folder's name can stand before it."""

    text: str
    extra: bool = False  # a file too many: all that was measured is there


def faults(
    folder: Path,
    outcome: Outcome,
    asked: Mapping[str, Json] | None = None,
    reading: Callable[[Path], None] = lambda path: None,
) -> Iterator[Fault]:
    """Yield every way in which `folder` is not what its outcome says.

    Args:
        folder: published.
        outcome: the one in it.
        asked: what the outcome must say of itself, by field; None is not asked for.
        reading: told of each file before its bytes are read.
    """
    for name, value in (asked or {}).items():
        if value is not None and getattr(outcome, name) != value:
            yield Fault(f"says {name} {getattr(outcome, name)!r}, not {value!r}")
    there: set[str] = set()
    for path in files_in(folder):
        name = path.relative_to(folder).as_posix()
        there.add(name)
        reading(path)
        if name == "outcome.json":
            continue
        if name not in outcome.files:
            yield Fault(f"holds {name}, which its outcome does not know", extra=True)
        else:
            yield from _digest(path, name, outcome.files[name])
    for name in sorted(outcome.files.keys() - there):
        yield Fault(f"lacks {name}")


def _digest(path: Path, name: str, expected: str) -> Iterator[Fault]:
    try:
        found = file_digest(path)
    except OSError as error:
        yield Fault(f"has a file that cannot be read: {name}: {error.strerror}")
        return
    if found != expected:
        yield Fault(f"has a file that is not what was written: {name}: its digest differs")


def metrics_of(folder: Path) -> list[Metric]:
    """Return the rows of the folder's metrics.json; none where there is no such file.

    Raises:
        Damaged: it holds something else.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return []
    try:
        return [Metric(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise Damaged(f"{path} is not a list of metrics: {error}") from error
