"""README.md and studies/README.md are true: tables of the code, commands that parse, examples.

python -m tests.test_readme      writes the tables into them again
"""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from ksmith import study
from ksmith.cli import ksmith
from ksmith.report.docs import tables
from tests.conftest import ROOT

PAGES = {  # and the tables in each
    ROOT / "README.md": ("methods", "probes"),
    ROOT / "studies" / "README.md": (
        "settings",
        "known",
        "tasks",
        "metrics",
        "published",
        "further",
    ),
}
LINES = 180


def text() -> str:
    """Return both pages, one after the other."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(), re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of each indented line that calls ksmith, without what it says of it."""
    lines = re.findall(r"^ {4}(?:[A-Z_]+=\S+ )*(ksmith .*)$", text(), re.MULTILINE)
    return [shlex.split(re.split(r" {2,}", line)[0])[1:] for line in lines]


@pytest.mark.parametrize(
    ("page", "name"), [(p, n) for p, names in PAGES.items() for n in names]
)
def test_tables_are_generated(page: Path, name: str) -> None:
    found = block(name).search(page.read_text(encoding="utf-8"))
    assert found, f"{page} has no table {name}"
    assert found.group(0) == f"<!-- {name} -->\n{tables()[name].strip()}\n<!-- /{name} -->"


def test_the_first_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LINES


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
    parts = [part for part in fenced("toml") if "forget.jsonl" not in part]
    path.write_text("\n".join(parts), encoding="utf-8")
    ours = study.read(path)
    shipped = study.read(ROOT / "studies" / "plasticity.toml")
    assert (ours.name, ours.question, ours.grid) == (
        shipped.name,
        shipped.question,
        shipped.grid,
    )
    assert len(ours.points) == 45
    assert ours.findings == shipped.findings[:1]


def test_the_study_of_ones_own_questions_is_one(tmp_path: Path) -> None:
    (own,) = (part for part in fenced("toml") if "forget.jsonl" in part)
    for name in ("forget", "retain", "holdout"):
        (tmp_path / f"{name}.jsonl").write_text("{}")
    (tmp_path / "my_model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "my_model" / name).write_text("{}")
    path = tmp_path / "own.toml"
    path.write_text(f'name = "own"\nquestion = "?"\n{own}')
    (point,) = study.read(path, ("task.method=npo",)).points
    assert point.settings["graph"]["source"] == "qa"
    assert "model.load" in point.files and len(point.files) == 4


def test_the_python_in_it_runs(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KSMITH_HOME", str(lab))
    for code in fenced("python"):
        exec(compile(code, "README.md", "exec"), {})  # our own text, as a reader would paste it
    assert "rome" in capsys.readouterr().out


def test_what_they_link_to_is_there() -> None:
    for page in PAGES:
        for path in re.findall(r"\[[^]]*\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / path).is_file(), (page, path)


if __name__ == "__main__":
    for page, names in PAGES.items():
        written = page.read_text(encoding="utf-8")
        for each in names:
            body = tables()[each].strip().replace("\\", "\\\\")
            written = block(each).sub(rf"\g<1>{body}\n\g<2>", written)
        page.write_text(written, encoding="utf-8")
    sys.exit(0)
