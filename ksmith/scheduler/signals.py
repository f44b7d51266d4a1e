"""Ctrl-C and SIGTERM, heard instead of died of."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

CAUGHT = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def caught(heard: Callable[[int], None]) -> Generator[None]:
    """Yield while `heard` is called with the number of each signal of `CAUGHT`.

    Only the main thread may set handlers: in any other nothing is caught.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda number, _: heard(number)) for number in CAUGHT
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signal_name(number: int) -> str:
    """Return what a signal is called.

    >>> signal_name(9)
    'SIGKILL'
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
