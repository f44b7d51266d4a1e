"""Where answers are sentences, creating a study says which defaults do not serve them."""

from pathlib import Path

import pytest

from ksmith.settings import METHODS, declared
from ksmith.settings.unlearning import Unlearning
from tests.cli.test_fits import planned
from tests.graph.test_qa import STUDY, pair, saved

TOLD = "graph.forget: its answers have "
SHORT = [pair(i, answer=f"in town {i}") for i in range(6)]
UNFIT = {
    name: kind.unfit
    for name, kind in METHODS.items()
    if issubclass(kind, Unlearning) and kind.unfit
}
WANTING: dict[str, dict[str, float]] = {
    name: kind.sentences
    for name, kind in METHODS.items()
    if issubclass(kind, Unlearning) and kind.sentences
}


def told(folder: Path, study: str = STUDY) -> str:
    """Return the line about sentences; "" where there is none."""
    done = planned(folder, study)
    assert done.exit_code == 0, done.output
    return next((line for line in done.stderr.splitlines() if TOLD in line), "")


@pytest.mark.parametrize("method", WANTING)
def test_what_serves_sentences_is_said_where_defaults_do_not(
    tmp_path: Path, method: str
) -> None:
    saved(tmp_path)
    study = STUDY.replace("npo", method)
    line = told(tmp_path, study)
    values = [f"{name} = {value:g}" for name, value in WANTING[method].items()]
    assert f"{TOLD}15 words (median)" in line
    assert f"{method} did better with {' and '.join(values)} " in line
    given = study.replace("= {}", f"= {{{', '.join(values)}}}")
    assert told(tmp_path, given) == ""


def test_nothing_is_said_of_short_answers_of_edits_and_of_who_needs_nothing(
    tmp_path: Path,
) -> None:
    saved(tmp_path)
    assert told(tmp_path, STUDY.replace('"unlearn"', '"edit"')) == ""
    assert told(tmp_path, STUDY.replace("npo", "wga")) == ""
    saved(tmp_path, forget=SHORT)
    assert told(tmp_path) == ""


def test_what_no_setting_mended_is_said(tmp_path: Path) -> None:
    saved(tmp_path)
    study = STUDY.replace("method.npo = {}", "").replace('"npo"', '"rmu"')
    assert f"on sentences rmu {UNFIT['rmu']} (" in told(tmp_path, study)
    assert not {*UNFIT} & {*WANTING}


@pytest.mark.parametrize("method", WANTING)
def test_what_is_advised_are_settings_of_the_method(method: str) -> None:
    items = declared(METHODS[method])
    assert all(value != items[name].default for name, value in WANTING[method].items())
