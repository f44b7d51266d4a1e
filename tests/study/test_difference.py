"""What changed between two versions of a study."""

import json
from pathlib import Path

from ksmith.study import difference, read
from tests.study.files import HEAD, written

TEXT = (
    HEAD
    + """\
[task]
draws = 5
[grid]
"task.method" = ["rome", "npo"]
"task.scale" = [1, 10]
[[exclude]]
"task.method" = "rome"
"task.scale" = 10
"""
)


def grids(folder: Path, old: str, new: str) -> list[str]:
    kept = json.dumps(read(written(folder, old)).grid)  # as a store keeps it
    return difference(json.loads(kept), read(written(folder, new)).grid)


def test_nothing_changed(tmp_path: Path) -> None:
    assert grids(tmp_path, TEXT, TEXT) == []
    assert grids(tmp_path, TEXT, TEXT.replace("[1, 10]", "[10.0, 1]")) == []
    assert grids(tmp_path, TEXT, TEXT.replace("draws = 5", "draws = 5\nkind = 'edit'")) == []


def test_each_change_is_a_line(tmp_path: Path) -> None:
    new = TEXT.replace("[1, 10]", "[1, 10, 100]").replace('"npo"]', '"memit"]')
    lines = grids(tmp_path, TEXT, new.replace("draws = 5", "draws = 6"))
    assert "task.scale: 1, 10 -> 1, 10, 100" in lines
    assert "task.draws: 5 -> 6" in lines
    assert 'task.method: "rome", "npo" -> "rome", "memit"' in lines
    assert lines[-1] == "trials: 3 -> 5"
    assert len(lines) == 4  # what comes along with a method is no news
    assert grids(tmp_path, TEXT, TEXT + "[method.npo]\nbeta = 0.7\n") == [
        "method.npo.beta: 1.0 -> 0.7"
    ]
    assert grids(tmp_path, TEXT, TEXT + '[model]\nrecipe = "small"\n') == [
        'model.recipe: "tiny" -> "small"'
    ]


def test_a_rule_alone(tmp_path: Path) -> None:
    new = TEXT.replace('"task.scale" = 10\n', '"task.scale" = 1\n')
    assert grids(tmp_path, TEXT, new) == [
        'no longer: [[exclude]] task.method = "rome", task.scale = 10',
        'new: [[exclude]] task.method = "rome", task.scale = 1',
    ]


def test_long_rules_and_zips_are_compared_in_full(tmp_path: Path) -> None:
    seeds = list(range(50))
    text = TEXT + f'[[zip]]\nseed = {seeds}\n"model.seed" = {seeds}\n'
    other = TEXT + f'[[zip]]\nseed = {seeds}\n"model.seed" = {seeds[::-1]}\n'
    assert [line.split(" ")[0] for line in grids(tmp_path, text, other)] == ["no", "new:"]
    old, new = (
        TEXT + f"[[exclude]]\nseed = {[7, *some]}\n" for some in (seeds[9:], seeds[10:])
    )
    assert len(grids(tmp_path, old, new)) == 2
