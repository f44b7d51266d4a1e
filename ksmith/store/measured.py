"""Reading an outcome folder: the only way in which a measurement enters the store."""

import json
from dataclasses import dataclass
from pathlib import Path

from ksmith.records import Metric, Outcome, digests, inside


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
    asked = {"key": key, "attempt": attempt, "fence": fence}
    for name, value in asked.items():
        if value is not None and getattr(outcome, name) != value:
            raise Damaged(f"{folder} says {name} {getattr(outcome, name)!r}, not {value!r}")
    _check_files(folder, outcome)
    return Measured(outcome, _metrics(folder))


def _check_files(folder: Path, outcome: Outcome) -> None:
    try:
        found = digests(folder)
    except OSError as error:
        raise Damaged(f"{folder} cannot be read: {error}") from error
    for name in sorted(found.keys() | outcome.files.keys()):
        if name not in found:
            raise Damaged(f"{folder} lacks {name}")
        if name not in outcome.files:
            raise Damaged(f"{folder} holds {name}, which its outcome does not know")
        if found[name] != outcome.files[name]:
            raise Damaged(f"{inside(folder, name)} is not what was written: its digest differs")


def _metrics(folder: Path) -> list[Metric]:
    path = folder / "metrics.json"
    if not path.exists():
        return []
    try:
        return [Metric(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (json.JSONDecodeError, TypeError) as error:
        raise Damaged(f"{path} is not a list of metrics: {error}") from error
