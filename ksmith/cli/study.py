"""`ksmith study`: create, plan, list, show, delete."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ksmith.cli.files import meant, study_file
from ksmith.cli.shell import (
    Lab,
    Verbs,
    duration,
    home_option,
    json_option,
    note,
    print_json,
    set_option,
    table,
    with_lab,
)
from ksmith.records import KINDS

if TYPE_CHECKING:
    from ksmith.store import Added
    from ksmith.study import Study

replace_option = click.option(
    "--replace", is_flag=True, help="Give a stored study another grid; no trial is deleted."
)
large_option = click.option(
    "--allow-large", is_flag=True, help="Allow a grid of more than 10,000 trials."
)


@click.group(cls=Verbs)
def study() -> None:
    """Make studies and look at them."""


@study.command(
    epilog="\b\nExample:\n  ksmith study create studies/plasticity.toml --set task.draws=5"
)
@click.argument("file")
@set_option
@replace_option
@large_option
@json_option
@home_option
@with_lab
def create(
    lab: Lab,
    file: str,
    overrides: tuple[str, ...],
    *,
    replace: bool,
    allow_large: bool,
    as_json: bool,
) -> None:
    """Check a study FILE and store its trials; nothing is run."""
    read = read_study(study_file(lab, file), overrides, allow_large=allow_large)
    with lab.open() as store:
        added = store.add(read, replace=replace)
    if as_json:
        counts = {"trials": added.trials, "new": added.new, "shared": added.shared}
        did = {"unchanged": added.unchanged, "replaced": added.replaced}
        print_json({"study": read.name, **counts, "done": added.done, **did})
        return
    click.echo(described(read.name, added))


@study.command(epilog="\b\nExample:\n  ksmith study plan studies/plasticity.toml --json")
@click.argument("study", metavar="FILE|NAME")
@set_option
@large_option
@json_option
@home_option
@with_lab
def plan(
    lab: Lab, study: str, overrides: tuple[str, ...], *, allow_large: bool, as_json: bool
) -> None:
    """Say what a run would do: trials, assets, expected time."""
    found = meant(lab, study, overrides)
    planned = (
        _plan_file(lab, found.file, overrides, allow_large=allow_large)
        if found.file
        else _plan_stored(lab, found.name)
    )
    if as_json:
        print_json(planned)
        return
    counts = ", ".join(f"{planned[name]} {name}" for name in ("new", "shared", "done"))
    click.echo(f"{planned['study']}: {planned['trials']} trials ({counts})")
    assets: dict[str, int] = planned["assets"]
    built = ", ".join(f"{number} {kind}" for kind, number in assets.items())
    click.echo(f"assets to build: {built or 'none'}")
    click.echo(f"expected time: {_expected(planned)}")


@study.command("list", epilog="\b\nExample:\n  ksmith study list --json")
@json_option
@home_option
@with_lab
def list_(lab: Lab, *, as_json: bool) -> None:
    """List the stored studies."""
    rows: list[dict[str, Any]] = []
    if lab.there:
        with lab.open() as store:
            rows = [
                {"study": row.name, "trials": row.trials, **_states(row.states)}
                | {"question": row.question}
                for row in store.studies()
            ]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"no studies in {lab.home} yet: `ksmith run FILE` makes one")
    else:
        names = ["study", "trials", "done", "failed", "pending", "question"]
        right = frozenset({1, 2, 3, 4})
        table(names, [[str(row[name]) for name in names] for row in rows], right)


@study.command(epilog="\b\nExample:\n  ksmith study show plasticity --json")
@click.argument("name")
@json_option
@home_option
@with_lab
def show(lab: Lab, name: str, *, as_json: bool) -> None:
    """Show a stored study: its question, its file, its trials."""
    with lab.visit() as store:
        row, trials = store.study(name), store.trials(name)
    if as_json:
        print_json(
            {
                "study": row.name,
                "question": row.question,
                "file": row.text,
                "trials": [
                    {"trial": trial.key, "state": trial.state, "seconds": trial.seconds}
                    | {"reason": trial.reason, "run_id": trial.run_id, "axes": trial.axes}
                    for trial in trials
                ],
            }
        )
        return
    click.echo(f"{row.name}: {row.question}\n")
    click.echo(row.text.rstrip() + "\n")
    axes = list(dict.fromkeys(name for trial in trials for name in trial.axes))
    rows = [
        [trial.key, trial.state, *(_text(trial.axes.get(name)) for name in axes)]
        for trial in trials
    ]
    table(["trial", "state", *axes], rows)


@study.command(epilog="\b\nExample:\n  ksmith study delete plasticity --yes")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@with_lab
def delete(lab: Lab, name: str, *, yes: bool) -> None:
    """Forget a study.

    Its trials and their results stay, for studies that share them.
    """
    with lab.visit() as store:
        row = store.study(name)
        if not yes:
            click.confirm(f"forget study {row.name!r} ({row.trials} trials)?", abort=True)
        gone = store.delete(name)
    click.echo(
        f"{name} is forgotten; its {gone.trials} trials are kept, {gone.orphans} in no study"
    )


# --- shared with `run` ------------------------------------------------------------------------


def read_study(file: Path, overrides: tuple[str, ...], *, allow_large: bool) -> "Study":
    """Return the study in `file`, its notes said; every mistake is one line of the error."""
    from ksmith.cli.enough import check_facts
    from ksmith.cli.expected import check_measures, unmeasured
    from ksmith.study import read

    study = read(file, overrides, allow_large=allow_large)
    check_measures(study)
    check_facts(study)
    for line in (*study.notes, *unmeasured(study)):
        note(line)
    return study


def described(name: str, added: "Added") -> str:
    """Return what storing a study did, as a sentence."""
    if added.unchanged:
        return f"{name}: {added.trials} trials, stored before; nothing changed"
    done = f", {added.done} of them done" if added.done else ""
    what = "relinked" if added.replaced else "stored"
    return f"{name}: {added.trials} trials {what}: {added.new} new, {added.shared} shared{done}"


def _plan_file(
    lab: Lab, file: Path, overrides: tuple[str, ...], *, allow_large: bool
) -> dict[str, Any]:
    """Return what running the file would do; nothing is stored, and no lab is made."""
    read = read_study(file, overrides, allow_large=allow_large)
    if not lab.there:
        return _plan_first(read)
    with lab.open() as store:
        found = store.preview(read)
        seconds = store.expected([*found.assets, *found.todo])
    return {
        "study": read.name,
        "trials": found.trials,
        "new": found.new,
        "shared": found.shared,
        "done": found.done,
        "assets": _by_kind(node.kind for node in found.assets),
        "seconds": seconds,
    }


def _plan_first(read: "Study") -> dict[str, Any]:
    """Return what a lab that is not there yet would have to do: everything."""
    from ksmith.study import nodes

    every = {node.key: node.kind for point in read.points for node in nodes(point).values()}
    kinds = _by_kind(every.values())
    trials = kinds.pop("trial", 0)
    counts = {"trials": trials, "new": trials, "shared": 0, "done": 0}
    return {"study": read.name, **counts, "assets": kinds, "seconds": None}


def _plan_stored(lab: Lab, name: str) -> dict[str, Any]:
    from ksmith.records import Node

    with lab.visit() as store:
        row = store.study(name)
        todo = [node for node in store.dag([row.id]).nodes.values() if node.state != "done"]
        # Likes are found by kind and recipe, so the keys of what it needs are not asked for.
        seconds = store.expected(Node(kind=node.kind, recipe=node.recipe) for node in todo)
    return {
        "study": row.name,
        "trials": row.trials,
        "new": 0,
        "shared": row.trials,
        "done": row.states.get("done", 0),
        "assets": _by_kind(node.kind for node in todo if node.kind != "trial"),
        "seconds": seconds,
    }


def _expected(planned: dict[str, Any]) -> str:
    if planned["done"] == planned["trials"]:
        return "none, every trial is done"
    if planned["seconds"] is None:
        return "not known yet, no earlier attempt is like these"
    return f"{duration(planned['seconds'])} of one worker, from earlier attempts"


def _by_kind(kinds: Iterable[str]) -> dict[str, int]:
    found = Counter(kinds)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _states(states: Mapping[str, int]) -> dict[str, int]:
    done, failed = states.get("done", 0), states.get("failed", 0)
    stopped = states.get("cancelled", 0)
    rest = sum(states.values()) - done - failed - stopped
    return {"done": done, "failed": failed, "cancelled": stopped, "pending": rest}


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
