"""MLflow as a view of the lab: an outbox is emptied into it, and nothing waits for it.

The store writes a row for each attempt in the transaction that ends the attempt. `drain` turns
rows into MLflow runs, one for each study that has the trial: experiment = study. What goes into
a run is read from the tables and from the outcome folder (`build`), and sent so that sending it
again changes nothing (`send`). With a dead server, rows wait and `ksmith sync` delivers later.

Importing this package loads neither MLflow nor SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

from ksmith.tracking.client import (
    own_uri,
    prepare,
    redact,
    set_environment,
    shown_uri,
    tracking_uri,
)

if TYPE_CHECKING:
    from ksmith.tracking.outbox import Drained, drain, reconcile, resend

__all__ = [
    "Drained",
    "drain",
    "own_uri",
    "prepare",
    "reconcile",
    "redact",
    "resend",
    "set_environment",
    "shown_uri",
    "tracking_uri",
]

_LATER = {"Drained", "drain", "reconcile", "resend"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from ksmith.tracking import outbox

        return getattr(outbox, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
