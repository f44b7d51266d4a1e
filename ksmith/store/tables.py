"""The tables of a lab's database. Times are whole seconds of the database's own clock.

    study  --< study_trial >--  node (kind "trial")
    node   --< need        >--  node        what a node needs, by role
    node   --< attempt                      every try is kept
    node   --< metric                       of the attempt that counts
    attempt --< outbox                      what MLflow has yet to be told

A trial has no column for its study: one that two studies ask for is run once and linked twice.
Rows are written by the hand-made SQL in queue.py and studies.py; these classes are the schema.
"""

from typing import Any, ClassVar

from sqlalchemy import JSON, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

STATES = ("blocked", "ready", "leased", "running", "done", "failed", "cancelled")
ENDS = ("ok", "error", "oom", "timeout", "preempted", "lost", "cancelled")


def _among(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


class StudyTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "study"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    question: str
    text: str  # the TOML file as it was read
    grid: Any = Field(sa_type=JSON, nullable=False)  # for telling what another grid changes
    key_version: int
    created: int


class NodeTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "node"
    __table_args__: ClassVar[Any] = (
        CheckConstraint(_among("state", STATES), name="node_state"),
        _partial("node_ready", "priority", "id", where="state = 'ready'"),
        _partial("node_lease", "lease_until", where="state IN ('leased', 'running')"),
    )

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    kind: str
    recipe: Any = Field(sa_type=JSON, nullable=False)
    files: Any = Field(sa_type=JSON, nullable=False)  # dotted setting -> path last seen
    group_key: str  # nodes of one group share a model that a worker keeps warm
    priority: int
    state: str
    fence: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    lease_owner: str | None = None
    lease_until: int | None = None
    attempt_no: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    max_attempts: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    charged: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    lost: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    not_before: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    cancel_requested: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    folder: str | None = None  # of the attempt that counts, relative to the home
    reason: str | None = None  # why it failed, or why its last attempt did
    created: int


class NeedTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "need"
    __table_args__: ClassVar[Any] = (Index("need_of", "needs_id"),)

    node_id: int = Field(primary_key=True, foreign_key="node.id")
    role: str = Field(primary_key=True)
    needs_id: int = Field(foreign_key="node.id")


class StudyTrialTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "study_trial"
    __table_args__: ClassVar[Any] = (Index("study_trial_node", "node_id"),)

    study_id: int = Field(primary_key=True, foreign_key="study.id")
    node_id: int = Field(primary_key=True, foreign_key="node.id")
    position: int  # in the study's grid, from 0
    axes: Any = Field(sa_type=JSON, nullable=False)
    settings: Any = Field(sa_type=JSON, nullable=False)  # the whole point, by dotted names
    run_id: str | None = None  # the MLflow run, in this study, of the attempt that counts


class AttemptTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "attempt"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("node_id", "no", name="attempt_no"),
        CheckConstraint(_among("state", ("started", *ENDS)), name="attempt_state"),
        _partial("attempt_open", "node_id", where="state = 'started'"),
    )

    id: int | None = Field(default=None, primary_key=True)
    node_id: int = Field(foreign_key="node.id")
    no: int
    fence: int
    state: str = Field(default="started", sa_column_kwargs={"server_default": "started"})
    owner: str  # the scheduler, as in node.lease_owner
    host: str | None = None  # of the worker
    boot: str | None = None
    pid: int | None = None
    pid_started: int | None = None
    device: str | None = None
    exit_code: int | None = None
    error: str | None = None
    folder: str  # relative to the home, there or not
    log: str  # likewise
    started: int
    ended: int | None = None
    seconds: float | None = None  # as the worker measured it
    run_id: str | None = None


class MetricTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "metric"
    __table_args__: ClassVar[Any] = (Index("metric_node", "node_id"),)

    id: int | None = Field(default=None, primary_key=True)
    node_id: int = Field(foreign_key="node.id")
    attempt_id: int = Field(foreign_key="attempt.id")
    step: int
    probe: str
    measure: str
    slice: str
    hop: int | None = None
    value: float | None = None  # NULL is "not a number"
    n: int
    low: float | None = None
    high: float | None = None


class OutboxTable(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "outbox"
    __table_args__: ClassVar[Any] = (_partial("outbox_todo", "id", where="done_at IS NULL"),)

    id: int | None = Field(default=None, primary_key=True)
    node_id: int = Field(foreign_key="node.id")
    attempt_id: int = Field(foreign_key="attempt.id")
    kind: str
    payload: Any = Field(sa_type=JSON, nullable=False)
    created: int
    done_at: int | None = None
    error: str | None = None
