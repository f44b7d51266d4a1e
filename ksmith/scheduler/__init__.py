"""Claiming and running: workers as processes, leases, what is left by the dead."""

from ksmith.scheduler.devices import Choice, devices
from ksmith.scheduler.here import here
from ksmith.scheduler.pool import module_command, worker_command
from ksmith.scheduler.progress import Progress, Running, Summary
from ksmith.scheduler.run import Options, run

__all__ = [
    "Choice",
    "Options",
    "Progress",
    "Running",
    "Summary",
    "devices",
    "here",
    "module_command",
    "run",
    "worker_command",
]
