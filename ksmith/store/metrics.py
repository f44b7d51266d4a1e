"""The metrics of a node, as rows of the database."""

import math
from collections.abc import Sequence

from sqlalchemy import Connection, text

from ksmith.records import Metric


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
