"""`ksmith status`: how far everything is, and what stands in the way."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ksmith.cli.files import only_study
from ksmith.cli.shell import Lab, home_option, json_option, print_json, with_lab

if TYPE_CHECKING:
    from ksmith.store import Store

STATES = ("done", "running", "leased", "ready", "blocked", "failed", "cancelled")
SHOWN = 20  # failed trials named one by one


@click.command(epilog="\b\nExample:\n  ksmith status plasticity --json")
@click.argument("study", required=False)
@json_option
@home_option
@with_lab
def status(lab: Lab, study: str | None, *, as_json: bool) -> None:
    """Count trials by state; say how far what runs is, and why some failed or are blocked."""
    found: list[dict[str, Any]] = []
    if study is not None or lab.there:
        with lab.visit() as store:
            found = [_status(store, name) for name in only_study(store, study)]
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"no studies in {lab.home} yet: `ksmith run FILE` makes one")
    else:
        for row in found:
            _print(row)


def _status(store: "Store", name: str) -> dict[str, Any]:
    row, trials = store.study(name), store.trials(name)
    assets: dict[str, Counter[str]] = {}
    for (kind, state), number in store.states([row.id]).items():
        if kind != "trial":
            assets.setdefault(kind, Counter())[state] += number
    stuck = [trial for trial in trials if trial.state in ("failed", "cancelled")]
    stuck += [trial for trial in trials if trial.state == "blocked" and trial.reason]
    return {
        "study": name,
        "trials": row.trials,
        "states": {state: row.states[state] for state in STATES if row.states.get(state)},
        "assets": {kind: dict(states) for kind, states in assets.items()},
        "running": _running(store, row.id),
        "stuck": [
            {
                "trial": trial.key,
                "state": trial.state,
                "reason": trial.reason,
                "axes": trial.axes,
            }
            for trial in stuck
        ],
    }


def _running(store: "Store", study: int) -> list[dict[str, Any]]:
    """Return how far each worker said last that it is, with a node of the study."""
    from ksmith.scheduler.attempts import last_line

    mine = store.standing([study])
    found: list[dict[str, Any]] = []
    for claim in (lease.claim for lease in store.leases() if lease.claim.id in mine):
        line = last_line(store.home / f"{claim.folder}.tmp" / "events.jsonl")
        try:
            event = json.loads(line)
        except ValueError:
            event = {}  # nothing yet, or a line that is being written
        told = {name: event.get(name) for name in ("done", "total", "text")}
        found.append({"key": claim.key, "kind": claim.kind, **told})
    return found


def _print(row: dict[str, Any]) -> None:
    click.echo(f"{row['study']}: {row['trials']} trials: {_counts(row['states'])}")
    for kind, states in row["assets"].items():
        click.echo(f"  {kind}: {_counts(states)}")
    for one in row["running"]:
        share = f": {one['done']}/{one['total']} {one['text']}" if one["total"] else ""
        click.echo(f"  at work: {one['key']}{share}")
    causes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for stuck in row["stuck"]:
        causes.setdefault((stuck["state"], stuck["reason"] or ""), []).append(stuck)
    for (state, reason), trials in list(causes.items())[:SHOWN]:
        first = trials[0]
        axes = ", ".join(f"{name.rpartition('.')[2]} {v}" for name, v in first["axes"].items())
        more = f" and {len(trials) - 1} more" if len(trials) > 1 else ""
        click.echo(
            f"  {state} {first['trial']} ({axes}){more}{f': {reason}' if reason else ''}"
        )
    if len(causes) > SHOWN:
        click.echo(f"  and {len(causes) - SHOWN} more causes; `--json` lists all")


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{states[state]} {state}" for state in STATES if states.get(state))
