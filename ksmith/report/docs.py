"""The tables of README.md and studies/README.md, made from the code that they describe."""

from collections.abc import Sequence

from ksmith import settings
from ksmith.measures import DERIVED, MEASURES, PUBLISHED, TABLES
from ksmith.measures.groups import CHANGED, NEAR
from ksmith.settings import known_models


def tables() -> dict[str, str]:
    """Return Markdown tables by name, as the pages have them."""
    return {
        "methods": _methods(),
        "tasks": _tasks(),
        "probes": _probes(),
        "metrics": markdown(METRIC, _of_questions()),
        "further": markdown(METRIC, _of_trials()),
        "published": _published(),
        "settings": _settings(),
        "known": _known(),
    }


def markdown(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a bar or a line break in a cell stays inside it."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _methods() -> str:
    rows: list[list[str]] = []
    for row in settings.describe_methods():
        _, _, doc = row["doc"].partition(": ")
        what, _, source = doc.partition(". ")
        rows.append(
            [f"`{row['name']}`", f"`{row['family']}/`", what, source.strip("."), row["assets"]]
        )
    return markdown(["method", "room", "what it does", "from", "also needs"], rows)


def _tasks() -> str:
    rows = settings.describe_tasks()
    names = [name for name in rows[0] if name != "name"]
    cells = [[f"`{row['name']}`", *(row[name] for name in names)] for row in rows]
    return markdown(["method", *names], cells)


def _probes() -> str:
    rows = [[f"`{row['name']}`", row["doc"]] for row in settings.describe_probes()]
    return markdown(["probe", "asks"], rows)


# Groups of probes that many metrics share, in one word.
GROUPS = {CHANGED + NEAR: "changed and near", CHANGED: "changed", NEAR: "near"}


def _of(probes: tuple[str, ...]) -> str:
    """Return the probes in few words: groups stand for their probes."""
    for group, word in GROUPS.items():
        rest = [name for name in probes if name not in group]
        if set(group) <= set(probes):
            return ", ".join([word, *rest])
    return ", ".join(probes)


METRIC = ("metric", "of probes", "says", "better")
GOLD = "gold_"


def _of_questions() -> list[list[str]]:
    """Return a row for each metric that is a mean over the questions of one probe."""
    rows = [
        [f"`{name}`", _of(measure.probes), measure.doc, measure.better]
        for name, measure in MEASURES.items()
    ]
    derived = [
        [f"`{name}`", probe, doc, "-"]
        for name, (probe, doc) in DERIVED.items()
        if not name.startswith(GOLD)
    ]
    return rows + derived


def _of_trials() -> list[list[str]]:
    """Return a row for each metric of several probes, of gold models, of weights or states."""
    gold = [
        [f"`{name}`", probe, doc, "-"]
        for name, (probe, doc) in DERIVED.items()
        if name.startswith(GOLD)
    ]
    # Where an answer can be the chosen or the written one, one row says it of both.
    rest = [
        [f"`{name}`", probe, measure.doc, measure.better]
        for probe, table in TABLES.items()
        for name, measure in table.items()
        if not (name.endswith("_generated") and name.removesuffix("_generated") in table)
    ]
    return rest + gold


def _known() -> str:
    rows = [
        [row["model"], f"`{row['method']}`", row["layers"], row["values"], row["source"]]
        for row in known_models.describe()
    ]
    return markdown(["model", "method", "layers", "numbers of the preset", "from"], rows)


def _published() -> str:
    """Return what benchmarks call our metrics."""
    rows = [[f"`{name}`", called, of] for name, (called, of) in PUBLISHED.items()]
    return markdown(["metric", "called", "in"], rows)


def _settings() -> str:
    rows = [
        [f"`{row['name']}`", row["of"], row["type"], f"`{row['default']}`", row["doc"]]
        for row in settings.describe()
    ]
    return markdown(["setting", "of", "type", "default", "meaning"], rows)
