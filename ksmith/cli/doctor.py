"""`ksmith doctor`: is everything there that a study needs?"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ksmith.cli.shell import Lab, home_option, json_option, print_json, with_lab
from ksmith.records import UserError

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "mlflow",
    "polars",
    "sqlmodel",
)
LOW_DISK = 2 * 2**30  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    what: str
    ok: bool
    found: str


@click.command(epilog="\b\nExample:\n  ksmith doctor --json")
@json_option
@home_option
@with_lab
@click.pass_context
def doctor(ctx: click.Context, lab: Lab, *, as_json: bool) -> None:
    """Check versions, devices, folder, database and MLflow.

    The exit code is 1 if something is wrong.
    """
    findings = [
        *_versions(),
        *(_asked(what, check, lab) for what, check in CHECKS.items()),
    ]
    sick = any(not finding.ok for finding in findings)
    if as_json:
        print_json({"ok": not sick, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(
                f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what:12}  {finding.found}"
            )
    ctx.exit(1 if sick else 0)


def _asked(what: str, check: Callable[[Lab], str], lab: Lab) -> Finding:
    """Return what `check` says; what it raises is what is wrong."""
    try:
        return Finding(what, True, check(lab))
    except (UserError, OSError, ImportError) as error:
        return Finding(what, False, str(error))


def _versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    from ksmith import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ksmith", True, f"{__version__}, Python {python}")
    for name in PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed")


def _devices(_lab: Lab) -> str:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ", ".join(names) or f"no GPU; {cores} CPU cores"


def _existing(lab: Lab) -> Path:
    """Return the home, or the folder in which it would be made."""
    home = lab.home.absolute()
    return next(path for path in (home, *home.parents) if path.exists())


def _home(lab: Lab) -> str:
    folder = _existing(lab)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written to; name another with --home")
    return f"{lab.home.absolute()}{'' if lab.home.exists() else ' (not made yet)'}"


def _disk(lab: Lab) -> str:
    free = shutil.disk_usage(_existing(lab)).free
    if free < LOW_DISK:
        raise UserError(f"{free / 2**30:.1f} GiB free: models and answers need more")
    return f"{free / 2**30:.1f} GiB free"


def _database(lab: Lab) -> str:
    if not lab.there:
        return "not made yet"
    with lab.open() as store:
        wrong = store.check(quick=True)
        number = len(store.studies())
    if wrong:
        raise UserError(f"{wrong[0]} ({len(wrong)} in all: `ksmith db check`)")
    return f"{number} studies, in WAL mode" if lab.database is None else f"{number} studies"


def _mlflow(lab: Lab) -> str:
    from ksmith.tracking import own_uri, redact, shown_uri, tracking_uri
    from ksmith.tracking.client import open_client

    uri = tracking_uri(lab.home)
    if uri == own_uri(lab.home) and not lab.home.exists():
        return "not made yet"
    from mlflow.exceptions import MlflowException

    try:
        open_client(lab.home).search_experiments(max_results=1)
    except MlflowException as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{shown_uri(uri)} does not answer: {redact(first)}") from error
    return f"{shown_uri(uri)} answers"


CHECKS: dict[str, Callable[[Lab], str]] = {
    "devices": _devices,
    "home": _home,
    "free disk": _disk,
    "database": _database,
    "MLflow": _mlflow,
}
