"""`python -m ksmith.tracking --home H [--follow]`: empty the outbox, beside a running study.

With --follow it goes on until its standard input is closed, as it is when `ksmith run` ends or
is killed, then sends what is left. It prints one line of JSON at the end.
"""

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path


def main() -> int:
    """Return the exit code: 0, or 1 where something could not be sent."""
    parser = argparse.ArgumentParser(prog="python -m ksmith.tracking")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument(
        "--database",
        default=os.environ.get("KSMITH_DATABASE"),
        help="URL of the database; default: KSMITH_DATABASE, else the file in --home",
    )
    parser.add_argument("--uri", help="where MLflow is; default: MLFLOW_TRACKING_URI or --home")
    parser.add_argument("--follow", action="store_true", help="until standard input is closed")
    given = parser.parse_args()

    # Ctrl-C reaches the whole process group; it is the parent that decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)  # trials go first

    from ksmith.store import Store
    from ksmith.tracking.outbox import drain

    stop = threading.Event()
    if given.follow:
        threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
    store = Store.open(given.home, given.database)
    try:
        drained = drain(store, given.uri, follow=given.follow, stop=stop)
    finally:
        store.close()
    try:
        sys.stdout.write(json.dumps(asdict(drained)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the run that asked was killed; what was sent is in the database
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if drained.left else 0


def _wait_for_end(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
