"""The queue: a node is claimed under a lease, and every later write carries its fence.

    blocked -> ready -> leased -> running -> done | failed | cancelled

A claim raises the node's fence and hands out a lease of `ttl` seconds to one owner. Whoever
wants to write about that node later must name the fence and still be the owner, in the
statement itself: 0 rows changed means that somebody else took over, and what the late writer
has does not count. The SQL is written by hand: one statement is what makes a step atomic.
"""

import dataclasses
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from ksmith.records import Json, Kind, Metric, Reason
from ksmith.store.database import Database

# What gates everything goes first; then what ends a trial before what begins another, so that
# results come early and a stopped run leaves few updates without their measurement.
PRIORITY: dict[Kind, int] = {
    "graph": 50,
    "model": 40,
    "moments": 30,
    "hypernetwork": 28,  # trained, too: below the gate, as only one method waits for it
    "gold": 25,  # trained, but below the gate: a warm model's other work may come first
    "standard": 22,
    "before": 20,
    "trial": 10,
    "update": 0,
}
GATE = PRIORITY["moments"]  # from here up, order beats a warm model

FREE: frozenset[Reason] = frozenset({"lost", "preempted"})  # not the node's own fault
HELD = "id = :id AND fence = :fence AND lease_owner = :owner AND state IN ('leased', 'running')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt at one node, and the right to end it while `owner` holds the lease."""

    id: int  # of the node
    key: str
    kind: Kind
    recipe: dict[str, Json]
    files: dict[str, str]
    group: str
    fence: int
    attempt: int  # number of the try, from 1
    attempt_id: int
    owner: str
    folder: str  # relative to the home
    log: str
    needs: Mapping[str, tuple[str, str]]  # role -> (key, folder relative to the home)

    def of(self, owner: str) -> "Claim":
        """Return the same claim as another owner has it."""
        return dataclasses.replace(self, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The process that runs an attempt; its start tells it from a later one of that pid."""

    host: str
    boot: str
    pid: int
    pid_started: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often a node is tried again, by the reason for which its attempt ended."""

    max_lost: int = 1  # lost and preempted
    retries: int = 0  # error, oom and timeout
    backoff: int = 0  # seconds before the next try


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an attempt ended, and what it measured."""

    reason: Reason
    error: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    metrics: Sequence[Metric] = field(default_factory=tuple)
    unfinished: bool = False  # it failed, and what it had done by then is in its folder


Renewal = Literal["held", "cancel", "fenced"]


def claim(
    database: Database,
    owner: str,
    *,
    wanted: Collection[int] | None = None,
    warm: str | None = None,
    ttl: int = 60,
) -> Claim | None:
    """Return a ready node, now leased to `owner` with a new attempt; None where there is none.

    `wanted` limits the choice to these ids; `warm` is the group that is preferred.
    """
    dialect = database.dialect
    only = f"AND id IN {dialect.among.format('wanted')}" if wanted is not None else ""
    take = f"""
        UPDATE node SET state = 'leased', lease_owner = :owner, fence = fence + 1,
               attempt_no = attempt_no + 1, lease_until = {dialect.now} + :ttl
         WHERE id = (SELECT id FROM node
                      WHERE state = 'ready' AND not_before <= {dialect.now}
                        AND cancel_requested = 0 {only}
                      ORDER BY CASE WHEN priority >= :gate THEN priority ELSE 0 END DESC,
                               CASE WHEN group_key = :warm THEN 0 ELSE 1 END,
                               priority DESC, id
                      LIMIT 1 {dialect.skip})
           AND state = 'ready'
        RETURNING id, key, kind, recipe, files, group_key, fence, attempt_no
    """
    given = {"owner": owner, "ttl": ttl, "gate": GATE, "warm": warm}
    if wanted is not None:
        given["wanted"] = json.dumps(list(wanted))
    with database.write(one_row=True) as connection:
        row = connection.execute(text(take), given).one_or_none()
        return None if row is None else _begin(connection, dialect.now, row, owner)


def _begin(connection: Connection, now: str, row: Row[Any], owner: str) -> Claim:
    room = "outcomes" if row.kind == "trial" else "assets"
    folder = f"{room}/{row.key}/{row.attempt_no}-{row.fence}"
    attempt_id = connection.execute(
        text(
            "INSERT INTO attempt(node_id, no, fence, state, owner, folder, log, started) "
            f"VALUES (:id, :no, :fence, 'started', :owner, :folder, :log, {now}) RETURNING id"
        ),
        {"id": row.id, "no": row.attempt_no, "fence": row.fence, "owner": owner}
        | {"folder": folder, "log": f"{folder}.log"},
    ).scalar_one()
    return Claim(
        id=row.id,
        key=row.key,
        kind=row.kind,
        recipe=loaded(row.recipe),
        files=loaded(row.files),
        group=row.group_key,
        fence=row.fence,
        attempt=row.attempt_no,
        attempt_id=attempt_id,
        owner=owner,
        folder=folder,
        log=f"{folder}.log",
        needs=_needs(connection, row.id),
    )


def _needs(connection: Connection, node_id: int) -> dict[str, tuple[str, str]]:
    rows = connection.execute(
        text(
            "SELECT need.role, node.key, node.folder FROM need "
            "JOIN node ON node.id = need.needs_id WHERE need.node_id = :id"
        ),
        {"id": node_id},
    )
    return {row.role: (row.key, row.folder) for row in rows}


def start(database: Database, held: Claim, worker: Worker) -> bool:
    """Return whether the claim is now running on `worker`; False where it was fenced."""
    with database.write(one_row=True) as connection:
        changed = connection.execute(
            text(f"UPDATE node SET state = 'running' WHERE {HELD}"), _who(held)
        ).rowcount
        if changed:
            connection.execute(
                text(
                    "UPDATE attempt SET host = :host, boot = :boot, pid = :pid, "
                    "pid_started = :pid_started, device = :device WHERE id = :attempt_id"
                ),
                {"attempt_id": held.attempt_id, "host": worker.host, "boot": worker.boot}
                | {"pid": worker.pid, "pid_started": worker.pid_started}
                | {"device": worker.device},
            )
        return changed > 0


def renew(database: Database, held: Claim, ttl: int = 60) -> Renewal:
    """Return what became of the claim: held for `ttl` more seconds, to stop, or fenced."""
    with database.write(one_row=True) as connection:
        row = connection.execute(
            text(
                f"UPDATE node SET lease_until = {database.dialect.now} + :ttl WHERE {HELD} "
                "RETURNING cancel_requested"
            ),
            _who(held) | {"ttl": ttl},
        ).one_or_none()
    if row is None:
        return "fenced"
    return "cancel" if row.cancel_requested else "held"


def finish(
    database: Database, held: Claim, end: End, policy: Policy | None = None
) -> str | None:
    """Return the state that the node is in now; None where the claim was fenced.

    In one transaction: the node, its attempt, its metrics, the outbox and what it unblocks.
    """
    policy = policy or Policy()
    with database.write() as connection:
        row = connection.execute(
            text(
                "SELECT lost, charged, max_attempts, cancel_requested, "
                f"({_HOPELESS}) AS hopeless FROM node WHERE {HELD}"
            ),
            _who(held),
        ).one_or_none()
        if row is None:
            return None
        state = _next_state(row, end.reason, policy)
        left = state == "failed" and end.unfinished
        # `ready` here is only an intent: a need may have been taken back in the meantime.
        changed = connection.execute(
            text(_END.format(now=database.dialect.now)),
            _who(held)
            | {"state": "blocked" if state == "ready" else state, "reason": end.error}
            | {"lost": int(end.reason in FREE), "charged": int(_paid(end.reason))}
            | {"folder": held.folder if end.reason == "ok" or left else None}
            | {"backoff": policy.backoff if state == "ready" else 0},
        ).rowcount
        if not changed:  # only where writers do not wait for each other
            return None
        _close_attempt(connection, database.dialect.now, held, end)
        if end.reason == "ok" or left:
            _count_metrics(connection, held, end.metrics)
            unblock(connection, needing=held.id)
        if state == "ready":
            unblock(connection, itself=held.id)
        return state


_END = f"""
    UPDATE node SET state = :state, reason = :reason, lease_owner = NULL, lease_until = NULL,
           folder = COALESCE(:folder, folder), not_before = {{now}} + :backoff,
           lost = lost + :lost, charged = charged + :charged
     WHERE {HELD}
"""


# Nothing that is tried again makes up for a need that failed.
_HOPELESS = """
    SELECT COUNT(*) FROM need JOIN node AS other ON other.id = need.needs_id
     WHERE need.node_id = node.id AND other.state = 'failed'
"""


def _paid(reason: Reason) -> bool:
    return reason not in FREE and reason not in {"ok", "cancelled"}


def _next_state(row: Row[Any], reason: Reason, policy: Policy) -> str:
    if reason == "ok":
        return "done"  # also where a cancel came too late: what was measured is kept
    if row.cancel_requested or reason == "cancelled":
        return "cancelled"
    if reason in FREE:
        return "ready" if row.lost < policy.max_lost else "failed"
    tries = max(row.max_attempts, 1 + policy.retries)
    return "ready" if row.charged + 1 < tries and not row.hopeless else "failed"


def _close_attempt(connection: Connection, now: str, held: Claim, end: End) -> None:
    connection.execute(
        text(
            "UPDATE attempt SET state = :state, error = :error, exit_code = :exit_code, "
            f"seconds = :seconds, ended = {now} WHERE id = :id AND state = 'started'"
        ),
        {"id": held.attempt_id, "state": end.reason, "error": end.error}
        | {"exit_code": end.exit_code, "seconds": end.seconds},
    )
    if held.kind == "trial":
        announce(connection, now, [(held.id, held.attempt_id)])


def announce(connection: Connection, now: str, attempts: Sequence[tuple[int, int]]) -> None:
    """Put (node, attempt) pairs into the outbox: MLflow is to hear of them."""
    if attempts:
        connection.execute(
            text(
                "INSERT INTO outbox(node_id, attempt_id, kind, payload, created) "
                f"VALUES (:node, :attempt, 'attempt', :payload, {now})"
            ),
            [
                {"node": node, "attempt": attempt}
                | {"payload": json.dumps({"node_id": node, "attempt_id": attempt})}
                for node, attempt in attempts
            ],
        )


def _count_metrics(connection: Connection, held: Claim, metrics: Sequence[Metric]) -> None:
    replace_metrics(connection, held.id, held.attempt_id, metrics)


def replace_metrics(
    connection: Connection, node_id: int, attempt_id: int, metrics: Sequence[Metric]
) -> None:
    """Make `metrics` the node's only ones."""
    connection.execute(text("DELETE FROM metric WHERE node_id = :id"), {"id": node_id})
    if metrics:
        connection.execute(
            text(
                "INSERT INTO metric(node_id, attempt_id, step, probe, measure, slice, hop, "
                "value, n, low, high) VALUES (:node, :attempt, :step, :probe, :measure, "
                ":slice, :hop, :value, :n, :low, :high)"
            ),
            [
                {"node": node_id, "attempt": attempt_id, "step": row.step, "probe": row.probe}
                | {"measure": row.measure, "slice": row.slice, "hop": row.hop, "n": row.n}
                | {"value": number(row.value), "low": number(row.low), "high": number(row.high)}
                for row in metrics
            ],
        )


def number(value: float | None) -> float | None:
    """Return `value`, or None where it is none: SQLite has no "not a number"."""
    return None if value is None or math.isnan(value) else value


def unblock(
    connection: Connection, *, needing: int | None = None, itself: int | None = None
) -> None:
    """Make ready what waits for `needing`, or `itself`, if nothing else is missing."""
    which = (
        "id = :id"
        if needing is None
        else "id IN (SELECT node_id FROM need WHERE needs_id = :id)"
    )
    connection.execute(
        text(f"UPDATE node SET state = 'ready' WHERE state = 'blocked' AND {which} {COMPLETE}"),
        {"id": itself if needing is None else needing},
    )


COMPLETE = """
    AND NOT EXISTS (SELECT 1 FROM need JOIN node AS other ON other.id = need.needs_id
                     WHERE need.node_id = node.id AND other.state <> 'done'
                       AND NOT (other.state = 'failed' AND other.folder IS NOT NULL))
"""  # what failed and left a folder can be told of by what needs it


def give_back(database: Database, held: Claim) -> bool:
    """Return whether the claim was given back: ready again, and nothing charged for it."""
    with database.write() as connection:
        changed = connection.execute(
            text(
                "UPDATE node SET lease_owner = NULL, lease_until = NULL, "
                "state = CASE WHEN cancel_requested = 1 THEN 'cancelled' ELSE 'blocked' END "
                f"WHERE {HELD}"
            ),
            _who(held),
        ).rowcount
        if changed:
            end = End(reason="cancelled", error="given back")
            _close_attempt(connection, database.dialect.now, held, end)
            unblock(connection, itself=held.id)
        return changed > 0


def take_over(
    database: Database, held: Claim, new_owner: str, *, dead: bool, ttl: int = 60
) -> bool:
    """Return whether `new_owner` now has the lease of `held`, with the same fence.

    Allowed where the owner is known to be `dead`, or the lease has run out.
    """
    with database.write() as connection:
        late = "" if dead else f"AND lease_until < {database.dialect.now}"
        return (
            connection.execute(
                text(
                    "UPDATE node SET lease_owner = :new_owner, "
                    f"lease_until = {database.dialect.now} + :ttl WHERE {HELD} {late}"
                ),
                _who(held) | {"new_owner": new_owner, "ttl": ttl},
            ).rowcount
            > 0
        )


def _who(held: Claim) -> dict[str, int | str]:
    return {"id": held.id, "fence": held.fence, "owner": held.owner}


def loaded(value: Json) -> Json:
    """Return a JSON column's value: text in SQLite, already read in PostgreSQL."""
    return json.loads(value) if isinstance(value, str) else value


def cancel(database: Database, ids: Collection[int]) -> tuple[int, int]:
    """Return how many of the nodes are cancelled now, and how many once their attempt stops."""
    among = f"id IN {database.dialect.among.format('ids')}"
    given = {"ids": json.dumps(list(ids))}
    with database.write() as connection:
        now = connection.execute(
            text(
                "UPDATE node SET state = 'cancelled', reason = 'cancelled by hand' "
                f"WHERE {among} AND state IN ('blocked', 'ready')"
            ),
            given,
        ).rowcount
        later = connection.execute(
            text(
                "UPDATE node SET cancel_requested = 1 "
                f"WHERE {among} AND state IN ('leased', 'running')"
            ),
            given,
        ).rowcount
        return now, later


def retry(database: Database, ids: Collection[int]) -> list[str]:
    """Return the keys of what will be tried again: these nodes, and the needs they wait for.

    And what had failed with those needs, whoever asked for it.
    """
    among = f"id IN {database.dialect.among.format('ids')}"
    with database.write() as connection:
        found = connection.execute(
            text(f"""
                WITH RECURSIVE up(id) AS (
                    SELECT id FROM node WHERE {among}
                    UNION SELECT need.needs_id FROM need JOIN up ON need.node_id = up.id),
                again(id) AS (
                    SELECT node.id FROM up JOIN node ON node.id = up.id
                     WHERE node.state IN ('failed', 'cancelled')
                    UNION SELECT node.id FROM need JOIN again ON need.needs_id = again.id
                      JOIN node ON node.id = need.node_id WHERE node.state = 'failed')
                SELECT node.id, node.key FROM again JOIN node ON node.id = again.id
                 ORDER BY node.id
            """),
            {"ids": json.dumps(list(ids))},
        ).all()
        again = {"ids": json.dumps([row.id for row in found])}
        connection.execute(
            text(
                "UPDATE node SET state = 'blocked', charged = 0, lost = 0, not_before = 0, "
                f"cancel_requested = 0, reason = NULL, folder = NULL WHERE {among}"
            ),
            again,
        )
        connection.execute(
            text(
                "UPDATE node SET state = 'blocked' WHERE state = 'ready' AND id IN "
                f"(SELECT node_id FROM need WHERE needs_{among})"
            ),
            again,
        )
        connection.execute(
            text(
                "UPDATE node SET state = 'ready' "
                f"WHERE state = 'blocked' AND {among} {COMPLETE}"
            ),
            again,
        )
        return [row.key for row in found]


def undo(database: Database, key: str, folder: str, reason: str = "its folder is gone") -> bool:
    """Return whether a node, whose `folder` is no longer what it left, is to be done again."""
    with database.write() as connection:
        node_id = connection.execute(
            text(
                "UPDATE node SET state = 'blocked', folder = NULL, charged = 0, lost = 0, "
                "reason = :reason WHERE key = :key AND state IN ('done', 'failed') "
                "AND folder = :folder "
                "RETURNING id"
            ),
            {"key": key, "folder": folder, "reason": reason},
        ).scalar_one_or_none()
        if node_id is not None:
            replace_metrics(connection, node_id, 0, ())
            connection.execute(
                text(
                    "UPDATE node SET state = 'blocked' WHERE state = 'ready' "
                    "AND id IN (SELECT node_id FROM need WHERE needs_id = :id)"
                ),
                {"id": node_id},
            )
            unblock(connection, itself=node_id)
        return node_id is not None
