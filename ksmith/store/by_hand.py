"""What people and repairs do to nodes, without a claim: cancel, try again, undo."""

import json
from collections.abc import Collection

from sqlalchemy import text

from ksmith.store.database import Database
from ksmith.store.metrics import replace_metrics
from ksmith.store.needs import COMPLETE, unblock


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
