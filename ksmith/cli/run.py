"""`ksmith run`: a study file, or a stored study, from here to its report."""

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ksmith.cli.files import meant
from ksmith.cli.shell import (
    INTERRUPTED,
    Lab,
    duration,
    home_option,
    is_terminal,
    note,
    set_option,
    with_lab,
)
from ksmith.cli.study import described, large_option, read_study, replace_option
from ksmith.cli.watch import watching

if TYPE_CHECKING:
    from ksmith.scheduler import Choice, Options, Summary
    from ksmith.store import Store

LAST_RUNS = 120  # seconds that the last runs may take to reach MLflow
FIRST_PENDING = ""  # --here without a trial


@click.command(
    epilog="\b\nExamples:\n"
    "  ksmith run studies/plasticity.toml --workers 2\n"
    "  ksmith run plasticity --retry-failed\n"
    "  ksmith run studies/plasticity.toml --set task.draws=3 --set 'task.method=[\"rome\"]'\n"
    "  python -m pdb -m ksmith run plasticity --here 3f9a"
)
@click.argument("study", metavar="FILE|NAME")
@set_option
@replace_option
@large_option
@click.option(
    "--workers", type=click.IntRange(1), help="Processes.  [default: GPUs, else cores]"
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: usable GPUs, else cores; with --here cpu.",
)
@click.option("--timeout", type=click.FloatRange(min=1), help="Seconds one attempt may take.")
@click.option("--retry-failed", is_flag=True, help="Try failed and cancelled trials again.")
@click.option(
    "--here",
    is_flag=False,
    flag_value=FIRST_PENDING,
    metavar="[TRIAL]",
    help="Run one trial in this process, for a debugger.",
)
@home_option
@with_lab
@click.pass_context
def run(  # noqa: PLR0913 every option of the verb is one
    ctx: click.Context,
    lab: Lab,
    study: str,
    overrides: tuple[str, ...],
    workers: int | None,
    device: "Choice",
    timeout: float | None,
    here: str | None,
    *,
    replace: bool,
    allow_large: bool,
    retry_failed: bool,
) -> None:
    """Run what is pending of a study; a FILE is stored first.

    Safe to stop, safe to repeat: what is done is not done again. Ctrl-C once lets running
    trials end, twice stops them.
    """
    from ksmith.scheduler import Options

    found = meant(lab, study, overrides)
    read = read_study(found.file, overrides, allow_large=allow_large) if found.file else None
    with lab.open() as store:
        click.echo(f"lab: {store.home}")
        name = found.name
        if read:
            name = read.name
            click.echo(described(name, store.add(read, replace=replace)))
        if retry_failed:
            _retry(store, name)
        if not read:
            _say_changed(store, name)
        if here is not None:
            _one(store, name, here or None, device)
            return
        summary = _everything(
            lab, store, name, Options(workers=workers, device=device, timeout=timeout)
        )
    click.echo(_ending(name, summary))
    if not summary.stopped:
        _show_results(lab, name, fresh=_did_nothing(summary))
    ctx.exit(_exit_code(summary))


def _say_changed(store: "Store", name: str) -> None:
    """Say which models changed since a stored study was done; a file's were read just now."""
    from ksmith.cli.changed import changed

    for line in changed(store, name):
        note(line)


def _retry(store: "Store", name: str) -> None:
    states = ("failed", "cancelled", "blocked")
    again = store.retry([row.id for row in store.trials(name) if row.state in states])
    click.echo(f"{len(again)} failed or cancelled nodes will be tried again")


def _one(store: "Store", name: str, trial: str | None, device: "Choice") -> None:
    from typing import Any

    from ksmith.scheduler import devices, here
    from ksmith.worker.here import perform

    warm: dict[str, Any] = {}
    place = devices(1, device).pop().name if device == "cuda" else "cpu"
    key = here(store, name, lambda spec: perform(spec, warm), trial=trial, device=place)
    click.echo(f"{key} is done")


def _everything(lab: Lab, store: "Store", name: str, options: "Options") -> "Summary":
    from ksmith.scheduler import run

    if not _anything_left(store, name):
        return run(store, [name], options)
    with _sending(lab), watching() as show:
        return run(store, [name], options, show)


def _anything_left(store: "Store", name: str) -> bool:
    """Return whether there is work, or a result that MLflow has not heard of."""
    from ksmith.tracking import reconcile
    from ksmith.tracking.rows import count_waiting

    reconcile(store)
    pending = any(row.state != "done" for row in store.trials(name))
    with store.read() as connection:
        return pending or count_waiting(connection) > 0


@contextmanager
def _sending(lab: Lab) -> Generator[None]:
    """Let a process beside this one send results to MLflow; wait for it at the end.

    A dead server must not hold up trials, nor for long the end of a run: what was not sent
    stays in the outbox.
    """
    from ksmith.scheduler import module_command

    log = lab.home / "sync.log"
    command = [*module_command("ksmith.tracking"), "--home", str(lab.home), "--follow"]
    start = log.stat().st_size if log.exists() else 0
    with log.open("ab") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    try:
        yield
    finally:
        if is_terminal():
            note("sending the last runs to MLflow ...")
        try:
            out, _ = child.communicate(timeout=LAST_RUNS)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
        tell_sent(out, log, start)


def tell_sent(out: bytes, log: Path, start: int) -> None:
    """Say what MLflow has not heard of; `start` is how long the log was before."""
    try:
        told = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        # A process that was killed, at the end of its time or otherwise, wrote nothing.
        see = f"see {log}, then" if log.stat().st_size > start else "to send the rest"
        note(f"MLflow has not heard of every result; {see}: ksmith sync")
        return
    if told["left"]:
        why = f" ({told['error']})" if told["error"] else ""
        note(f"{told['left']} results are not in MLflow yet{why}; later: ksmith sync")


def _did_nothing(summary: "Summary") -> bool:
    return not summary.ran and not summary.adopted and summary.done == summary.trials


def _ending(name: str, summary: "Summary") -> str:
    if _did_nothing(summary):
        return f"{name}: nothing to do, all {summary.trials} trials are done"
    parts = [f"{summary.done} of {summary.trials} trials done"]
    counts = {"failed": summary.failed, "cancelled": summary.cancelled}
    counts |= {"blocked by something that failed": summary.blocked, "left": summary.left}
    parts += [f"{number} {what}" for what, number in counts.items() if number]
    ran = f"{summary.ran} attempts in {duration(summary.seconds)}"
    stopped = "stopped; " if summary.stopped else ""
    return f"{name}: {stopped}{', '.join(parts)}; {ran}"


def _show_results(lab: Lab, name: str, *, fresh: bool) -> None:
    from ksmith import report

    path = report.path(name, lab.home)
    if not (fresh and path.exists()):
        report.write(name, lab.home, lab.database)
    click.echo(f"report: {path}")
    click.echo("runs:   ksmith ui")
    click.echo(f"state:  ksmith status {name}")


def _exit_code(summary: "Summary") -> int:
    if summary.stopped:
        return INTERRUPTED
    return 0 if summary.done == summary.trials else 1
