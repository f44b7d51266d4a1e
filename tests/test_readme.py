"""README.md is true: its tables are those of the code, its commands parse, its examples run.

python -m tests.test_readme      writes the tables into it again
"""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from ksmith import study
from ksmith.cli import ksmith
from ksmith.cli.docs import tables
from tests.conftest import ROOT

README = ROOT / "README.md"
TABLES = ("verbs", "methods", "tasks", "probes", "metrics")


def text() -> str:
    return README.read_text(encoding="utf-8")


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(), re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of each indented line that calls ksmith, without what it says of it."""
    lines = re.findall(r"^ {4}(?:[A-Z_]+=\S+ )*(ksmith .*)$", text(), re.MULTILINE)
    return [shlex.split(re.split(r" {2,}", line)[0])[1:] for line in lines]


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_generated(name: str) -> None:
    found = block(name).search(text())
    assert found, f"README.md has no table {name}"
    assert found.group(0) == f"<!-- {name} -->\n{tables()[name].strip()}\n<!-- /{name} -->"


def test_commands_parse() -> None:
    """Each is read by click as far as its last word: verbs, options and arguments are real."""
    assert len(commands()) >= 8
    for words in commands():
        command: click.Command = ksmith
        context = click.Context(ksmith)
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found, name
            command, context = found, click.Context(found, parent=context)
        command.make_parser(context).parse_args(list(words))


def test_the_study_in_it_is_the_one_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "plasticity.toml"
    path.write_text("\n".join(fenced("toml")), encoding="utf-8")
    ours = study.read(path)
    shipped = study.read(ROOT / "studies" / "plasticity.toml")
    assert (ours.name, ours.question, ours.grid) == (
        shipped.name,
        shipped.question,
        shipped.grid,
    )
    assert len(ours.points) == 30
    assert ours.findings == shipped.findings[:1]


def test_the_python_in_it_runs(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KSMITH_HOME", str(lab))
    for code in fenced("python"):
        exec(compile(code, "README.md", "exec"), {})  # our own text, as a reader would paste it
    assert "rome" in capsys.readouterr().out


def test_its_picture_is_there() -> None:
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text()):
        assert (ROOT / path).is_file(), path


if __name__ == "__main__":
    written = text()
    for each in TABLES:
        body = tables()[each].strip().replace("\\", "\\\\")
        written = block(each).sub(rf"\g<1>{body}\n\g<2>", written)
    README.write_text(written, encoding="utf-8")
    sys.exit(0)
