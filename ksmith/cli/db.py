"""`ksmith db`: the lab's database: upgrade, check, backup, reindex."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ksmith.cli.shell import (
    Lab,
    Verbs,
    home_option,
    is_terminal,
    json_option,
    print_json,
    with_lab,
)

if TYPE_CHECKING:
    from ksmith.store import Problem
    from ksmith.store.check import Progress


@click.group(cls=Verbs)
def db() -> None:
    """Look after the lab's database."""


@db.command(epilog="\b\nExample:\n  ksmith db upgrade")
@home_option
@with_lab
def upgrade(lab: Lab) -> None:
    """Bring the database to this ksmith's schema.

    An older database is copied to backups/ first.
    """
    with lab.visit() as store:
        if store.upgraded_from is None:
            click.echo("the database is up to date")


@db.command(epilog="\b\nExample:\n  ksmith db check --quick")
@click.option("--quick", is_flag=True, help="Do not read the files in the folders.")
@json_option
@home_option
@with_lab
@click.pass_context
def check(ctx: click.Context, lab: Lab, *, quick: bool, as_json: bool) -> None:
    """Compare the database with the folders, and their files with what was written.

    Each problem comes with what to do about it. The exit code is 1 if something is wrong.
    """
    wrong: list[Problem] = []
    with lab.visit() as store, _reading() as progress:
        for problem in store.problems(quick=quick, progress=progress):
            wrong.append(problem)
            if not as_json:
                click.echo(problem)  # at once: reading may take long, and Ctrl-C ends it
    if as_json:
        print_json({"ok": not wrong, "problems": [asdict(problem) for problem in wrong]})
    elif not wrong:
        click.echo("nothing is wrong" + (" (files were not read)" if quick else ""))
    ctx.exit(1 if wrong else 0)


@contextmanager
def _reading() -> Generator["Progress"]:
    """Yield what shows on a terminal how many bytes were read."""
    if not is_terminal():
        yield lambda _done, _total, _file: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[file]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None, file="")
        yield lambda done, total, file: bars.update(bar, completed=done, total=total, file=file)


@db.command(epilog="\b\nExample:\n  ksmith db backup /mnt/safe/ksmith.db")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@home_option
@with_lab
def backup(lab: Lab, target: Path | None) -> None:
    """Copy the database to TARGET, also while it is in use.

    Without TARGET the copy goes to backups/ in the home.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    with lab.visit() as store:
        click.echo(store.backup(target or store.home / "backups" / f"ksmith-{stamp}.db"))


@db.command(epilog="\b\nExample:\n  ksmith db reindex")
@home_option
@with_lab
@click.pass_context
def reindex(ctx: click.Context, lab: Lab) -> None:
    """Rebuild states, attempts and metrics from the outcome folders."""
    with lab.visit() as store:
        found = store.reindex()
    click.echo(
        f"{found.counted} nodes done by their folder, {found.attempts} attempts were unknown, "
        f"{found.unknown} folders are of no study"
    )
    for line in found.damaged:
        click.echo(f"damaged: {line}")
    ctx.exit(1 if found.damaged else 0)
