"""The lab's database: studies, the queue of nodes, attempts, metrics, the outbox."""

from ksmith.store.check import Problem
from ksmith.store.claims import Claim, End, Policy, Renewal, Worker
from ksmith.store.health import Reindexed
from ksmith.store.measured import Damaged, Measured
from ksmith.store.rows import AttemptRow, Dag, Lease, NodeRow, StudyRow, TrialRow
from ksmith.store.store import Store
from ksmith.store.studies import Added, Deleted

__all__ = [
    "Added",
    "AttemptRow",
    "Claim",
    "Dag",
    "Damaged",
    "Deleted",
    "End",
    "Lease",
    "Measured",
    "NodeRow",
    "Policy",
    "Problem",
    "Reindexed",
    "Renewal",
    "Store",
    "StudyRow",
    "TrialRow",
    "Worker",
]
