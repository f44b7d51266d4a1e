"""`ksmith graph questions`: what a study asks, as a Parquet file."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ksmith.cli.files import meant
from ksmith.cli.shell import (
    Lab,
    duration,
    home_option,
    json_option,
    note,
    print_json,
    set_option,
    with_lab,
)
from ksmith.records import Json, UserError, canonical

if TYPE_CHECKING:
    from ksmith.probe.generate import Trial

EVERY = 2.0  # seconds between two lines of progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the questions before the updates of some trials depend on."""

    key: str  # of the answers before
    graph: Json
    files: dict[str, str]  # of the graph
    recipe: dict[str, Json]  # task, probe, seed


@click.command(
    epilog="\b\nExamples:\n  ksmith graph questions plasticity --out questions.parquet\n"
    "  ksmith graph questions study.toml --set graph.facts=100000 --set task.scale=[10000] "
    "--out million.parquet --limit 1000000"
)
@click.argument("study", metavar="FILE|STUDY")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The Parquet file to write.",
)
@click.option("--limit", type=click.IntRange(1), help="Stop after so many questions.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 256))
@set_option
@json_option
@home_option
@with_lab
def questions(  # noqa: PLR0913 - one argument an option
    lab: Lab,
    study: str,
    out: Path,
    limit: int | None,
    workers: int,
    overrides: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write all questions that a study asks to a Parquet file.

    One row a question; the column `trial` names the answers before the update that it belongs
    to, which methods share. The same study gives the same bytes, whatever the workers. An
    interrupted run leaves no file.
    """
    from ksmith.probe.generate import generate

    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    start = time.monotonic()
    asked = _asked(lab, study, overrides)
    count = generate(
        _trials(asked), out, limit=limit, workers=workers, told=_telling(limit, start)
    )
    seconds = time.monotonic() - start
    if as_json:
        told = {"questions": count, "trials": len(asked), "seconds": round(seconds, 1)}
        print_json({"out": str(out), **told})
    else:
        click.echo(f"{out}: {count:,} questions in {duration(seconds)}")


def _asked(lab: Lab, word: str, overrides: tuple[str, ...]) -> list[Asked]:
    """Return what is asked, once for all methods that share it, in the order of the study."""
    found = meant(lab, word, overrides)
    items = _of_file(found.file, overrides) if found.file else _of_stored(lab, found.name)
    return list({item.key: item for item in items}.values())


def _of_file(file: Path, overrides: tuple[str, ...]) -> Iterator[Asked]:
    from ksmith.study import nodes, read

    for point in read(file, overrides, allow_large=True).points:
        made = nodes(point)
        yield Asked(
            key=made["before"].key,
            graph=made["graph"].recipe["graph"],
            files=made["graph"].files,
            recipe=made["before"].recipe,
        )


def _of_stored(lab: Lab, name: str) -> Iterator[Asked]:
    with lab.visit() as store:
        dag = store.dag([store.study(name).id])
    needs = [(dag.nodes[node], dag.nodes[need]) for node, need in dag.needs]
    graphs = {node.id: need for node, need in needs if need.kind == "graph"}
    for node in sorted(dag.nodes.values(), key=lambda node: node.id):
        if node.kind == "before":
            graph = graphs[node.id]
            yield Asked(
                key=node.key,
                graph=graph.recipe["graph"],
                files=graph.files,
                recipe=node.recipe,
            )


def _trials(asked: list[Asked]) -> "Iterator[Trial]":
    """Yield them one after another; a graph is built anew where the last was another."""
    from ksmith import graph
    from ksmith.probe.generate import Trial

    last, built = "", None
    for item in asked:
        if built is None or canonical(item.graph) != last:
            note("building the graph")
            built, last = graph.build(item.graph, item.files), canonical(item.graph)
        recipe: dict[str, Any] = item.recipe
        yield Trial(
            name=item.key,
            graph=built,
            requests=graph.requests(built, recipe["task"], recipe["seed"], covariates=False),
            settings=recipe["probe"],
            seed=recipe["seed"],
        )


def _telling(limit: int | None, start: float) -> Callable[[int], None]:
    """Return what says, every few seconds, how many questions there are."""
    last = start

    def told(count: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            of = f" of at most {limit:,}" if limit else ""
            note(f"[{duration(now - start)}] {count:,} questions{of}")

    return told
