"""`ksmith trial`, `verify`, `checkout`: one trial at a time.

TRIAL is a key, or enough of the letters of the hash at its end to name one trial alone.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ksmith.cli.made import files_of, provenance_of, settings_of
from ksmith.cli.shell import (
    Lab,
    Verbs,
    duration,
    home_option,
    json_option,
    note,
    print_json,
    with_lab,
)
from ksmith.cli.unfinished import unfinished
from ksmith.records import UserError, inside

if TYPE_CHECKING:
    from ksmith.records import Spec
    from ksmith.store import NodeRow, Store

TOLERANCE = 1e-4  # nats
# Probes whose metrics are of sets of facts, never of all facts: what is shown of them.
SETS = {
    "memory": ("forget", "retain", "retain.near", "retain.far", "retain.trained", "holdout")
}


@click.group(cls=Verbs)
def trial() -> None:
    """Look at one trial, try it again, stop it."""


@trial.command(epilog="\b\nExample:\n  ksmith trial show 3f9a --json")
@click.argument("trial")
@json_option
@home_option
@with_lab
def show(lab: Lab, trial: str, *, as_json: bool) -> None:
    """Show a TRIAL: its settings, what it needs, its attempts, its metrics."""
    with lab.visit() as store:
        node = store.find(trial)
        attempts = [asdict(attempt) for attempt in store.attempts(node.id)]
        needs = store.needs(node.id)
    found = {
        "trial": node.key,
        "kind": node.kind,
        "state": node.state,
        "reason": node.reason,
        "folder": node.folder,
        "settings": settings_of(node, needs),
        "files": files_of(node, needs),
        "needs": {role: {"key": need.key, "state": need.state} for role, need in needs.items()},
        "attempts": attempts,
        "provenance": provenance_of(lab.home, node, needs),
        "unfinished": unfinished(lab.home, node, needs),
        "metrics": _metrics(lab, node),
    }
    if as_json:
        print_json(found)
    else:
        _print(lab, found)


def _metrics(lab: Lab, node: "NodeRow") -> list[dict[str, Any]]:
    """Return the rows of the trial's metrics.json, of a failed one too; none where none is."""
    path = lab.home / (node.folder or "") / "metrics.json"
    if not node.folder or not path.is_file():
        return []
    return json.loads(path.read_text(encoding="utf-8"))


def metric_lines(metrics: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line a metric over all facts of a set: before, at the end with its interval, n."""
    end = max(row["step"] for row in metrics)
    whole = [
        r for r in metrics if r["slice"] in SETS.get(r["probe"], ("",)) and r["hop"] is None
    ]
    before = {_name(row): row["value"] for row in whole if row["step"] == 0}
    for row in whole:
        if row["step"] == 0 or row["step"] != end:  # a sequence is measured on its way, too
            continue
        name = _name(row)
        old = before.get(name)
        was = "" if old is None else f"{old:.3f}"
        span = "" if row["low"] is None else f"[{row['low']:.3f}, {row['high']:.3f}]"
        yield f"  {name:34} {was:>7} {row['value']:>7.3f}  {span:18} n {row['n']}"
    for name, value in before.items() if end == 0 else ():  # of a trial that failed at once
        yield f"  {name:34} {value:>7.3f}"


def _name(row: dict[str, Any]) -> str:
    return ".".join(filter(None, (row["probe"], row["measure"], row["slice"])))


def knew(metrics: list[dict[str, Any]]) -> str:
    """Return how many of the requested facts the model knew; nothing where none was asked."""
    rows = [row for row in metrics if row["probe"] == "efficacy" and row["step"] == 0]
    counts = {name: [r["n"] for r in rows if r["slice"] == name] for name in ("", "known")}
    if not counts[""]:
        return ""
    knew, asked = max(counts["known"], default=0), max(counts[""])
    return (
        f"the model knew {knew} of the {asked} facts before the update, asked in words that are "
        "scored nowhere (a file's questions as they stand): slices known are of those"
    )


def _print(lab: Lab, found: dict[str, Any]) -> None:
    reason = f": {found['reason']}" if found["reason"] else ""
    click.echo(f"{found['trial']}: {found['state']}{reason}")
    if found["folder"]:
        click.echo(f"folder: {lab.home / found['folder']}")
    click.echo("\nsettings")
    for name, value in found["settings"].items():
        click.echo(f"  {name} = {value}")
    if found["files"]:
        click.echo("\nfiles")
    for name, path in found["files"].items():
        click.echo(f"  {name}: {path}")
    click.echo("\nneeds")
    for role, need in found["needs"].items():
        click.echo(f"  {role}: {need['key']}, {need['state']}")
    click.echo("\nattempts")
    for row in found["attempts"]:
        took = f" after {duration(row['seconds'])}" if row["seconds"] is not None else ""
        why = f": {row['error']}" if row["error"] else ""
        click.echo(
            f"  {row['no']}: {row['state']}{took} on {row['host'] or 'no host yet'}{why}"
        )
    if not found["attempts"]:
        click.echo("  none yet")
    _print_result(found)


def _print_result(found: dict[str, Any]) -> None:
    if found["provenance"]:
        click.echo("\nprovenance")
    for name, value in found["provenance"].items():
        click.echo(f"  {name}: {value}")
    if found["unfinished"]:
        click.echo("\nmeasured before it failed; no report and no mean has it")
        for name, value in found["unfinished"].items():
            click.echo(f"  {name}: {value}")
    if found["metrics"]:
        click.echo("\nmetrics                                 before   after  95 % interval")
        for line in metric_lines(found["metrics"]):
            click.echo(line)
        if told := knew(found["metrics"]):
            click.echo(f"\n{told}")


@trial.command(epilog="\b\nExample:\n  ksmith trial retry 3f9a")
@click.argument("trial")
@home_option
@with_lab
def retry(lab: Lab, trial: str) -> None:
    """Try a failed or cancelled TRIAL, and what it waits for, again.

    So is a trial or an asset that is done, but whose files are no longer what was written.
    """
    with lab.visit() as store:
        node = store.find(trial)
        again = [node.key] if store.redo(node) else store.retry([node.id])
    if not again:
        why = "and its files are what was written" if node.state == "done" else ""
        raise UserError(
            f"{node.key} is {node.state}, {why or 'and nothing that it needs has failed'}"
        )
    click.echo("\n".join(f"{key} will be tried again" for key in again))


@trial.command(epilog="\b\nExample:\n  ksmith trial cancel 3f9a")
@click.argument("trial")
@home_option
@with_lab
def cancel(lab: Lab, trial: str) -> None:
    """Do not run a TRIAL, or stop it where it is running."""
    with lab.visit() as store:
        node = store.find(trial)
        now, later = store.cancel([node.id])
    if now:
        click.echo(f"{node.key} is cancelled")
    elif later:
        click.echo(f"{node.key} is running; it will be stopped")
    else:
        raise UserError(f"{node.key} is {node.state}: there is nothing to cancel")


@trial.command(epilog="\b\nExample:\n  ksmith trial logs 3f9a --attempt 1")
@click.argument("trial")
@click.option("--attempt", type=int, help="Number of the attempt.  [default: the last one]")
@home_option
@with_lab
def logs(lab: Lab, trial: str, attempt: int | None) -> None:
    """Print what a TRIAL's attempt wrote to its log."""
    with lab.visit() as store:
        node = store.find(trial)
        tried = store.attempts(node.id)
    chosen = [row for row in tried if attempt is None or row.no == attempt]
    if not chosen:
        there = ", ".join(str(row.no) for row in tried) or "none yet"
        raise UserError(f"{node.key} has no such attempt; there is {there}")
    path = inside(lab.home, chosen[-1].log)
    if not path.is_file():
        raise UserError(f"attempt {chosen[-1].no} wrote no log: {path} is not there")
    if path.stat().st_size == 0:
        note(f"attempt {chosen[-1].no} wrote nothing")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            click.echo(line, nl=False)


# --- the science again ------------------------------------------------------------------------


@click.command(epilog="\b\nExample:\n  ksmith verify 3f9a --tolerance 0")
@click.argument("trial")
@click.option(
    "--tolerance", default=TOLERANCE, show_default=True, help="Largest difference, in nats."
)
@click.option("--device", default="cpu", show_default=True, help="As torch calls it.")
@json_option
@home_option
@with_lab
@click.pass_context
def verify(
    ctx: click.Context, lab: Lab, trial: str, tolerance: float, device: str, *, as_json: bool
) -> None:
    """Run a TRIAL again and compare every log-probability.

    The update is computed again, too; graph, model and second moments are taken as they are.
    Nothing in the lab changes. The exit code is 1 if a difference is above the tolerance.
    """
    import tempfile

    with lab.visit() as store:
        node = done_trial(store, trial)
        specs = {"trial": spec_of(store, node, device)}
        for role in ("before", "update"):
            specs[role] = spec_of(store, store.needs(node.id)[role], device)
    from ksmith.worker.again import compare, run_again  # seconds, so mistakes are told first

    first = inside(lab.home, f"{node.folder}/answers.parquet")
    with tempfile.TemporaryDirectory(prefix="ksmith-verify-") as folder:
        second = run_again(specs, Path(folder), {})
        found = compare(first, second)
    ok = found.within(tolerance)
    if as_json:
        print_json({"trial": node.key, "ok": ok, "tolerance": tolerance, **asdict(found)})
    else:
        click.echo(
            f"{node.key}: {found.answers} answers, largest difference {found.logp:.3g} nats, "
            f"{found.texts} texts differ, {found.missing} answers missing: "
            f"{'the same' if ok else 'NOT the same'} within {tolerance:g}"
        )
    ctx.exit(0 if ok else 1)


@click.command(epilog="\b\nExample:\n  ksmith checkout 3f9a edited-model --draw 2")
@click.argument("trial")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--draw", default=0, show_default=True, help="Which of the independent updates.")
@click.option("--step", type=int, help="Facts of a sequence.  [default: all of them]")
@home_option
@with_lab
def checkout(lab: Lab, trial: str, folder: Path, draw: int, step: int | None) -> None:
    """Write a TRIAL's updated model as a transformers folder DIR."""
    with lab.visit() as store:
        node = done_trial(store, trial)
        spec = spec_of(store, node, "cpu")
    if step not in (None, 1) and not spec.recipe["task"].get("sequence"):
        raise UserError(
            f"--step {step}: {node.key} is no sequence: each draw's facts were changed at once, "
            "so that it has one model; leave --step out"
        )
    from ksmith.worker.checkout import checkout as write  # seconds, so mistakes are told first

    changed = write(spec, draw, folder, step)
    click.echo(
        f"{folder}: base weights with draw {draw} of {node.key}, {changed} matrices changed"
    )
    note(f'AutoModelForCausalLM.from_pretrained("{folder}") opens it')


def done_trial(store: "Store", prefix: str) -> "NodeRow":
    """Return a trial that has a result.

    Raises:
        UserError: no such trial, or it has none yet.
    """
    node = store.find(prefix)
    if node.kind != "trial":
        raise UserError(f"{node.key} is an asset; name a trial")
    if node.state != "done":
        raise UserError(f"{node.key} is {node.state}: only a trial that is done has a result")
    return node


def spec_of(store: "Store", node: "NodeRow", device: str) -> "Spec":
    """Return the spec that a worker would get to do a node once more; it holds no lease."""
    from ksmith.records import Spec

    needs = store.needs(node.id)
    missing = [need.key for need in needs.values() if need.folder is None]
    if missing:
        raise UserError(
            f"{node.key} needs {missing[0]}, which is not there: run the study again"
        )
    return Spec(
        key=node.key,
        kind=node.kind,
        recipe=node.recipe,
        needs={role: str(store.home / str(need.folder)) for role, need in needs.items()},
        need_keys={role: need.key for role, need in needs.items()},
        files=node.files,
        folder=str(store.home / (node.folder or f"outcomes/{node.key}/0-0")),
        attempt=0,
        fence=0,
        device=device,
    )
