"""[[finding]]: what is read, what is refused, and that no trial's identity knows of it."""

from pathlib import Path

import pytest

from ksmith.settings import METHODS, names
from ksmith.study import Finding, findings_in, read
from tests.study.files import ROME, keys, mistakes, only, written

CLAIM = """
[[finding]]
says    = "editing spreads further"
paper   = "KnowledgeSmith, finding 1"
measure = "efficacy.generated.known"
more    = { "task.kind" = "edit", task.scale = "> 1" }
less    = { "task.kind" = "unlearn" }
"""


def test_a_finding_is_read(tmp_path: Path) -> None:
    (finding,) = read(written(tmp_path, ROME + CLAIM)).findings
    assert (finding.says, finding.paper) == (
        "editing spreads further",
        "KnowledgeSmith, finding 1",
    )
    assert isinstance(finding.more, dict)
    assert {name: str(tests[0]) for name, tests in finding.more.items()} == {
        "task.kind": '= "edit"',
        "task.scale": "> 1",
    }
    assert (finding.margin, finding.more_from, len(finding.sides)) == (0.0, {}, 2)


def test_one_side_may_be_a_number_and_a_rise_has_a_start(tmp_path: Path) -> None:
    text = (
        '[[finding]]\nsays = "a"\nmeasure = "utility.loss"\nmargin = 0.05\nless = 0.9\n'
        'more = { "task.scale" = 10 }\nmore_from = { "task.scale" = 1 }\n'
    )
    (finding,) = read(written(tmp_path, ROME + text)).findings
    assert (finding.less, finding.margin, len(finding.sides)) == (0.9, 0.05, 2)


def test_what_no_trial_has_is_noted(tmp_path: Path) -> None:
    head = (
        '[[finding]]\nsays = "a"\nmeasure = "utility.loss"\nmore = { "task.kind" = "edit" }\n'
    )
    never = head + "less = { seed = [7, 8] }\n"
    same = head.replace('"a"', '"b"') + 'less = { "task.kind" = "edit" }\n'
    study = read(written(tmp_path, ROME + never + same))
    assert [note for note in study.notes if note.startswith("finding")] == [
        'finding "a": no trial has what less asks for (seed = 7 or = 8)',
        'finding "b": more and less are the same trials',
    ]


def test_findings_change_no_trial(tmp_path: Path) -> None:
    plain = only(written(tmp_path, ROME, "plain.toml"))
    claimed = only(written(tmp_path, ROME + CLAIM, "claimed.toml"))
    assert keys(plain) == keys(claimed)


def test_findings_of_a_stored_text_are_those_of_the_file(tmp_path: Path) -> None:
    study = read(written(tmp_path, ROME + CLAIM), ["seed=3"])
    assert findings_in(study.told, names(METHODS)) == study.findings


def test_a_stored_finding_that_this_code_does_not_know_is_left_out() -> None:
    text = ROME + CLAIM + CLAIM.replace("task.kind", "task.kidn")
    assert len(findings_in(text, names(METHODS))) == 1


START = '[[finding]]\nsays = "a"\nmeasure = "utility.loss"\n'
SIDES = 'more = { "task.scale" = 1 }\nless = 1\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[finding]]\n" + SIDES, ["x.toml:4: [[finding]] needs measure = a string"]),
        (
            START + "sayss = 3\n" + SIDES,
            ["x.toml:7: [[finding]] has no sayss; did you mean says"],
        ),
        (
            START.replace("utility.loss", "loss") + SIDES,
            ['x.toml:6: measure = "loss": must name a'],
        ),
        (START.replace('"a"', "3") + SIDES, ["x.toml:5: says = 3: must be a string"]),
        (START + "more = 1\nless = 2\n", ["x.toml:4: [[finding]] needs more and less, one of"]),
        (
            START + "more = {}\nless = 2\n",
            ["x.toml:4: [[finding]] needs more and less, one of"],
        ),
        (
            START + "more = nan\n" + "less = 1\n",
            ["x.toml:7: more = nan: must be conditions in"],
        ),
        (START + "more_from = 1\n" + SIDES, ["x.toml:7: more_from = 1: must be conditions in"]),
        (START + "margin = true\n" + SIDES, ["x.toml:7: margin = true: must be a number"]),
        (
            START + 'less = 1\nmore = { "task.sclae" = 1 }\n',
            ["x.toml:8: no setting task.sclae"],
        ),
        (
            START + 'less = 1\nmore = { "task.scale" = "x" }\n',
            ['task.scale is compared with "x"'],
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, expected: list[str]) -> None:
    lines = mistakes(written(tmp_path, ROME + text))
    for start in expected:
        assert any(start in line for line in lines), lines


def test_a_finding_can_only_be_changed_in_the_file(tmp_path: Path) -> None:
    lines = mistakes(written(tmp_path, ROME + CLAIM), 'finding={says="b"}')
    assert "[[finding]] can only be changed in the file" in lines[0]


def test_a_finding_without_a_table_side_is_never_made(tmp_path: Path) -> None:
    for finding in read(written(tmp_path, ROME + CLAIM)).findings:
        assert isinstance(finding, Finding)
        assert finding.sides
