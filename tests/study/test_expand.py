"""Grids: every combination, each once, against single trials written out by hand."""

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ksmith.records import canonical
from ksmith.settings import METHODS, names
from ksmith.study import Point, read
from ksmith.study.check import check
from ksmith.study.declarations import collect
from ksmith.study.expand import count
from ksmith.study.mistakes import Mistakes
from ksmith.study.source import read_file
from tests.study.files import HEAD, ROME, mistakes, only, written

AXES: dict[str, list[Any]] = {
    "task.method": ["rome", "memit", "npo"],
    "task.scale": [1, 3, 10],
    "task.level": ["any", "leaf"],
    "method.npo.beta": [0.05, 0.1],
    "method.memit.layers": [[0], [0, 1]],
    "model.recipe": ["tiny", "small"],
    "graph.facts": [300, 400],
    "seed": [0, 1, 2],
}
DEFAULTS = {
    "task.scale": 1,
    "task.level": "any",
    "seed": 0,
    "graph.facts": 1000,
    "task.draws": 20,
}


def toml(axes: dict[str, list[Any]], zipped: tuple[str, ...] = (), rest: str = "") -> str:
    grid = {name: values for name, values in axes.items() if name not in zipped}
    text = HEAD
    for table, part in (("[grid]", grid), ("[[zip]]", {name: axes[name] for name in zipped})):
        if part:
            text += f"{table}\n" + "".join(
                f'"{k}" = {json.dumps(v)}\n' for k, v in part.items()
            )
    return text + rest


def single(folder: Path, values: dict[str, Any]) -> str:
    """Return the settings of a file that gives one value each and has no axis."""
    return _single(folder, json.dumps({"task.draws": 20} | values))


@functools.cache
def _single(folder: Path, values: str) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in json.loads(values).items()]
    text = "\n".join([*lines, HEAD])
    return canonical(only(written(folder, text, "single.toml")).settings)


def holds(condition: str, value: Any) -> bool:
    return bool(
        eval(f"value {condition}", {"value": value})
    )  # "> 3", "!= 1": our own constants


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grids")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_grid_is_its_single_trials(folder: Path, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(AXES)), max_size=4)) | {"task.method"}
    axes = {
        name: data.draw(
            st.lists(st.sampled_from(AXES[name]), min_size=1, max_size=3, unique_by=str)
        )
        for name in data.draw(st.permutations(sorted(chosen)))
    }
    zipped = data.draw(st.sampled_from([(), tuple(list(axes)[:2]), tuple(list(axes)[-2:])]))
    assume(len({len(axes[name]) for name in zipped}) <= 1)
    condition = data.draw(st.sampled_from(["> 1", ">= 10", "< 3", "<= 0", "!= 3", "== 10"]))
    excluded = data.draw(st.sampled_from(["rome", "memit"]))
    text = toml(
        axes,
        zipped,
        f'[[when]]\nif = {{ "task.scale" = "{condition}" }}\nset = {{ "task.draws" = 3 }}\n'
        f'[[exclude]]\n"task.method" = "{excluded}"\n"task.draws" = [3, 7]\n',
    )

    expected: dict[str, None] = {}
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        rows = {axes[name].index(values[name]) for name in zipped}
        if len(rows) > 1:
            continue
        if holds(condition, values.get("task.scale", 1)):
            values["task.draws"] = 3
        if values["task.method"] == excluded and values.get("task.draws") == 3:
            continue
        expected[single(folder, values)] = None

    path = written(folder, text)
    if not expected:
        assert "no trial is left" in mistakes(path)[0]
        return
    points = read(path).points
    found = [canonical(point.settings) for point in points]
    assert len(set(found)) == len(found)
    assert set(found) == set(expected)
    for point in points:
        for name, value in point.axes.items():
            assert value == setting(point, name)


def setting(point: Point, name: str) -> Any:
    section, _, leaf = name.rpartition(".")
    return point.settings[section.split(".")[0]][leaf] if section else point.settings[leaf]


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_count_needs_no_expansion(folder: Path, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(AXES)), max_size=5)) | {"task.method"}
    axes = {name: AXES[name] for name in sorted(chosen)}
    path = written(folder, toml(axes))
    source, problems, known = read_file(path), Mistakes(), names(METHODS)
    plan = check(collect(source, known, problems), known, source.at(), problems)
    # None of these axes makes a trial twice, so that the count is that of the trials.
    assert count(plan, known) == len(read(path).points)


def test_the_first_axis_varies_slowest(tmp_path: Path) -> None:
    axes = {"seed": [3, 1], "task.method": ["npo", "rome"], "task.scale": [10, 1]}
    points = read(written(tmp_path, toml(axes))).points
    found = [tuple(point.axes.values()) for point in points]
    assert found == list(itertools.product(*axes.values()))


def test_a_method_axis_exists_only_where_its_method_does(tmp_path: Path) -> None:
    text = (
        HEAD
        + '[method.npo.grid]\nbeta = [0.05, 0.1]\n[grid]\n"task.method" = ["rome", "npo"]\n'
    )
    study = read(written(tmp_path, text))
    assert [point.axes for point in study.points] == [
        {"task.method": "rome"},
        {"method.npo.beta": 0.05, "task.method": "npo"},
        {"method.npo.beta": 0.1, "task.method": "npo"},
    ]
    assert study.axes == {"method.npo.beta": [0.05, 0.1], "task.method": ["rome", "npo"]}


def test_zipped_axes_vary_together(tmp_path: Path) -> None:
    text = ROME + '[[zip]]\n"graph.facts" = [300, 900]\n"model.recipe" = ["tiny", "small"]\n'
    points = read(written(tmp_path, text)).points
    pairs = [(p.settings["graph"]["facts"], p.settings["model"]["recipe"]) for p in points]
    assert pairs == [(300, "tiny"), (900, "small")]


def test_later_whens_see_what_earlier_ones_set(tmp_path: Path) -> None:
    text = ROME + (
        '[[when]]\nif = { "task.scale" = 1 }\nset = { "task.draws" = 50 }\n'
        '[[when]]\nif = { "task.draws" = "> 20", "task.kind" = "edit" }\nset = { seed = 9 }\n'
    )
    settings = only(written(tmp_path, text)).settings
    assert (settings["task"]["draws"], settings["seed"]) == (50, 9)


def test_conditions_see_defaults_and_what_recipes_say(tmp_path: Path) -> None:
    text = HEAD + (
        '[grid]\n"task.method" = ["rome", "npo"]\n"model.recipe" = ["tiny", "small"]\n'
        '[[exclude]]\n"method.npo.beta" = 1.0\n"model.layers" = "> 4"\n'
    )
    points = read(written(tmp_path, text)).points
    pairs = [(p.axes["task.method"], p.axes["model.recipe"]) for p in points]
    assert pairs == [("rome", "tiny"), ("rome", "small"), ("npo", "tiny")]


def test_a_list_of_probes_is_one_value(tmp_path: Path) -> None:
    text = ROME + (
        '[grid]\n"probe.kinds" = [["utility", "efficacy"], ["reverse"]]\n'
        '[[exclude]]\n"probe.kinds" = ["efficacy", "utility"]\n'
    )
    point = only(written(tmp_path, text))
    assert point.settings["probe"]["kinds"] == ["reverse"]


def test_points_that_come_out_the_same_are_one_trial(tmp_path: Path) -> None:
    text = ROME + (
        '[probe]\nkinds = ["efficacy"]\n[grid]\n"probe.hops" = [1, 2, 3]\n'
        '"task.scale" = [1, 2]\n'
        '[[when]]\nif = { "task.scale" = "> 1" }\nset = { "task.scale" = 1 }\n'
    )
    study = read(written(tmp_path, text))
    assert len(study.points) == 1
    assert study.notes == ["5 combinations repeat another trial"]


def test_dotted_axes_need_no_quotes(tmp_path: Path) -> None:
    quoted = written(tmp_path, ROME + '[grid]\n"task.scale" = [1, 2]\n')
    plain = written(tmp_path, ROME + "[grid]\ntask.scale = [1, 2]\n", "y.toml")
    assert read(quoted).points == read(plain).points


def test_numbers_defaults_match_the_written_ones() -> None:
    for name, value in DEFAULTS.items():
        (own, *_) = names(METHODS).owners[name].values()
        assert own.default == value
