"""What is written counts by any name of the answer, and by nothing else."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.measures import frame, metrics, steps
from ksmith.measures.metrics import facts
from ksmith.measures.prepared import plain
from tests.measures.rows import Trial

SAID = {"new": (-1.0, 1), "old": (-2.0, 1), "third": (-3.0, 1)}
NAMES: dict[str, Any] = {"aliases": ("Nova", "N. N."), "aliases_before": ("Ancien",)}


def written(text: str, before: str = "old", **more: Any) -> dict[str, float]:
    """Return the metrics of step 1 of one question, whose answers have other names."""
    trial = Trial()
    question = trial.ask("efficacy", list(SAID), **(NAMES | more))
    trial.answer(0, question, SAID, text=before)
    trial.answer(1, question, SAID, text=text)
    return {name: m.value for (step, name), m in trial.metrics().items() if step == 1}


@pytest.mark.parametrize(
    ("text", "new", "old"),
    [
        ("Nova", 1, 0),
        ("nova.", 1, 0),
        ("N . N", 1, 0),
        ("new", 1, 0),
        ("ancien", 0, 1),
        ("old", 0, 1),
        ("Nova and more", 0, 0),
        ("Nov", 0, 0),
        ("third", 0, 0),
        ("", 0, 0),
    ],
)
def test_an_alias_is_as_good_as_the_name(text: str, new: int, old: int) -> None:
    found = written(text)
    assert (found["efficacy.generated"], found["efficacy.residual_generated"]) == (new, old)
    assert (found["spread.direct_generated"], found["spread.rr_generated"]) == (new, old)


def test_without_aliases_only_the_name_counts() -> None:
    found = written("Nova", aliases=(), aliases_before=())
    assert found["efficacy.generated"] == 0


def test_probabilities_are_of_names_alone() -> None:
    with_, without = written("Nova"), written("new", aliases=(), aliases_before=())
    assert with_ == without


def kept(before: str, after: str) -> dict[str, float]:
    """Return the metrics of an answer that should stay."""
    trial = Trial()
    question = trial.ask(
        "neighborhood",
        list(SAID),
        right="old",
        before="old",
        rival="new",
        set="neighbour",
        aliases=("Ancien",),
        aliases_before=("Ancien",),
    )
    trial.answer(0, question, SAID, text=before)
    trial.answer(1, question, SAID, text=after)
    return {name: m.value for (step, name), m in trial.metrics().items() if step == 1}


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [("old", "Ancien", 1), ("ancien", "old .", 1), ("old", "third", 0), ("third", "old", 0)],
)
def test_another_name_of_what_was_said_is_no_change(before: str, after: str, same: int) -> None:
    found = kept(before, after)
    assert found["neighborhood.kept_generated"] == same
    assert found["spread.ccr_generated"] == 1 - same


def test_rows_of_before_there_were_aliases_are_counted_as_they_were() -> None:
    trial = Trial()
    trial.add("efficacy", SAID, text="new")
    rows = trial.rows(1).drop("aliases", "aliases_before")
    assert {m.name: m.value for m in metrics(rows, 0)}["efficacy.generated"] == 1


def plainly(text: str) -> str:
    return pl.select(plain(pl.lit(text))).item()


MEASURED = ("generated", "residual_generated")
NAME = st.text("aB .é-", min_size=1, max_size=4).filter(plainly)


@settings(deadline=None, max_examples=20)
@given(
    names=st.lists(NAME, min_size=4, max_size=7, unique_by=plainly),
    text=st.one_of(st.none(), NAME),
    place=st.integers(0, 6),
    shared=st.booleans(),
)
def test_an_answer_is_right_if_and_only_if_it_is_a_name_of_the_right_one(
    names: list[str], text: str | None, place: int, shared: bool
) -> None:
    """Names are cut in two: new and its aliases, old and its aliases; `text` is one, or any."""
    new, old = names[:2], names[2:]
    said = {new[0]: (-1.0, 1), old[0]: (-2.0, 1)}
    given_text = names[place % len(names)] if text is None else text
    trial = Trial()
    question = trial.ask(
        "efficacy",
        list(said),
        right=new[0],
        before=new[0] if shared else old[0],
        rival=old[0],
        aliases=tuple(new[1:]),
        aliases_before=tuple(new[1:] if shared else old[1:]),
    )
    trial.answer(1, question, said, text=given_text)
    rows = facts(trial.rows(1), ("",), MEASURED, several=False)
    found = dict(rows.select("measure", "value").iter_rows())
    right = plainly(given_text) in map(plainly, new)
    still = plainly(given_text) in map(plainly, new if shared else old)
    assert found == {"generated": right, "residual_generated": still}


def test_the_table_keeps_them() -> None:
    trial = Trial()
    question = trial.ask("efficacy", list(SAID), **NAMES)
    trial.answer(0, question, SAID)
    trial.answer(1, question, SAID)
    rows = steps(frame(trial.questions, trial.said[0], 0), frame(trial.questions, [], 1))
    for name, aliases in NAMES.items():
        assert rows[name].to_list() == [list(aliases)] * 2
