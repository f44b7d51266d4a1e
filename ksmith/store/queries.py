"""What is asked of the store: studies, trials, attempts, what blocks what."""

import json
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Row, text

from ksmith.records import Json, Kind, Node, UserError
from ksmith.store.claims import Claim
from ksmith.store.database import Database, loaded
from ksmith.store.rows import AttemptRow, Dag, Lease, NodeRow, StudyRow, TrialRow

PENDING = ("blocked", "ready", "leased", "running")


def studies(database: Database) -> list[StudyRow]:
    """Return all studies, oldest first."""
    with database.read() as connection:
        states: dict[int, dict[str, int]] = defaultdict(dict)
        for row in connection.execute(
            text(
                "SELECT study_id, state, COUNT(*) AS number FROM study_trial "
                "JOIN node ON node.id = study_trial.node_id GROUP BY study_id, state"
            )
        ):
            states[row.study_id][row.state] = row.number
        rows = connection.execute(
            text("SELECT id, name, question, text, created FROM study ORDER BY id")
        )
        return [
            StudyRow(
                id=row.id,
                name=row.name,
                question=row.question,
                text=row.text,
                created=row.created,
                states=states[row.id],
            )
            for row in rows
        ]


def study(database: Database, name: str) -> StudyRow:
    """Return one study.

    Raises:
        UserError: there is none of that name.
    """
    every = studies(database)
    for row in every:
        if row.name == name:
            return row
    names = [row.name for row in every]
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    there = f" there are {', '.join(names)}" if names else " there is none yet"
    raise UserError(f"no study {name!r}{hint or ';'}{there}")


def trials(database: Database, study_id: int) -> list[TrialRow]:
    """Return the trials of a study, in the order of its grid."""
    why = causes(database, study_id)
    with database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT node.id, node.key, link.position, node.state, node.attempt_no, "
                "attempt.seconds, node.reason, node.folder, link.run_id, link.axes, "
                "link.settings FROM study_trial AS link JOIN node ON node.id = link.node_id "
                "LEFT JOIN attempt ON attempt.node_id = node.id "
                "AND attempt.folder = node.folder "
                "WHERE link.study_id = :id ORDER BY link.position"
            ),
            {"id": study_id},
        )
        return [
            TrialRow(
                id=row.id,
                key=row.key,
                position=row.position,
                state=row.state,
                attempts=row.attempt_no,
                seconds=row.seconds,
                reason=why.get(row.id, row.reason),
                folder=row.folder,
                run_id=row.run_id,
                axes=loaded(row.axes),
                settings=loaded(row.settings),
            )
            for row in rows
        ]


def causes(database: Database, study_id: int) -> dict[int, str]:
    """Return trial id -> why it is blocked for good: which need failed, and how."""
    with database.read() as connection:
        rows = connection.execute(
            text("""
                WITH RECURSIVE up(trial, id) AS (
                    SELECT link.node_id, link.node_id FROM study_trial AS link
                      JOIN node ON node.id = link.node_id
                     WHERE link.study_id = :id AND node.state = 'blocked'
                    UNION SELECT up.trial, need.needs_id FROM up
                      JOIN need ON need.node_id = up.id)
                SELECT up.trial, node.key, node.state, node.reason FROM up
                  JOIN node ON node.id = up.id
                 WHERE node.state IN ('failed', 'cancelled') ORDER BY node.id DESC
            """),
            {"id": study_id},
        )
        return {
            row.trial: f"{row.key} {row.state}" + (f": {row.reason}" if row.reason else "")
            for row in rows
        }


NODE = (
    "id, key, kind, recipe, files, group_key, state, attempt_no, folder, "
    "reason, cancel_requested"
)


def _node(row: Row[Any]) -> NodeRow:
    return NodeRow(
        id=row.id,
        key=row.key,
        kind=row.kind,
        recipe=loaded(row.recipe),
        files=loaded(row.files),
        group=row.group_key,
        state=row.state,
        attempts=row.attempt_no,
        folder=row.folder,
        reason=row.reason,
        cancel_requested=bool(row.cancel_requested),
    )


def find(database: Database, prefix: str) -> NodeRow:
    """Return the node whose key, or the hash at its end, begins with `prefix`; trials first.

    Raises:
        UserError: there is none, or there are several.
    """
    plain = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    with database.read() as connection:
        rows = connection.execute(
            text(
                f"SELECT {NODE} FROM node WHERE key LIKE :whole ESCAPE '\\' "
                "OR key LIKE :hash ESCAPE '\\' ORDER BY id LIMIT 100"
            ),
            {"whole": f"{plain}%", "hash": f"%-%-{plain}%"},
        ).all()
    found = [_node(row) for row in rows]
    found = [row for row in found if row.kind == "trial"] or found
    if not prefix or not found:
        raise UserError(f"no trial or asset has a key that begins with {prefix!r}")
    if len(found) > 1:
        some = ", ".join(row.key for row in found[:4])
        raise UserError(f"{prefix!r} could be {len(found)} keys: {some}; give more letters")
    return found[0]


def needs(database: Database, node_id: int) -> dict[str, NodeRow]:
    """Return role -> what a node needs."""
    columns = ", ".join(f"node.{name}" for name in NODE.split(", "))
    with database.read() as connection:
        rows = connection.execute(
            text(
                f"SELECT need.role, {columns} FROM need JOIN node ON node.id = need.needs_id "
                "WHERE need.node_id = :id ORDER BY node.id"
            ),
            {"id": node_id},
        )
        return {row.role: _node(row) for row in rows}


def attempts(database: Database, node_id: int) -> list[AttemptRow]:
    """Return every try at a node, the first one first."""
    names = AttemptRow.__slots__
    with database.read() as connection:
        rows = connection.execute(
            text(f"SELECT {', '.join(names)} FROM attempt WHERE node_id = :id ORDER BY no"),
            {"id": node_id},
        )
        return [AttemptRow(**row._mapping) for row in rows]  # pyright: ignore[reportPrivateUsage]


def states(database: Database, study_ids: Collection[int]) -> dict[tuple[Kind, str], int]:
    """Return (kind, state) -> number of the trials of these studies and of all they need."""
    found: dict[tuple[Kind, str], int] = defaultdict(int)
    for row in dag(database, study_ids).nodes.values():
        found[row.kind, row.state] += 1
    return dict(found)


_DOWN = """
    WITH RECURSIVE down(id) AS (
        SELECT node_id FROM study_trial WHERE study_id IN {ids}
        UNION SELECT need.needs_id FROM need JOIN down ON need.node_id = down.id)
"""


def dag(database: Database, study_ids: Collection[int]) -> Dag:
    """Return the trials of these studies and everything that they need."""
    down = _DOWN.format(ids=database.dialect.among.format("ids"))
    given = {"ids": json.dumps(list(study_ids))}
    with database.read() as connection:
        rows = connection.execute(
            text(f"{down} SELECT {NODE} FROM node WHERE id IN (SELECT id FROM down)"), given
        )
        nodes = {row.id: _node(row) for row in rows}
        edges = connection.execute(
            text(
                f"{down} SELECT node_id, needs_id FROM need "
                "WHERE node_id IN (SELECT id FROM down)"
            ),
            given,
        )
        return Dag(
            nodes=nodes,
            needs=[(row.node_id, row.needs_id) for row in edges],
            trials=frozenset(row.id for row in nodes.values() if row.kind == "trial"),
        )


def standing(
    database: Database, study_ids: Collection[int]
) -> dict[int, tuple[str, str | None]]:
    """Return id -> (state, folder), of the same nodes as `dag`: cheap enough to ask often."""
    down = _DOWN.format(ids=database.dialect.among.format("ids"))
    with database.read() as connection:
        rows = connection.execute(
            text(
                f"{down} SELECT id, state, folder FROM node WHERE id IN (SELECT id FROM down)"
            ),
            {"ids": json.dumps(list(study_ids))},
        )
        return {row.id: (row.state, row.folder) for row in rows}


def leases(database: Database) -> list[Lease]:
    """Return every node that is leased or running, with the attempt that it is in."""
    with database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT node.id, key, kind, recipe, files, group_key, node.fence, no, "
                "attempt.id AS attempt_id, lease_owner, attempt.folder, log, node.state, "
                "host, boot, pid, pid_started, device, cancel_requested, "
                f"CASE WHEN lease_until < {database.dialect.now} THEN 1 ELSE 0 END AS expired "
                "FROM node JOIN attempt ON attempt.node_id = node.id "
                "AND attempt.fence = node.fence "
                "WHERE node.state IN ('leased', 'running')"
            )
        ).all()
        return [_lease(row) for row in rows]


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        claim=Claim(
            id=row.id,
            key=row.key,
            kind=row.kind,
            recipe=loaded(row.recipe),
            files=loaded(row.files),
            group=row.group_key,
            fence=row.fence,
            attempt=row.no,
            attempt_id=row.attempt_id,
            owner=row.lease_owner,
            folder=row.folder,
            log=row.log,
            needs={},
        ),
        expired=bool(row.expired),
        cancel_requested=bool(row.cancel_requested),
        state=row.state,
        host=row.host,
        boot=row.boot,
        pid=row.pid,
        pid_started=row.pid_started,
        device=row.device,
    )


def expected(database: Database, nodes: Iterable[Node]) -> float | None:
    """Return the seconds of work that `nodes` should take, going by their likes.

    The likes of a node are those of its kind and method, else of its kind; None where there has
    been none of a kind.
    """
    with database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT node.kind, node.recipe, attempt.seconds FROM attempt "
                "JOIN node ON node.id = attempt.node_id "
                "WHERE attempt.state = 'ok' AND attempt.seconds IS NOT NULL "
                "ORDER BY attempt.id DESC LIMIT 5000"
            )
        ).all()
    seen: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for row in rows:
        for method in {_method(loaded(row.recipe)), None}:
            seen[row.kind, method].append(row.seconds)
    total = 0.0
    for node in nodes:
        likes = seen.get((node.kind, _method(node.recipe))) or seen.get((node.kind, None))
        if not likes:
            return None
        total += statistics.median(likes)
    return total


def _method(recipe: Mapping[str, Json]) -> str | None:
    task = recipe.get("task")
    return task.get("method") if isinstance(task, Mapping) else None
