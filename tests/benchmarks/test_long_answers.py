"""People's lines are good files, what is chosen goes by the rule, the table is of the results."""

from pathlib import Path

import pytest

from ksmith import graph
from ksmith.settings import METHODS
from ksmith.unlearn import UNLEARNERS
from tests.benchmarks import long_answers, people
from tests.benchmarks.long_answers import NEVER, UNEDITED, Line


def test_lines_about_people_are_files_of_questions_with_sentences(tmp_path: Path) -> None:
    known = graph.build({"source": "qa", "seed": 3}, people.written(tmp_path, 3))
    each = len(people.ASKED)
    assert len(known.facts) == each * (people.PEOPLE["forget"] + people.PEOPLE["retain"])
    assert len(known.holdout) == each * people.PEOPLE["holdout"]
    answers = [fact.object for fact in (*known.facts, *known.holdout)]
    assert len({*answers}) > 0.95 * len(answers)  # what is said is each one's own
    assert all(9 <= len(answer.split()) <= 30 for answer in answers)
    twice = graph.build({"source": "qa", "seed": 3}, people.twice(tmp_path, 3))
    assert not {f.subject for f in twice.facts} & {f.subject for f in known.facts}
    assert people.lines(3) == people.lines(3) != people.lines(4)


def test_the_page_shows_what_was_confirmed() -> None:
    found = long_answers.saved()
    rows = {line.method for line in found if line.stage == "confirmed"}
    assert {UNEDITED, NEVER, "npo"} <= rows
    assert {line.method for line in found if not line.own} == {UNEDITED, NEVER, *UNLEARNERS}
    assert all(line.low <= line.value <= line.high and line.n > 1 for line in found)
    page = long_answers.PAGE.read_text(encoding="utf-8")
    shown = f"{long_answers.BEGIN}{long_answers.table(found)}\n{long_answers.END}"
    assert shown in page


@pytest.mark.parametrize("method", UNLEARNERS)
def test_what_is_advised_was_chosen_by_the_rule_and_confirmed(method: str) -> None:
    found, own = long_answers.saved(), dict(getattr(METHODS[method], "sentences", {}))
    if own:
        assert own == long_answers.chosen(found, method)
        assert long_answers.of(found, "confirmed", method, own)
    else:
        assert long_answers.of(found, "tried", method, own)


def test_of_what_keeps_enough_the_one_that_forgets_most_is_chosen() -> None:
    tried = [("npo", {}), ("npo", {"beta": 0.1}), ("npo", {"beta": 0.3})]
    before = numbers(UNEDITED, {}, 1.0, 1.0)
    few, most = numbers("npo", {}, 0.4, 0.99), numbers("npo", {"beta": 0.3}, 0.2, 0.96)
    harms = numbers("npo", {"beta": 0.1}, 0.1, 0.94)
    found = [*before, *few, *most, *harms]
    assert long_answers.left(found, "tried", "npo", {"beta": 0.3})[1] == pytest.approx(0.96)
    assert long_answers.chosen(found, "npo", tried) == {"beta": 0.3}
    assert long_answers.chosen([*before, *harms], "npo", tried[1:2]) == {"beta": 0.1}


def line(method: str, own: dict[str, float], name: str, value: float, n: int = 10) -> Line:
    return Line(
        stage="tried", method=method, own=own, name=name, value=value, low=0, high=1, n=n
    )


def numbers(method: str, own: dict[str, float], old: float, stays: float) -> list[Line]:
    names = {"forget": old, "reworded": old, "near": stays - 0.03, "far": stays + 0.01}
    sizes = {"near": 10, "far": 30}
    return [
        line(method, own, f"{name} probability", value, sizes.get(name, 20))
        for name, value in names.items()
    ]
