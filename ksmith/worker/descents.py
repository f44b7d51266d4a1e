"""Descents that go on where an attempt before this one had come, to the same bits.

Every two minutes, and where the process is asked to end, the state of the descent is kept with
what else attempts at an update leave half done (partial.py). It takes three times as much as the
weights that move do in float32, and twice that while it is written; of a draw that is done the
change alone is kept. An update that takes less than that writes nothing.
"""

import json
import signal
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from typing import final

import torch

from ksmith.lm.halfway import Halfway, Keeper, take_up, write
from ksmith.records import Request
from ksmith.worker.job import Job
from ksmith.worker.partial import Partial

SECONDS = 120.0  # at least, between two times that a state is kept


@final
class Descents:
    """What is kept of the descents of an update: one a draw, or one a batch of a sequence."""

    def __init__(self, job: Job, weights: str, seconds: float = SECONDS) -> None:
        self.taken_up: dict[
            str, int
        ] = {}  # the first request of a descent -> steps it had taken
        self.ended: list[tuple[_One, Halfway]] = []  # and not yet kept as that
        self._job = job
        self._weights = weights
        self._seconds = seconds
        self._last: _One | None = None

    @cached_property
    def partial(self) -> Partial:
        """Where it lies; taken at the first descent, for most methods have none."""
        return Partial.take(self._job, self._seconds)

    @property
    def sequence(self) -> bool:
        """Whether batches are written one after another, and kept by who writes them."""
        return bool(self._job.spec.recipe["task"].get("sequence"))

    def __call__(self, draw: Sequence[Request]) -> Keeper:
        """Return who keeps the descent that learns `draw`, and begins now."""
        if self.sequence and self._last is not None:
            self.partial.forget(self._last.name)
        requests = json.dumps([asdict(request) for request in draw], sort_keys=True)
        about = {
            "update": self._job.spec.key,  # which says the method, its version and its settings
            "base": self._weights,
            "requests": sha256(requests.encode()).hexdigest(),
            "torch": torch.__version__,
        }
        self._last = _One(self, draw[0].id, about)
        return self._last


@final
class _One:
    """See `Keeper`."""

    def __init__(self, all_of_them: Descents, request: str, about: Mapping[str, str]) -> None:
        self.name = f"descent-{request}.safetensors"
        self._all = all_of_them
        self._request = request
        self._about = about

    def restore(self, state: Halfway) -> None:
        path = self._all.partial.find(self.name)
        if path is None:
            return
        try:
            take_up(state, path, self._about)
        except ValueError as error:
            _log(f"{self.name} is not taken up, and the descent starts anew: {error}")
            self._all.partial.forget(self.name)
        else:
            _log(f"{self.name} is taken up after {state.step} steps")
            self._all.taken_up[self._request] = state.step

    def due(self) -> bool:
        return self._all.partial.due()

    def keep(self, state: Halfway) -> None:
        """Keep what is done of all descents.

        Raises:
            FileNotFoundError: a newer attempt has taken over.
        """
        while self._all.ended:
            one, ended = self._all.ended[0]
            one._write(ended)
            self._all.ended.pop(0)
        if state.step:
            self._write(state)

    def _write(self, state: Halfway) -> None:
        try:
            self._all.partial.keep(self.name, lambda path: write(state, path, self._about))
        except FileNotFoundError:
            raise
        except OSError as error:  # no reason to end what can be done without
            _log(f"{self.name} cannot be kept: {error}")

    def ended(self, state: Halfway) -> None:
        state.done = True
        state.adam.clear()
        if not self._all.sequence:
            self._all.ended.append((self, state))

    def held(self) -> AbstractContextManager[None]:
        return held()


@contextmanager
def held() -> Generator[None]:
    """Yield while nobody can break in: a signal to end is heard after the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not heard here
        return
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in asked:
            signal.raise_signal(number)


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
