"""Studies: a TOML file in, trials with their identity out. Nothing is stored here."""

from ksmith.study.difference import difference
from ksmith.study.findings import Finding, Side, findings_in, trials_of
from ksmith.study.identity import flat, nodes
from ksmith.study.read import MAX_TRIALS, Point, Study, read

__all__ = [
    "MAX_TRIALS",
    "Finding",
    "Point",
    "Side",
    "Study",
    "difference",
    "findings_in",
    "flat",
    "nodes",
    "read",
    "trials_of",
]
