"""`ksmith graph`: what a study starts from."""

import click

from ksmith.cli.shell import Verbs


@click.group(cls=Verbs)
def graph() -> None:
    """Look at the facts that a study starts from."""
