"""The settings: every default is allowed, every value checked, every field explained."""

import subprocess
import sys
from dataclasses import asdict
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from ksmith import graph, settings
from ksmith.records import UserError
from ksmith.settings import (
    METHODS,
    PROBES,
    RECIPES,
    Declared,
    Task,
    declared,
    describe_tasks,
    fields,
    names,
)
from ksmith.settings.graph import Synthetic, aliased
from ksmith.settings.probe import KINDS, SETTINGS
from ksmith.settings.recipes import resolve
from ksmith.settings.words import show, type_name

EVERY = [(name, item) for name, by in names(METHODS).owners.items() for item in by.values()]


@pytest.mark.parametrize(("name", "item"), EVERY)
def test_a_default_is_allowed_and_explained(name: str, item: Declared) -> None:
    assert item.doc
    assert item.type_name
    if not item.required:
        assert fields.check(item, item.default) == item.default


@pytest.mark.parametrize("method", METHODS)
def test_a_method_from_its_resolved_settings(method: str) -> None:
    made: Any = settings.method(method, {})
    values = {name: getattr(made, name) for name in settings.declared(METHODS[method])}
    again = settings.method(method, {"name": method, "version": made.version} | values)
    assert again == made
    assert made.family in ("edit", "unlearn")
    assert set(made.tasks) <= {"edit", "unlearn"}
    assert set(made.assets) <= {"moments", "hypernetwork"}


@pytest.mark.parametrize(
    "method", [name for name, cls in METHODS.items() if "moments" in cls.assets]
)
def test_second_moments_come_with_their_size(method: str) -> None:
    assert "moment_tokens" in settings.declared(METHODS[method])


def test_all_that_is_wrong_with_a_method() -> None:
    with pytest.raises(UserError) as raised:
        settings.method("rome", {"lr": float("nan"), "layr": 2, "steps": True, "layer": -1})
    assert str(raised.value).splitlines() == [
        "rome.lr = nan: must be a number > 0",
        f"rome has no setting 'layr'; it has {', '.join(settings.declared(settings.Rome))}",
        "rome.steps = true: must be a whole number >= 1",
        "rome.layer = -1: must be >= 0",
    ]
    with pytest.raises(UserError, match="no method 'rom'; there are rome, r_rome"):
        settings.method("rom", {})
    with pytest.raises(UserError, match="layers must rise"):
        settings.method("memit", {"layers": [1, 1]})


def test_lists_become_tuples_and_whole_floats_integers() -> None:
    made = settings.method("memit", {"layers": [0, 1.0], "steps": 3.0, "lr": 1})
    assert (made.layers, made.steps, made.lr) == ((0, 1), 3, 1.0)
    assert all(isinstance(layer, int) for layer in made.layers)
    assert isinstance(made.lr, float)


WHOLE = Declared(name="n", kind=Annotated[int, Field(ge=1, lt=50)], default=1)


@given(
    st.integers() | st.floats() | st.booleans() | st.text(max_size=3) | st.lists(st.integers())
)
def test_whole_numbers(value: Any) -> None:
    allowed = isinstance(value, int | float) and not isinstance(value, bool)
    allowed = allowed and 1 <= value < 50 and value == int(value)
    if allowed:
        assert fields.check(WHOLE, value) == value
        assert isinstance(fields.check(WHOLE, value), int)
    else:
        with pytest.raises(ValueError, match=r"^must be "):
            fields.check(WHOLE, value)


def test_types_in_words() -> None:
    assert type_name(WHOLE.kind) == "a whole number >= 1 and < 50"
    assert type_name(tuple[fields.Layer, ...]) == "a list of whole numbers >= 0 and < 1000"
    assert type_name(fields.Seed) == "a whole number >= 0"
    assert type_name(fields.one_of(("a", "b", "c"))) == '"a", "b" or "c"'


@given(st.recursive(st.integers() | st.text() | st.floats(), st.lists, max_leaves=30))
def test_any_value_can_be_shown(value: Any) -> None:
    text = show(value)
    assert text.isprintable()
    assert len(text) < 60_000
    text.encode()


def test_values_are_shown_as_toml_writes_them() -> None:
    assert [show(v) for v in (True, 1.0, "é\n", [1, "a"], None, {"a": 1}, list(range(20)))] == [
        "true",
        "1.0",
        '"\\u00e9\\n"',
        '[1, "a"]',
        "nothing",
        "a table",
        "[0, 1, 2, 3, 4, 5, 6, 7, ...]",
    ]
    assert show(1 << 100_000) == "an integer of very many digits"


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [
        ("task.sclae", "task.scale"),
        ("modle.recipe", "model.recipe"),
        ("beta", "method.npo.beta"),
        ("task.nullspace", "method.alphaedit.nullspace"),
        ("task.neighbours", "probe.neighbors"),
        ("method.rom.layer", "method.rome.layer"),
        ("graph.paht", "graph.path"),
        ("xyz", None),
        ("z" * 100_000, None),
    ],
)
def test_the_nearest_name(given_name: str, meant: str | None) -> None:
    assert names(METHODS).nearest(given_name) == meant


def test_probes_are_explained_and_their_settings_exist() -> None:
    assert tuple(PROBES) == KINDS
    assert set(SETTINGS) < set(settings.declared(settings.Probe))
    assert {kind for kinds in SETTINGS.values() for kind in kinds} == set(KINDS)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("mechanism", ["planted", "plain"])
def test_recipes_resolve(recipe: str, mechanism: str) -> None:
    numbers = resolve(recipe, {}, mechanism)
    assert set(numbers) == set(RECIPES[recipe])
    own = {name: numbers[name] for name in ("steps", "width", "layers", "rows", "lr")}
    assert resolve(recipe, own, mechanism) == numbers  # defaults spelled out
    assert (numbers["far"] == numbers["layers"]) == (mechanism == "plain")


def test_a_wider_recipe_keeps_its_shape() -> None:
    numbers = resolve("tiny", {"width": RECIPES["tiny"]["width"] * 2}, "planted")
    assert numbers["mlp"] == RECIPES["tiny"]["mlp"] * 2
    with pytest.raises(ValueError, match=r"^width must be a multiple of"):
        resolve("tiny", {"width": 33}, "planted")
    with pytest.raises(ValueError, match=r"^layers must be > "):
        resolve("tiny", {"layers": 1}, "planted")


def test_the_table_for_people_has_every_setting_once() -> None:
    rows = settings.describe()
    assert len({(row["name"], row["of"]) for row in rows}) == len(rows) == len(EVERY)
    assert all(row["type"] and row["default"] and row["doc"] for row in rows)


def test_the_tables_of_methods_and_probes() -> None:
    rows = settings.describe_methods()
    assert [row["name"] for row in rows] == list(METHODS)
    assert all(all(row.values()) and "arXiv" in row["doc"] for row in rows)
    assert [row["name"] for row in settings.describe_probes()] == list(KINDS)


def test_settings_and_studies_load_nothing_heavy() -> None:
    code = "import sys, ksmith.study; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "transformers", "mlflow", "polars", "sqlmodel", "networkx", "numpy"}
    assert not heavy & set(done.stdout.split())


def test_every_method_says_what_it_does_in_each_task_or_why_not() -> None:
    rows = describe_tasks()
    assert [row["name"] for row in rows] == list(METHODS)
    choices = declared(Task)["neutral"].choices
    for row in rows:
        assert {"name", "edit", *(f"unlearn, {name}" for name in choices)} <= set(row)
        assert all(row.values())
        served = {task for task in ("edit", "unlearn") if not _refused(row, task)}
        assert served == set(METHODS[row["name"]].tasks)


def _refused(row: dict[str, str], task: str) -> bool:
    return all(told.startswith("no:") for name, told in row.items() if name.startswith(task))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_graph_is_said_to_have_aliases_where_it_has(share: float) -> None:
    values = {"source": "synthetic", **asdict(Synthetic(facts=300, aliases=share))}
    built = graph.build(values, {})
    assert aliased(values) == any(entity.aliases for entity in built.entities)
