"""Slices of the sets: what is near, what was trained on, what was known; answers in other words."""

import math
from typing import Any

import polars as pl
import pytest

from ksmith.measures import memory
from tests.measures.test_memory import Row, rows


def marked(said: list[Row], near: list[bool | None], **more: Any) -> pl.DataFrame:
    return rows(said, **more).with_columns(near=pl.Series(near, dtype=pl.Boolean))


def means(
    table: pl.DataFrame, measure: str = "probability", **slices: Any
) -> dict[str, tuple[float, int]]:
    """Return slice -> mean over facts and how many they are."""
    found = memory.facts(table, **slices).filter(measure=measure, step=1)
    grouped = found.group_by("slice").agg(mean=pl.col("value").mean(), n=pl.len())
    return {row["slice"]: (round(row["mean"], 6), row["n"]) for row in grouped.to_dicts()}


def test_near_and_far_make_up_what_stays_and_what_is_trained_on_stands_apart() -> None:
    said = [("retain", 0.9, 0.1), ("retain", 0.5, 0.1), ("retain", 0.7, 0.1)]
    apart = [("trained", 0.99, 0.1), ("trained", 0.97, 0.1), ("near", 0.7, 0.1)]
    found = means(marked([*said, *apart], [True, False, False, True, False, True]))
    assert found == {
        "retain": (0.7, 3),
        "retain.near": (0.8, 2),
        "retain.far": (0.6, 2),
        "retain.trained": (0.98, 2),
    }


def test_what_a_method_did_not_train_on_is_in_no_slice_of_what_it_did() -> None:
    table = rows([("retain", 0.5, 0.1), ("trained", 0.9, 0.1), ("trained", 0.7, 0.1)])
    assert means(
        memory.with_trained(table, [(0, "fact trained 2"), (1, "fact trained 1")])
    ) == {
        "retain": (0.5, 1),
        "retain.trained": (0.7, 1),
    }
    assert means(memory.with_trained(table, [])) == {"retain": (0.5, 1)}  # an editor has none
    assert memory.with_trained(table, [(0, "fact trained 1")]).columns == table.columns


def test_where_nobody_can_say_what_is_near_neither_slice_is_there() -> None:
    found = means(marked([("retain", 0.9, 0.1), ("retain", 0.5, 0.1)], [None, None]))
    assert found == {"retain": (0.7, 2)}


def test_what_was_known_is_counted_once_before_the_update() -> None:
    said = [("forget", 0.9, 0.1), ("forget", 0.5, 0.1), ("forget", 0.1, 0.1)]
    both = pl.concat([rows(said, 0), rows(said, 0, wording="novel"), rows(said, 1)])
    knew = pl.DataFrame({"draw": [0, 0], "fact": ["fact forget 0", "fact forget 2"]})
    knew = knew.with_columns(pl.col("draw").cast(pl.Int32))
    table = memory.facts(both, knew).filter(measure="known")
    assert table.select("step", "slice", "unit", "value").rows() == [
        (0, "forget", "fact forget 0", 1.0),
        (0, "forget", "fact forget 1", 0.0),
        (0, "forget", "fact forget 2", 1.0),
    ]
    assert means(both, knew=knew)["known.forget"] == (0.5, 2)
    none = memory.facts(both, knew.clear())
    assert none.filter(measure="known")["value"].to_list() == [0.0] * 3
    assert "known.forget" not in none["slice"]


def test_wrong_answers_are_weighed_against_the_answer_in_other_words() -> None:
    said = [("forget", 0.8, 0.2), ("forget", 0.8, 0.2)]
    own = rows(said).with_columns(
        reworded_logp=pl.Series([math.log(0.4), None], dtype=pl.Float32)
    )
    other = rows(said, wording="novel").with_columns(
        wrong_logp=pl.lit([math.log(0.6)], pl.List(pl.Float32)),
        reworded_logp=own["reworded_logp"],
    )
    table = pl.concat([own, other])
    told = memory.told(own)["truth_ratio"].to_list()
    assert told == pytest.approx([0.5, 0.25])
    ratios = memory.ratios(table)
    assert ratios["fact"].to_list() == ["fact forget 0", "fact forget 1"]
    assert ratios["ratio"].to_list() == pytest.approx([0.6 / 0.4, 0.6 / 0.8])
    # Of a user's own question as it stands, whether or not its line has other words.
    asked = [f"fact forget {i} / answer" for i in (0, 1)]
    own = own.with_columns(prompt=pl.col("fact"), fact=pl.Series(asked))
    other = other.with_columns(prompt=pl.lit("Asked otherwise?"), fact=pl.Series(asked))
    ratios = memory.ratios(pl.concat([other, own]))
    assert ratios["ratio"].to_list() == pytest.approx([0.2 / 0.4, 0.2 / 0.8])
