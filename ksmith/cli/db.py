"""`ksmith db`: the lab's database: upgrade, check, backup, reindex."""

import time
from pathlib import Path

import click

from ksmith.cli.shell import Lab, Verbs, home_option, json_option, print_json, with_lab


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


@db.command(epilog="\b\nExample:\n  ksmith db check")
@json_option
@home_option
@with_lab
@click.pass_context
def check(ctx: click.Context, lab: Lab, *, as_json: bool) -> None:
    """Compare the database with the folders and with itself.

    The exit code is 1 if something is wrong.
    """
    with lab.visit() as store:
        wrong = store.check()
    if as_json:
        print_json({"ok": not wrong, "problems": wrong})
    else:
        click.echo("\n".join(wrong) if wrong else "nothing is wrong")
    ctx.exit(1 if wrong else 0)


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
