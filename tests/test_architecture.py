"""The map is true: what starts fast, and which files stand at the top."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "transformers", "peft", "mlflow", "polars", "sqlmodel", "networkx"}
TOP = {
    "pyproject.toml",
    "ksmith",
    "studies",
    "migrations",
    "tests",
    "mlruns",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
}


def modules_after(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(out.stdout.split())


@pytest.mark.parametrize(
    "module", ["ksmith", "ksmith.cli", "ksmith.study", "ksmith.settings", "ksmith.records"]
)
def test_import_is_light(module: str) -> None:
    assert not HEAVY & modules_after(f"import {module}")


def test_guard_can_fail() -> None:
    assert HEAVY & modules_after("import networkx")


SCIENCE = ("lm", "edit", "unlearn", "locate", "probe", "graph")
NOT_THERE = ("mlflow", "sqlmodel", "sqlalchemy", "polars", "click", "matplotlib", "altair")
# Each room is imported alone, file by file, in a process that has imported what they all need, but
# nothing of ksmith.
ALONE = """
import gc, importlib, json, os, pkgutil, sys, traceback
gc.disable()
rooms, not_there = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(not_there))
import networkx, pydantic, tokenizers.implementations, transformers.modeling_utils
found = {}
for room in rooms:
    read, write = os.pipe()
    if not os.fork():
        try:
            package = importlib.import_module(f"ksmith.{room}")
            for part in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                importlib.import_module(part.name)
        except BaseException:
            os.write(write, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as told:
        found[room] = told.read()
    os.wait()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """Return for each room what its import failed with, "" where it did not."""
    asked = json.dumps([(*SCIENCE, "frames"), NOT_THERE])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, asked], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", SCIENCE)
def test_science_needs_no_records(module: str, alone: dict[str, str]) -> None:
    """A GPU machine with torch and transformers alone can import the science half."""
    assert alone[module] == ""


def test_that_guard_can_fail(alone: dict[str, str]) -> None:
    assert "import of polars halted" in alone["frames"]


def test_top_level_is_the_agreed_one() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_methods_contract_is_complete() -> None:
    """import-linter's list of islands names every method's file."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    islands = next(c for c in contracts["contracts"] if c["name"] == "Methods are islands")
    methods = {
        f"ksmith.{room}.{path.stem}"
        for room in ("edit", "unlearn")
        for path in (ROOT / "ksmith" / room).glob("*.py")
        if path.stem != "__init__"
    }
    assert set(islands["modules"]) == methods


def test_nothing_is_unpickled() -> None:
    """No call in the package loads a pickle or lets a model bring its own code."""
    banned = {"load", "loads"}
    for path in (ROOT / "ksmith").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names}
                assert "pickle" not in names, path
            if isinstance(node, ast.Attribute) and node.attr in banned:
                owner = getattr(node.value, "id", "")
                assert owner not in {"torch", "pickle", "joblib"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path
