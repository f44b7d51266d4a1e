"""`--set key=value`."""

from pathlib import Path

import pytest

from ksmith.study import read
from tests.study.files import HEAD, ROME, mistakes, only, written

GRID = (
    HEAD
    + '[task]\nlevel = "leaf"\n[grid]\n"task.method" = ["rome", "npo"]\n'
    + '"task.scale" = [1, 10]\n'
)
ZIP = ROME + '[[zip]]\n"task.scale" = [1, 10]\n"task.draws" = [5, 2]\n'


def axis(path: Path, name: str, *overrides: str) -> list[object]:
    return [point.axes.get(name) for point in read(path, overrides).points]


def test_values_are_toml_or_else_text(tmp_path: Path) -> None:
    path = written(tmp_path, ROME)
    sets = (
        "task.level=leaf",
        "task.scale = 3",
        "method.rome.lr=1",
        "seed=7",
        'task.kind="unlearn"',
    )
    settings = only(path, *sets).settings
    assert settings["task"] == {
        "kind": "unlearn",
        "method": "rome",
        "level": "leaf",
        "scale": 3,
        "draws": 20,
        "neutral": "abstain",
    }
    assert (settings["method"]["lr"], settings["seed"]) == (1.0, 7)
    study = read(path, ["name=new-name", "question=Is 1 = 1?"])
    assert (study.name, study.question) == ("new-name", "Is 1 = 1?")
    assert study.overrides == ("name=new-name", "question=Is 1 = 1?")
    assert study.text == ROME


def test_what_looks_like_a_number_is_text_where_text_is_asked(tmp_path: Path) -> None:
    point = only(written(tmp_path, ROME), "model.load=gpt2", "model.revision=1234567")
    assert point.settings["model"]["revision"] == "1234567"
    assert read(written(tmp_path, ROME), ["name=2024"]).name == "2024"


def test_the_last_of_several_counts(tmp_path: Path) -> None:
    assert only(written(tmp_path, ROME), "seed=1", "seed=2").settings["seed"] == 2


@pytest.mark.parametrize(
    "override", ['grid."task.scale"=[3, 4]', "grid.task.scale=[3, 4]", "task.scale=[3, 4]"]
)
def test_an_axis_is_replaced_by_name(tmp_path: Path, override: str) -> None:
    path = written(tmp_path, GRID)
    assert axis(path, "task.scale", override) == [3, 4, 3, 4]


def test_one_value_for_an_axis(tmp_path: Path) -> None:
    path = written(tmp_path, GRID)
    assert axis(path, "task.scale", "task.scale=7") == [7, 7]
    assert axis(path, "task.method", "task.method=npo") == ["npo", "npo"]


def test_a_value_becomes_an_axis(tmp_path: Path) -> None:
    path = written(tmp_path, GRID)
    sets = ["task.method=rome", "task.scale=1", 'grid."task.level"=["root", "leaf"]']
    assert axis(path, "task.level", *sets) == ["root", "leaf"]
    assert axis(path, "method.npo.beta", "method.npo.grid.beta=[0.1, 0.2]", "task.scale=1") == [
        None,
        0.1,
        0.2,
    ]


def test_lists_of_lists(tmp_path: Path) -> None:
    path = written(
        tmp_path, HEAD + '[task]\nmethod = "memit"\n[method.memit.grid]\nlayers = [[0]]\n'
    )
    assert axis(path, "method.memit.layers", "method.memit.layers=[1]") == [[1]]
    assert axis(path, "method.memit.layers", "method.memit.layers=[[1], [0, 1]]") == [
        [1],
        [0, 1],
    ]


def test_zipped_axes(tmp_path: Path) -> None:
    path = written(tmp_path, ZIP)
    assert axis(path, "task.scale", "task.scale=[3, 4]") == [3, 4]
    assert [list(point.axes.values()) for point in read(path, ["task.scale=3"]).points] == [
        [3, 5],
        [3, 2],
    ]
    assert mistakes(path, "task.scale=[1, 2, 3]") == [
        "--set task.scale=[1, 2, 3]: zipped axes need as many values each: "
        "task.scale has 3, task.draws has 2"
    ]


def test_overrides_stand_above_when(tmp_path: Path) -> None:
    text = (
        GRID + '[[when]]\nif = { "task.scale" = "> 1" }\nset = { "task.draws" = 3, seed = 1 }\n'
    )
    path = written(tmp_path, text)
    study = read(path, ["task.draws=8"])
    assert {point.settings["task"]["draws"] for point in study.points} == {8}
    assert {point.settings["seed"] for point in study.points} == {0, 1}
    assert study.notes == ["--set task.draws=8 stands above the [[when]] that sets task.draws"]


def test_what_an_override_replaces_is_not_checked(tmp_path: Path) -> None:
    written(tmp_path, "[]", "here.json")
    text = ROME + '[graph]\nsource = "counterfact"\npath = "nowhere.json"\nrecords = -4\n'
    path = written(tmp_path, text)
    assert only(path, f"graph.path={tmp_path}/here.json", "graph.records=5").files


def test_another_source_or_model_takes_its_settings_along(tmp_path: Path) -> None:
    written(tmp_path, "[]", "r.json")
    path = written(
        tmp_path, ROME + '[graph]\nfacts = 300\n[model]\nrecipe = "small"\nsteps = 9\n'
    )
    sets = ["graph.source=counterfact", f"graph.path={tmp_path}/r.json", "model.load=gpt2"]
    study = read(path, sets)
    (point,) = study.points
    assert point.settings["model"] == {
        "version": 1,
        "load": "gpt2",
        "revision": "main",
        "dtype": "float32",
    }
    assert len([note for note in study.notes if "is left out" in note]) == 3
    # What the file says on its own is still held against it.
    assert len(mistakes(written(tmp_path, ROME + "[graph]\nrecords = 3\n"))) == 1


def test_paths_are_relative_to_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("file", "shell"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, json_of(name), "r.json")
    text = ROME + '[graph]\nsource = "counterfact"\npath = "r.json"\n'
    path = written(tmp_path / "file", text)
    monkeypatch.chdir(tmp_path / "shell")
    assert only(path).files["graph.path"] == str(tmp_path / "file" / "r.json")
    assert only(path, "graph.path=r.json").files["graph.path"] == str(
        tmp_path / "shell" / "r.json"
    )
    assert only(Path("../file/x.toml")).files == only(path).files


def json_of(name: str) -> str:
    return f'["{name}"]'


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.scale", "write --set key=value, such as --set task.scale=10"),
        ("=1", "write --set key=value, such as --set task.scale=10"),
        ("task..scale=1", "write --set key=value, such as --set task.scale=10"),
        (
            "task.scal=1",
            "no setting task.scal; did you mean task.scale? "
            "task has kind, method, level, forget, relation, scale, share, draws, neutral, gold, "
            "sequence, batch, checkpoints",
        ),
        ("task.scale=ten", 'task.scale = "ten": must be a whole number >= 1'),
        ("task.scale=", 'task.scale = "": must be a whole number >= 1'),
        (
            "task.draws=[1, 2]",
            "task.draws = [1, 2]: must be a whole number >= 1; a list here is one value: "
            'to vary it, write "task.draws" = [...] under [grid]',
        ),
        ("grid.task.scale=[]", "task.scale has no values"),
        ("exclude.seed=1", "[[exclude]] can only be changed in the file"),
        ("graph.records=3", None),
        (
            "model.load=./nowhere",
            'model.load = "./nowhere": no such folder, and no name on the hub',
        ),
    ],
)
def test_mistakes_name_the_override(tmp_path: Path, override: str, message: str | None) -> None:
    expected = message or (
        "graph.records belongs to the source counterfact or zsre, and this study's is synthetic"
    )
    assert mistakes(written(tmp_path, GRID), override) == [f"--set {override}: {expected}"]
