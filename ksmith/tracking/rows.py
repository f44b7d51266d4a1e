"""The rows of a lab's database that tracking reads, and the few that it writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, literal, null, select, text, update

from ksmith.store.queue import announce
from ksmith.store.tables import (
    AttemptTable,
    MetricTable,
    NeedTable,
    NodeTable,
    OutboxTable,
    StudyTable,
    StudyTrialTable,
)

# Core tables, whose selects have neither a session nor an identity map.
study: Any = StudyTable.metadata.tables["study"]
node: Any = NodeTable.metadata.tables["node"]
need: Any = NeedTable.metadata.tables["need"]
link: Any = StudyTrialTable.metadata.tables["study_trial"]
attempt: Any = AttemptTable.metadata.tables["attempt"]
metric: Any = MetricTable.metadata.tables["metric"]
outbox: Any = OutboxTable.metadata.tables["outbox"]

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row of the outbox."""

    id: int
    node_id: int
    attempt_id: int
    payload: dict[str, Any]
    error: str | None


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt with its node and what the node needed."""

    attempt: Mapping[str, Any]
    node: Mapping[str, Any]
    needs: dict[str, Mapping[str, Any]]  # role -> node

    @property
    def counts(self) -> bool:
        """Is this the attempt whose folder is the node's result?"""
        return self.attempt["state"] == "ok" and self.attempt["folder"] == self.node["folder"]


def next_waiting(connection: Connection, after: int) -> Waiting | None:
    """Return the first row with an id over `after` that is not sent yet."""
    query = (
        select(outbox)
        .where(outbox.c.done_at.is_(None), outbox.c.id > after)
        .order_by(outbox.c.id)
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    names = ("id", "node_id", "attempt_id", "payload", "error")
    return Waiting(*(row[name] for name in names))


def count_waiting(connection: Connection) -> int:
    """Return how many rows are not sent yet."""
    query = select(func.count()).select_from(outbox).where(outbox.c.done_at.is_(None))
    return connection.execute(query).scalar_one()


def tried(connection: Connection, attempt_id: int) -> Tried:
    """Return one attempt."""
    row = _one(connection, select(attempt).where(attempt.c.id == attempt_id))
    of = _one(connection, select(node).where(node.c.id == row["node_id"]))
    return Tried(row, of, needs(connection, of["id"]))


def needs(connection: Connection, node_id: int) -> dict[str, Mapping[str, Any]]:
    """Return role -> node for what a node needs."""
    query = (
        select(need.c.role, node)
        .join_from(need, node, node.c.id == need.c.needs_id)
        .where(need.c.node_id == node_id)
    )
    return {row["role"]: row for row in _all(connection, query)}


def counting(connection: Connection, of: Mapping[str, Any]) -> Tried | None:
    """Return the attempt that made a node what it is, or None where there is none."""
    query = select(attempt).where(
        attempt.c.node_id == of["id"], attempt.c.folder == of["folder"], attempt.c.state == "ok"
    )
    found = _all(connection, query)
    return Tried(found[0], of, needs(connection, of["id"])) if found else None


def links(connection: Connection, node_id: int) -> Rows:
    """Return the studies of a trial: id, name, question, text, axes, settings, run_id."""
    query = (
        select(study, link.c.axes, link.c.settings, link.c.run_id)
        .join_from(link, study, study.c.id == link.c.study_id)
        .where(link.c.node_id == node_id)
        .order_by(study.c.id)
    )
    return _all(connection, query)


def metrics(connection: Connection, attempt_id: int) -> Rows:
    """Return the metrics of one attempt."""
    query = select(metric).where(metric.c.attempt_id == attempt_id).order_by(metric.c.id)
    return _all(connection, query)


def _all(connection: Connection, query: Any) -> Rows:
    return [{**row} for row in connection.execute(query).mappings()]


def _one(connection: Connection, query: Any) -> Mapping[str, Any]:
    found = _all(connection, query)
    if not found:
        raise LookupError("a row of the outbox names an attempt that is not there")
    return found[0]


# --- writing ----------------------------------------------------------------------------------


def enqueue_missing(connection: Connection, now: str) -> int:
    """Return how many rows were added: one for each result that a study has no run of."""
    here = outbox.alias("here")
    waits = select(literal(1)).where(
        here.c.attempt_id == attempt.c.id, here.c.done_at.is_(None)
    )
    lacking = (
        select(node.c.id, attempt.c.id)
        .distinct()
        .join_from(link, node, node.c.id == link.c.node_id)
        .join(attempt, (attempt.c.node_id == node.c.id) & (attempt.c.folder == node.c.folder))
        .where(
            node.c.state == "done",
            attempt.c.state == "ok",
            link.c.run_id.is_(None),
            ~waits.exists(),
        )
        .order_by(attempt.c.id)
    )
    pairs = [(row[0], row[1]) for row in connection.execute(lacking)]
    announce(connection, now, pairs)
    return len(pairs)


def mark_sent(
    connection: Connection, row: Waiting, runs: Mapping[int, str], counts: bool, now: str
) -> None:
    """Write down that a row was sent; `runs` is study id -> id of the run there."""
    connection.execute(
        update(outbox).where(outbox.c.id == row.id).values(done_at=text(now), error=None)
    )
    if not runs:
        return
    last = list(runs.values())[-1]
    connection.execute(
        update(attempt).where(attempt.c.id == row.attempt_id).values(run_id=last)
    )
    for study_id, run_id in runs.items() if counts else ():
        connection.execute(
            update(link)
            .where(link.c.study_id == study_id, link.c.node_id == row.node_id)
            .values(run_id=run_id)
        )


def mark_error(connection: Connection, row: Waiting, error: str) -> None:
    """Write down why a row was not sent."""
    connection.execute(update(outbox).where(outbox.c.id == row.id).values(error=error))


def forget_sent(connection: Connection, name: str | None) -> int:
    """Return how many rows wait again, as if nothing had been sent; of one study, or of all."""
    nodes = select(link.c.node_id)
    links_of = update(link).values(run_id=null())
    if name is not None:
        chosen = select(study.c.id).where(study.c.name == name).scalar_subquery()
        nodes = nodes.where(link.c.study_id == chosen)
        links_of = links_of.where(link.c.study_id == chosen)
    again = update(outbox).where(outbox.c.node_id.in_(nodes)).values(done_at=None, error=None)
    rows = connection.execute(again).rowcount
    connection.execute(links_of)
    return rows
