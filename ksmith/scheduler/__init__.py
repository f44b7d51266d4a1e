"""Claiming and running: workers as processes, leases, what is left by the dead."""

from ksmith.scheduler.here import here
from ksmith.scheduler.pool import worker_command
from ksmith.scheduler.progress import Progress, Running, Summary
from ksmith.scheduler.run import Options, run

__all__ = ["Options", "Progress", "Running", "Summary", "here", "run", "worker_command"]
