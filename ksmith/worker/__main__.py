"""`python -m ksmith.worker`: perform the specs on stdin, or the one in `--spec FILE`."""

import gc
import sys
from functools import cache

from ksmith.worker.attempt import Handlers
from ksmith.worker.loop import main


@cache
def load() -> Handlers:
    """Return the handlers of all kinds of nodes, which import torch."""
    # Python's collector would walk through what torch and transformers leave, which all stays,
    # again and again: a quarter of the seconds that a worker takes to start.
    gc.disable()
    try:
        from ksmith.worker.tasks import HANDLERS
    finally:
        gc.freeze()
        gc.enable()
    return HANDLERS


if __name__ == "__main__":
    sys.exit(main(load))
