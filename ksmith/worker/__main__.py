"""`python -m ksmith.worker`: perform the specs on stdin, or the one in `--spec FILE`."""

import sys

from ksmith.worker.attempt import Handlers
from ksmith.worker.loop import main


def load() -> Handlers:
    """Return the handlers of all kinds of nodes, which import torch."""
    from ksmith.worker.tasks import HANDLERS

    return HANDLERS


if __name__ == "__main__":
    sys.exit(main(load))
