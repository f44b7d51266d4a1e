"""What all verbs share: where the lab is, how mistakes are shown, how results are printed."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ksmith.records import Json, UserError

if TYPE_CHECKING:
    from ksmith.store import Store

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Mistake(click.ClickException):
    """A UserError on its way out: its message alone, exit code 2."""

    exit_code = 2


class Verbs(click.Group):
    """A group of verbs that turns the user's mistakes into messages."""

    def invoke(self, ctx: click.Context) -> Any:
        """Return what the verb returns."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Mistake(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb; an unknown one is answered with the nearest."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            verbs = self.list_commands(ctx)
            there = f"there are {', '.join(verbs)}"
            ctx.fail(f"no verb {args[0]!r}; {did_you_mean(args[0], verbs)}{there}")
        return super().resolve_command(ctx, args)


@dataclass(frozen=True, slots=True)
class Lab:
    """Where everything is kept."""

    home: Path
    database: str | None = None  # a URL; None: the file in the home

    @classmethod
    def from_environment(cls, home: Path | None = None) -> "Lab":
        """Return the lab in `home`, else in KSMITH_HOME, else in ./mlruns."""
        # A URL may hold a password, so it is no option: those show in lists of processes.
        found = home or Path(os.environ.get("KSMITH_HOME") or "mlruns")
        return cls(found, os.environ.get("KSMITH_DATABASE") or None)

    @property
    def there(self) -> bool:
        """Whether somebody has worked here before."""
        return self.database is not None or (self.home / "ksmith.db").exists()

    def open(self) -> "Store":
        """Return the store, made or upgraded where it has to be.

        Raises:
            UserError: the folder cannot be made or written to.
        """
        from ksmith.store import Store

        store = Store.open(self.home, self.database)
        if store.upgraded_from:
            note(f"the database was upgraded; the old one is {store.upgraded_from}")
        return store

    def visit(self) -> "Store":
        """Return the store of a lab that is there; a verb that only reads makes none.

        Raises:
            UserError: there is none.
        """
        if not self.there:
            raise UserError(
                f"no lab in {self.home}: `ksmith run FILE` makes one, --home names another"
            )
        return self.open()


with_lab = click.make_pass_decorator(Lab)


def _set_home(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    root = ctx.find_root()
    if value is not None:
        root.obj = ctx.obj = Lab.from_environment(value)


def home_option(function: F) -> F:
    """Return the verb with `--home`, which may stand before or after the verb."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_set_home,
        expose_value=False,
        help="The lab's folder.  [default: KSMITH_HOME, else ./mlruns]",
    )(function)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the study file; may be repeated.",
)


def print_json(value: Json) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def note(text: str) -> None:
    """Say something beside the result: on stderr, so that a pipe holds the result alone."""
    click.echo(text, err=True)


def did_you_mean(given: str, known: list[str], alike: float = 0.6) -> str:
    """Return `did you mean 'x'? ` or nothing; `alike` is how near it has to be, up to 1."""
    from difflib import get_close_matches

    near = get_close_matches(given, known, n=1, cutoff=alike)
    return f"did you mean {near[0]!r}? " if near else ""


def table(names: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> None:
    """Print columns of text, `right` ones to the right; nothing is cut."""
    widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
    for row in [names, *rows]:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(0.4), duration(75), duration(7260)
    ('0.4 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def is_terminal() -> bool:
    """Whether a person is watching."""
    return sys.stdout.isatty() and sys.stderr.isatty()
