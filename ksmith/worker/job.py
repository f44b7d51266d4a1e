"""What a handler is given: one attempt at one node."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from ksmith.records import Spec

Report = Callable[[int, int, str], None]  # done, total, text


def silent(_done: int, _total: int, _text: str) -> None:
    """Tell nobody."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt: the spec, a folder to write to, what the worker keeps between attempts."""

    spec: Spec
    folder: Path  # not yet published: everything written here becomes the outcome
    report: Report = silent
    warm: dict[str, Any] = field(default_factory=dict[str, Any])  # lives as long as the worker
    partial: Path | None = None  # what attempts at the node leave half done; see partial.py

    @property
    def device(self) -> str:
        """The device to compute on, as torch calls it."""
        return self.spec.device

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell whoever watches how far the work is; cheap enough to call at every step."""
        self.report(done, total, text)

    def need(self, role: str) -> Path:
        """Return the finished folder of what the node needs in this role.

        Raises:
            KeyError: the node has no such need.
        """
        return Path(self.spec.needs[role])
