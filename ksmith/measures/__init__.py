"""Every metric, as a Polars expression over answers; with its count and interval.

Both halves of ksmith use this room: a worker derives a trial's metrics here, a report compares
and pools them.
"""

from ksmith.measures.answers import SCHEMA, frame, steps
from ksmith.measures.compare import Difference, paired, pool
from ksmith.measures.metrics import metrics, reliable
from ksmith.measures.spread import COMBINED, SPREAD
from ksmith.measures.table import DERIVED, MEASURES, SLICES, Measure

__all__ = [
    "COMBINED",
    "DERIVED",
    "MEASURES",
    "SCHEMA",
    "SLICES",
    "SPREAD",
    "Difference",
    "Measure",
    "frame",
    "metrics",
    "paired",
    "pool",
    "reliable",
    "steps",
]
