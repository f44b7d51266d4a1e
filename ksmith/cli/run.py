"""`ksmith run`: a study file, or a stored study, from here to its report."""
import click
from ksmith.cli.shell import home_option, with_lab, Lab
@click.command()
@home_option
@with_lab
def run(lab: Lab) -> None:
    """Run."""
