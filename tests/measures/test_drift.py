"""From tensors.parquet to metrics, and the three terms of the objective."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from ksmith.measures import DRIFT, OBJECTIVE, log_min_max, metrics, tensors
from ksmith.records import Metric
from tests.measures.rows import Trial


@dataclass(frozen=True)
class Row:
    draw: int
    measure: str
    value: float
    step: int = 1
    parameter: str | None = None
    layer: int | None = None
    question: str | None = None


def trial(draws: int = 2) -> Trial:
    """Return a trial of `draws` draws, with one question of Q+ and two of Q- each."""
    made = Trial()
    for draw in range(draws):
        request = f"{draw}.0"
        made.add("efficacy", {"new": (-2.0, 2), "old": (-9, 1)}, request=request)
        for fact in ("near", "far"):
            more: dict[str, Any] = {"set": "neighbour", "right": "old", "rival": "new"}
            made.add(
                "neighborhood", {"new": (-2.0, 1), "old": (-1, 1)}, request=request,
                fact=f"{fact} {draw}", **more,
            )  # fmt: skip
    return made


def measured(made: Trial, rows: list[Row]) -> dict[tuple[int, str], Metric]:
    return {(m.step, m.name): m for m in metrics(made.rows(), 0, tensors(rows))}


def test_divergence_is_a_mean_over_facts_and_preservation_is_that_of_q_minus() -> None:
    made = trial()
    ids = [q.id for q in made.questions]
    values = [4.0, 1.0, 0.0, 8.0, 2.0, 3.0]
    found = measured(
        made, [Row(int(i[0]), "kl", v, question=i) for i, v in zip(ids, values, strict=True)]
    )
    assert (found[1, "drift.kl"].value, found[1, "drift.kl"].n) == (3, 6)
    assert found[1, "drift.kl.should_change"].value == 6
    kept = found[1, "drift.kl.should_stay"]
    assert (kept.value, kept.n) == (1.5, 4)
    preservation = found[1, "objective.preservation"]
    assert (preservation.value, preservation.low, preservation.high) == (
        kept.value,
        kept.low,
        kept.high,
    )


def test_task_is_nats_a_token_of_the_new_answer_before_and_after() -> None:
    found = measured(trial(), [])
    assert (found[1, "objective.task"].value, found[1, "objective.task"].n) == (1, 2)
    assert (1, "objective.task.entailed") not in found


def test_task_towards_all_objects_alike() -> None:
    made = Trial()
    said = {"a": (-1.0, 1), "b": (-2.0, 1), "old": (-6.0, 1), "elsewhere": (-50.0, 1)}
    made.add("efficacy", said, right=None, rival=None, of_type=(0, 1, 2))
    assert measured(made, [])[1, "objective.task"].value == 3


def test_change_is_of_all_parameters_and_counts_updates() -> None:
    rows = [
        *(Row(0, "norm", 3.0, parameter="a"), Row(0, "relative", 0.5, parameter="a")),
        *(Row(0, "norm", 4.0, parameter="b"), Row(0, "relative", 0.5, parameter="b")),
        *(Row(1, "norm", 0.0, parameter="a"), Row(1, "relative", 0.0, parameter="a")),
    ]
    found = measured(trial(), rows)
    assert (found[1, "objective.change"].value, found[1, "objective.change"].n) == (12.5, 2)
    # Of draw 0: 5 beside sqrt(6^2 + 8^2); draw 1 changed nothing.
    assert found[1, "objective.change_relative"].value == pytest.approx(0.25)


def test_states_and_matrices_by_layer() -> None:
    rows = [
        Row(draw, "cka", 1 - layer / 10, layer=layer) for draw in (0, 1) for layer in (0, 1)
    ]
    rows += [Row(draw, "scaling", 1.0 + draw, parameter="w", layer=1) for draw in (0, 1)]
    rows.append(Row(0, "cka", math.nan, layer=2))  # states that do not vary
    found = measured(trial(), rows)
    assert found[1, "drift.cka"].value == pytest.approx(0.95)
    assert found[1, "drift.cka.layer1"].value == pytest.approx(0.9)
    scaling = found[1, "drift.scaling.layer1"]
    assert (scaling.value, scaling.n) == (1.5, 2)
    assert scaling.low is not None
    assert (1, "drift.cka.layer2") not in found


def test_log_min_max_keeps_the_raw_value() -> None:
    rows = pl.DataFrame({"m": ["a"] * 3 + ["b"] * 2, "value": [0.01, 1.0, 0.1, 5.0, 0.0]})
    found = log_min_max(rows, ["m"])
    assert found["value"].to_list() == rows["value"].to_list()
    assert found["scaled"].to_list() == [0, 1, pytest.approx(0.5), None, None]


def test_every_measure_says_what_it_is() -> None:
    assert all(row.doc.endswith(".") for row in (*DRIFT.values(), *OBJECTIVE.values()))
