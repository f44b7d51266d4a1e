"""Every metric, as a Polars expression over answers; with its count and interval.

Both halves of ksmith use this room: a worker derives a trial's metrics here, a report compares
and pools them.
"""

from ksmith.measures.answers import SCHEMA, frame, steps
from ksmith.measures.compare import Difference, differences, last, paired, pool
from ksmith.measures.gate import GATES, reliable
from ksmith.measures.metrics import metrics
from ksmith.measures.table import DERIVED, MEASURES, SLICES, Measure

__all__ = [
    "DERIVED",
    "GATES",
    "MEASURES",
    "SCHEMA",
    "SLICES",
    "Difference",
    "Measure",
    "differences",
    "frame",
    "last",
    "metrics",
    "paired",
    "pool",
    "reliable",
    "steps",
]
