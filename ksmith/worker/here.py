"""One spec in this process, for a debugger: its outcome published, its exception raised."""

from typing import Any

from ksmith.records import Spec
from ksmith.worker.__main__ import load
from ksmith.worker.attempt import Load
from ksmith.worker.attempt import perform as attempt


def perform(spec: Spec, warm: dict[str, Any], load: Load = load) -> None:
    """Leave the outcome of `spec` in its folder; `warm` is kept between calls.

    Raises:
        Exception: whatever the work raised, after its outcome was published.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of the weights: it would break into the lines of progress
    failure = attempt(spec, load, warm=warm).failure
    if failure is not None:
        raise failure
