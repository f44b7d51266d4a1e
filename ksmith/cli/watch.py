"""How a run is watched: live on a terminal, by a plain line every few seconds elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ksmith.cli.shell import duration, is_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ksmith.scheduler import Progress

EVERY = 5.0  # seconds between plain lines

Show = Callable[["Progress"], None]


@contextmanager
def watching() -> Generator[Show]:
    """Yield what shows the progress of a run."""
    if is_terminal():
        with _live() as show:
            yield show
    else:
        yield _plain()


@contextmanager
def _live() -> Generator[Show]:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(picture(progress))


def picture(progress: "Progress") -> "RenderableType":
    """Return what a terminal shows: a bar of trials, the assets, what runs now."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    done, total = _ended(progress), sum(progress.trials.values())
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(total=max(total, 1), completed=done, width=40), Text(headline(progress))
    )
    rows = Table.grid(padding=(0, 2))
    for item in progress.running:
        share = f"{item.done}/{item.total}" if item.total else ""
        rows.add_row(
            Text(item.worker, style="dim"),
            Text(item.kind),
            Text(item.key.rpartition("-")[2][:8], style="dim"),
            Text(share, justify="right"),
            Text(item.text),
            Text(duration(item.seconds), style="dim"),
        )
    last = Text(assets(progress), style="dim")
    if progress.stopping:
        last.append("\nstopping: what runs may end; Ctrl-C again stops it", style="bold yellow")
    return Group(head, rows, last)


def _plain() -> Show:
    last = float("-inf")
    said = ""

    def show(progress: "Progress") -> None:
        nonlocal last, said
        now = time.monotonic()
        text = f"{headline(progress)}; {assets(progress)}{_busy(progress)}"
        if now - last >= EVERY and text != said:
            click.echo(f"[{duration(progress.seconds)}] {text}")
            last, said = now, text

    return show


def headline(progress: "Progress") -> str:
    """Return how many trials there are and ended, and how long the rest may take."""
    total = sum(progress.trials.values())
    parts = [f"{progress.trials.get('done', 0)} of {total} trials done"]
    if failed := progress.trials.get("failed", 0):
        parts.append(f"{failed} failed")
    if progress.waiting:
        parts.append(f"{progress.waiting} in another run")
    if progress.eta is not None and _ended(progress) < total:
        parts.append(f"{duration(progress.eta)} to go")
    return ", ".join(parts)


def assets(progress: "Progress") -> str:
    """Return how many assets of each kind are built."""
    return ", ".join(
        f"{kind} {done}/{total}" for kind, (done, total) in progress.assets.items()
    )


def _busy(progress: "Progress") -> str:
    items = [
        f"{item.kind} {item.done}/{item.total}" if item.total else item.kind
        for item in progress.running
    ]
    return f"; running: {', '.join(items)}" if items else ""


def _ended(progress: "Progress") -> int:
    return sum(progress.trials.get(state, 0) for state in ("done", "failed", "cancelled"))
