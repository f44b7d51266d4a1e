"""`ksmith graph`: what is found in a file of facts, before a study uses it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ksmith.cli.files import meant
from ksmith.cli.shell import (
    Lab,
    Verbs,
    home_option,
    json_option,
    note,
    print_json,
    set_option,
    table,
    with_lab,
)
from ksmith.records import Json, UserError, canonical

if TYPE_CHECKING:
    from ksmith.graph.mining import Mined
    from ksmith.graph.triples import Found

SHOWN = 0.4  # PCA confidence from which a rule is worth a look
Table = tuple[dict[str, Json], Path]  # settings of a graph, its file


@click.group(cls=Verbs)
def graph() -> None:
    """Look at the facts that a study starts from."""


@graph.command(
    epilog="\b\nExamples:\n  ksmith graph rules facts.tsv\n"
    "  ksmith graph rules study.toml --set graph.min_support=20 --json"
)
@click.argument("source", metavar="FILE|STUDY")
@click.option(
    "--confidence",
    default=SHOWN,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Show rules with this PCA confidence or more.",
)
@set_option
@json_option
@home_option
@with_lab
def rules(
    lab: Lab, source: str, overrides: tuple[str, ...], *, confidence: float, as_json: bool
) -> None:
    """Show the rules that are mined from a file of facts, and which of them a study uses.

    FILE is a file of facts, or a study file whose graph.source is "triples". A prediction is
    what a rule concludes. Standard confidence is the share of the predictions that the file
    has; PCA confidence counts a prediction against the rule only where the file says something
    else there. A rule marked * is used; one marked = is not sure enough to add facts, but where
    the file says both sides, one goes with the other. graph.rules takes rules as written here.
    """
    from ksmith.graph import triples

    found = [(path, triples.explore(s, path)) for s, path in _graphs(lab, source, overrides)]
    if as_json:
        print_json([_json(path, explored, confidence) for path, explored in found])
        return
    for path, explored in found:
        _print(path, explored, confidence)


def _graphs(lab: Lab, source: str, overrides: tuple[str, ...]) -> list[Table]:
    """Return the different graphs of triples that `source` means."""
    from ksmith.graph import triple_file

    path = Path(source)
    if path.suffix.lower() in triple_file.READERS:
        if overrides:
            raise UserError(f"--set changes a study file, and {source} is a file of facts")
        return [(_defaults(), path)]
    if path.suffix.lower() not in ("", ".toml") and path.is_file():
        there = ", ".join(sorted(triple_file.READERS))
        raise UserError(f"{source}: no file of facts ({there}), and no study file (.toml)")
    found = meant(lab, source, overrides)
    tables = _of_file(found.file, overrides) if found.file else _of_stored(lab, found.name)
    different: dict[str, Table] = {}
    for settings, files in tables:
        if settings["source"] == "triples":
            different.setdefault(canonical(settings), (settings, Path(files["graph.path"])))
    if not different:
        raise UserError(f'{source}: no graph whose source is "triples"')
    return list(different.values())


def _of_file(
    file: Path, overrides: tuple[str, ...]
) -> Iterator[tuple[dict[str, Json], dict[str, str]]]:
    from ksmith.study import read

    for point in read(file, overrides, allow_large=True).points:
        yield point.settings["graph"], point.files


def _of_stored(lab: Lab, name: str) -> Iterator[tuple[dict[str, Json], dict[str, str]]]:
    with lab.visit() as store:
        nodes = store.dag([store.study(name).id]).nodes.values()
    for node in nodes:
        if node.kind == "graph":
            yield node.recipe["graph"], node.files


def _defaults() -> dict[str, Json]:
    from ksmith.settings import Triples, declared

    return {n: f.default for n, f in declared(Triples).items() if not f.path}


def _print(path: Path, found: "Found", confidence: float) -> None:
    facts, kinds = len(found.told.line), {triple[1] for triple in found.told.line}
    one = ", ".join(sorted(found.functional)) or "none"
    of = f"{len(kinds)} relations" if len(kinds) > 1 else "1 relation"
    click.echo(f"{path}: {facts:,} facts of {of}")
    for what, count in found.told.counts.items():
        if what != "facts in the file":
            click.echo(f"  {count:,} {what}")
    click.echo(f"functional: {one}")
    rows = [
        [
            "=" if row["mirror"] else "*" if row["used"] else "",
            row["rule"],
            f"{row['support']:,}",
            f"{row['standard']:.3f}",
            f"{row['pca']:.3f}",
            f"{row['counterexamples']:,}",
            row["example"],
        ]
        for row in _rows(found, confidence)
    ]
    if rows:
        names = ["used", "rule", "support", "standard", "PCA", "against", "example"]
        table(names, rows, frozenset({2, 3, 4, 5}))
    else:
        click.echo(f"no rule with a PCA confidence of {confidence} or more")
    for body in found.skipped:
        note(f"not checked, it predicts too much: {' & '.join(body)}")


def _json(path: Path, found: "Found", confidence: float) -> dict[str, Json]:
    return {
        "path": str(path),
        "facts": len(found.told.line),
        "counts": found.told.counts,
        "functional": sorted(found.functional),
        "rules": list(_rows(found, confidence)),
        "not checked": [list(body) for body in found.skipped],
    }


def _rows(found: "Found", confidence: float) -> Iterator[dict[str, Any]]:
    from ksmith.graph.notation import written

    used = {(rule.body, rule.head): rule for rule in found.rules}
    for rule in found.mined:
        mine = (rule.body, rule.head) in used
        if mine or rule.confidence >= confidence:
            yield {
                "rule": written(rule.rule),
                "used": mine,
                "mirror": mine and used[rule.body, rule.head].mirror,
                "support": rule.support,
                "predictions": rule.predictions,
                "standard": round(rule.standard, 6),
                "pca": round(rule.confidence, 6),
                "counterexamples": rule.counterexamples,
                "example": _example(rule),
            }


def _example(rule: "Mined") -> str:
    """Return who the letters of the rule are."""
    first = rule.example[0]
    names = [first[0], first[2], *([rule.example[1][2]] if len(rule.body) == 2 else [])]
    return ", ".join(f"{letter} = {name}" for letter, name in zip("abc", names, strict=False))
