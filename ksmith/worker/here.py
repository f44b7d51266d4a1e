"""One spec in this process, for a debugger: its outcome is published, its exception is raised."""

from typing import Any

from ksmith.records import Json, Spec
from ksmith.worker.attempt import Handler, Handlers
from ksmith.worker.attempt import perform as attempt
from ksmith.worker.job import Job


def perform(spec: Spec, warm: dict[str, Any]) -> None:
    """Do the work of `spec` and publish its outcome folder.

    Raises:
        Exception: what the work raised, with its own frames; it is recorded before.
    """
    raised: list[Exception] = []

    def watched(handler: Handler) -> Handler:
        def call(job: Job) -> dict[str, Json]:
            try:
                return handler(job)
            except Exception as error:
                raised.append(error)
                raise

        return call

    def load() -> Handlers:
        from ksmith.worker.tasks import HANDLERS

        return {kind: watched(handler) for kind, handler in HANDLERS.items()}

    attempt(spec, load, warm=warm)
    if raised:
        raise raised[0]
