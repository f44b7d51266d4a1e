"""The command line starts fast, loads nothing heavy, and every verb explains itself."""

import resource
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from ksmith import __version__
from ksmith.cli import ksmith
from ksmith.report.docs import tables

HEAVY = {"torch", "transformers", "mlflow", "polars", "sqlmodel", "sqlalchemy", "networkx"}
TIMES = 4  # what `--help` may take beside what click alone takes: 2.4 where this was written


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append((*path, name))
    return found


VERBS = commands(ksmith)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ksmith.cli import ksmith\n"
        "ksmith(['run', '--help'], standalone_mode=False)\nprint(*sys.modules)"
    )
    loaded = set(python("-c", code).stdout.split())
    assert "ksmith.cli.run" in loaded
    assert not HEAVY & loaded
    assert not {"pydantic", "rich", "matplotlib"} & loaded


def processor_time(*arguments: str) -> float:
    """Return the least processor time of a few runs: how slow a machine is falls out of ratios."""
    spent: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def test_help_is_there_at_once() -> None:
    assert processor_time("-m", "ksmith", "--help") < TIMES * processor_time(
        "-c", "import click"
    )


def test_version() -> None:
    assert python("-m", "ksmith", "--version").stdout == f"ksmith, version {__version__}\n"


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_an_example_and_a_home(verb: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(ksmith, [*verb, "--help"]).stdout
    example = "ksmith " + " ".join(verb)
    assert "Example" in shown
    assert example in shown.partition("Example")[2]
    assert "--home" in shown or verb == ("completion",)


@pytest.mark.parametrize(
    "verb",
    [
        *("study create", "study list", "study show", "study plan", "status", "trial show"),
        *("report", "sync", "doctor", "verify"),
    ],
)
def test_verbs_for_programs_print_json(verb: str) -> None:
    assert "--json" in CliRunner().invoke(ksmith, [*verb.split(), "--help"]).stdout


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete -o"), ("zsh", "compdef")])
def test_completion_is_a_script_of_that_shell(shell: str, mark: str) -> None:
    done = CliRunner().invoke(ksmith, ["completion", shell])
    assert done.exit_code == 0
    assert mark in done.stdout
    assert "_KSMITH_COMPLETE" in done.stdout


def test_tables_are_markdown_and_cover_the_code() -> None:
    from ksmith import settings
    from ksmith.measures import MEASURES

    found = tables()
    pages = {
        "methods",
        "tasks",
        "probes",
        "metrics",
        "published",
        "further",
        "settings",
        "known",
    }
    assert set(found) == pages
    for table in found.values():
        columns = {line.replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(columns) == 1, table
    for name in settings.METHODS:
        assert f"`{name}`" in found["methods"]
    for name in MEASURES:
        assert f"`{name}`" in found["metrics"]
    for name in settings.PROBES:
        assert f"`{name}`" in found["probes"]
    assert "`task.scale`" in found["settings"]
