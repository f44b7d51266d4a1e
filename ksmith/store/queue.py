"""The queue: a node is claimed under a lease, and every later write carries its fence.

    blocked -> ready -> leased -> running -> done | failed | cancelled

A claim raises the node's fence and hands out a lease of `ttl` seconds to one owner. Whoever
wants to write about that node later must name the fence and still be the owner, in the
statement itself: 0 rows changed means that somebody else took over, and what the late writer
has does not count. The SQL is written by hand: one statement is what makes a step atomic.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from ksmith.records import Kind, Reason
from ksmith.store.claims import Claim, End, Policy, Renewal, Worker
from ksmith.store.database import Database, loaded
from ksmith.store.metrics import replace_metrics
from ksmith.store.needs import unblock

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
            replace_metrics(connection, held.id, held.attempt_id, end.metrics)
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
