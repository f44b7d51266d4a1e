"""Derived numbers count where the facts that they are about were held before the update."""

from dataclasses import asdict
from typing import Any

import polars as pl
import pytest

from ksmith.measures import metrics, reliable
from tests.measures.rows import Trial


def frame(*rows: tuple[int, str, str, float | None], trial: str = "a") -> pl.DataFrame:
    """Return metrics of multi_hop at hop 2: step, measure, slice, low."""
    return pl.DataFrame(
        [
            {"trial": trial, "step": step, "probe": "multi_hop", "measure": measure}
            | {"slice": part, "hop": 2, "low": low}
            for step, measure, part, low in rows
        ],
        schema_overrides={"low": pl.Float64},
    )


AFTER = (1, "accuracy", "derived", 0.2)
LEFT = (1, "residual", "known.derived", 0.2)


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ((0, "recalled_scored", "derived", 0.05), ["accuracy"]),
        ((0, "recalled_scored", "derived", -0.05), []),
        ((0, "recalled_scored", "derived", None), []),  # too few to say
        ((0, "recalled_scored", "known.derived", 0.5), []),  # chosen for it
        ((0, "recalled", "derived", 0.05), ["residual"]),
        ((0, "residual", "derived", 0.9), []),
    ],
)
def test_each_number_goes_by_its_own_facts(
    before: tuple[int, str, str, float | None], shown: list[str]
) -> None:
    found = reliable(frame(before, AFTER, LEFT))
    assert found.filter(pl.col("step") == 1)["measure"].to_list() == shown
    gates = found.filter(pl.col("step") == 0)["measure"].to_list()
    assert gates == ([] if before[1] == "residual" else [before[1]])  # the gates stay


def test_other_numbers_stay_and_trials_speak_for_themselves() -> None:
    stored = (1, "accuracy", "stored", 0.1)
    held = (0, "recalled_scored", "derived", 0.3)
    table = pl.concat([frame(held, AFTER), frame(AFTER, stored, trial="b")])
    found = reliable(table)
    assert found.columns == table.columns
    assert found.filter(trial="a").height == 2
    assert found.filter(trial="b")["slice"].to_list() == ["stored"]


def test_rows_without_hops_are_joined_to_each_other() -> None:
    trial = Trial()
    for number in range(30):
        more: dict[str, Any] = {"request": f"{number}.0", "of_type": (0, 1), "stored": False}
        question = trial.ask("reverse", ["new", "old"], **more)
        for step in (0, 1):
            trial.answer(step, question, {"new": (-2, 1), "old": (-1, 1)})
    rows = [asdict(metric) for metric in metrics(trial.rows(), 0)]
    table = pl.DataFrame(rows, infer_schema_length=None)
    found = reliable(table, by=())
    after = found.filter(step=1, slice="derived")["measure"].to_list()
    assert {"accuracy", "residual", "success"} <= set(after)
