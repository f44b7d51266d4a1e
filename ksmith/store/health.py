"""How to make a lab's database anew from its outcome folders."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from ksmith.records import Outcome
from ksmith.store.database import Database
from ksmith.store.measured import Damaged, Measured, read
from ksmith.store.metrics import replace_metrics
from ksmith.store.needs import COMPLETE

ROOMS = ("assets", "outcomes")
NAME = re.compile(r"(\d+)-(\d+)")  # <attempt>-<fence>


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindexed:
    """What `reindex` found: the numbers of folders, and one line for each that it left out."""

    counted: int  # nodes that are done with their folder's outcome and metrics
    attempts: int  # attempts that the database did not know
    unknown: int  # folders of nodes that no study has ever named
    damaged: tuple[str, ...]


def attempt_folders(home: Path) -> Iterator[Path]:
    """Yield the folder of every published attempt, in the order in which they were tried."""
    for room in ROOMS:
        for node in sorted((home / room).glob("*")):
            found = [path for path in node.glob("*") if NAME.fullmatch(path.name)]
            yield from sorted(found, key=lambda path: [int(n) for n in path.name.split("-")])


def reindex(database: Database, home: Path) -> Reindexed:
    """Return what was rebuilt: states, attempts and metrics, from the complete outcome folders.

    Doing it twice changes nothing more. What is being worked on now is left alone, and so is a
    folder whose node the database has never heard of: a study says what a key means.
    """
    counted = attempts = unknown = 0
    damaged: list[str] = []
    for folder in attempt_folders(home):
        try:
            measured = read(folder, key=folder.parent.name)
        except Damaged as error:
            damaged.append(str(error))
            continue
        if measured is None:
            damaged.append(f"{folder} has no complete outcome.json")
            continue
        with database.write() as connection:
            node_id = _free_node(connection, measured.outcome.key)
            if node_id is None:
                unknown += 1
                continue
            name = folder.relative_to(home).as_posix()
            attempt_id, made = _attempt(connection, node_id, name, measured.outcome)
            attempts += made
            counted += _count(connection, node_id, attempt_id, name, measured)
    with database.write() as connection:
        connection.execute(
            text(f"UPDATE node SET state = 'ready' WHERE state = 'blocked' {COMPLETE}")
        )
    return Reindexed(
        counted=counted, attempts=attempts, unknown=unknown, damaged=tuple(damaged)
    )


def _free_node(connection: Connection, key: str) -> int | None:
    return connection.execute(
        text("SELECT id FROM node WHERE key = :key AND state NOT IN ('leased', 'running')"),
        {"key": key},
    ).scalar_one_or_none()


def _attempt(
    connection: Connection, node_id: int, folder: str, outcome: Outcome
) -> tuple[int, int]:
    """Return the attempt's id, and 1 if it had to be made."""
    there = connection.execute(
        text("SELECT id FROM attempt WHERE node_id = :id AND no = :no"),
        {"id": node_id, "no": outcome.attempt},
    ).scalar_one_or_none()
    if there is not None:
        return there, 0
    made = connection.execute(
        text(
            "INSERT INTO attempt(node_id, no, fence, state, owner, host, device, error, "
            "folder, log, started, ended, seconds) VALUES (:id, :no, :fence, :state, "
            "'reindex', :host, :device, :error, :folder, :log, :started, :ended, :seconds) "
            "RETURNING id"
        ),
        {"id": node_id, "no": outcome.attempt, "fence": outcome.fence, "state": outcome.reason}
        | {"host": outcome.host, "device": outcome.device, "error": outcome.error}
        | {"folder": folder, "log": f"{folder}.log", "started": int(outcome.started)}
        | {"ended": int(outcome.started + outcome.seconds), "seconds": outcome.seconds},
    ).scalar_one()
    connection.execute(
        text(
            "UPDATE node SET attempt_no = :no, fence = :fence "
            "WHERE id = :id AND attempt_no < :no"
        ),
        {"id": node_id, "no": outcome.attempt, "fence": outcome.fence},
    )
    return made, 1


def _count(
    connection: Connection, node_id: int, attempt_id: int, folder: str, measured: Measured
) -> int:
    """Return 1 if this folder is what the node counts as its result."""
    if measured.outcome.reason != "ok":
        return 0
    changed = connection.execute(
        text(
            "UPDATE node SET state = 'done', folder = :folder, reason = NULL, "
            "cancel_requested = 0 WHERE id = :id "
            "AND (state <> 'done' OR folder IS NULL OR folder = :folder)"
        ),
        {"id": node_id, "folder": folder},
    ).rowcount
    if not changed:
        return 0  # another attempt's folder counts already
    connection.execute(
        text("UPDATE attempt SET state = 'ok', seconds = :seconds WHERE id = :id"),
        {"id": attempt_id, "seconds": measured.outcome.seconds},
    )
    replace_metrics(connection, node_id, attempt_id, measured.metrics)
    return 1
