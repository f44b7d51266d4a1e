"""Every metric, as a Polars expression over answers; with its count and interval.

Both halves of ksmith use this room: a worker derives a trial's metrics here, a report compares
and pools them.
"""

from ksmith.measures.answers import SCHEMA, frame, steps, with_trained, with_written
from ksmith.measures.compare import Difference, alike, differences, last, paired, pool, trained
from ksmith.measures.curves import curves
from ksmith.measures.drift import DRIFT, OBJECTIVE, log_min_max, tensors
from ksmith.measures.gate import GATES, reliable
from ksmith.measures.metrics import TABLES, metrics
from ksmith.measures.published import PUBLISHED
from ksmith.measures.sequence import SEQUENCE, written
from ksmith.measures.slices import SLICES
from ksmith.measures.spread_table import COMBINED, SPREAD
from ksmith.measures.table import DERIVED, MEASURES, Measure

__all__ = [
    "COMBINED",
    "DERIVED",
    "DRIFT",
    "GATES",
    "MEASURES",
    "OBJECTIVE",
    "PUBLISHED",
    "SCHEMA",
    "SEQUENCE",
    "SLICES",
    "SPREAD",
    "TABLES",
    "Difference",
    "Measure",
    "alike",
    "curves",
    "differences",
    "frame",
    "last",
    "log_min_max",
    "metrics",
    "paired",
    "pool",
    "reliable",
    "steps",
    "tensors",
    "trained",
    "with_trained",
    "with_written",
    "written",
]
