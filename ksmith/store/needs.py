"""When a blocked node becomes ready: once all that it needs is done."""

from sqlalchemy import Connection, text

COMPLETE = """
    AND NOT EXISTS (SELECT 1 FROM need JOIN node AS other ON other.id = need.needs_id
                     WHERE need.node_id = node.id AND other.state <> 'done'
                       AND NOT (other.state = 'failed' AND other.folder IS NOT NULL))
"""  # what failed and left a folder can be told of by what needs it


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
