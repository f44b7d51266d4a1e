"""Metrics side by side: names as in MLflow, numbers with interval and n."""

import polars as pl
import pytest

from ksmith.frames.steps import ended
from ksmith.frames.wide import named, side_by_side
from ksmith.records import UserError

ROWS = pl.DataFrame(
    [
        {
            "trial": "t",
            "method": "rome",
            "step": step,
            "probe": "multi_hop",
            "measure": "accuracy",
        }
        | {"slice": part, "hop": hop, "value": 0.5 + step, "low": low, "high": 1.0, "n": 7}
        for step, part, hop, low in (
            (0, "", None, 0.1),
            (1, "", None, 0.25),
            (1, "stored", 2, None),
        )
    ],
    schema_overrides={"hop": pl.Int64, "low": pl.Float64},
)

TRIALS = pl.DataFrame({"trial": ["t"], "method": ["rome"], "task.scale": [1], "seed": [0]})


def test_names_are_those_of_mlflow() -> None:
    names = named(ROWS)["metric"].to_list()
    assert names == ["multi_hop.accuracy"] * 2 + ["multi_hop.accuracy.stored.hop2"]


def test_one_row_a_trial_one_column_a_metric() -> None:
    shown = ["multi_hop.accuracy.stored.hop2", "multi_hop.accuracy"]
    table = side_by_side(ROWS, TRIALS, shown, ["method"])
    assert table.columns == ["method", *shown]
    assert table.row(0) == ("rome", "1.5 7", "1.5 [0.25, 1.0] 7")


def test_what_nobody_measured_is_named() -> None:
    with pytest.raises(UserError, match=r"'multi_hop.acc'; .* multi_hop.accuracy, multi"):
        side_by_side(ROWS, TRIALS, ["multi_hop.acc"], ["method"])
    with pytest.raises(UserError, match="no column 'model'; there are trial, method"):
        side_by_side(ROWS, TRIALS, ["multi_hop.accuracy"], ["model"])
    empty = side_by_side(ROWS.clear(), TRIALS, ["multi_hop.accuracy"], ["method"])
    assert empty.height == 0


def test_a_sequence_stands_with_its_end() -> None:
    long = pl.DataFrame(
        {"trial": ["s", "s", "s", "t"], "step": [0, 2, 9, 1], "value": [0, 1, 2, 3]}
    )
    assert ended(long)["value"].to_list() == [0, 2, 3]
    ways = ROWS.with_columns(step=pl.when(step=1).then(9).otherwise("step"))
    early = ways.filter(step=9).with_columns(step=pl.lit(2, pl.Int64), value=-1.0)
    table = side_by_side(pl.concat([early, ways]), TRIALS, ["multi_hop.accuracy"], ["method"])
    assert table.row(0) == ("rome", "1.5 [0.25, 1.0] 7")


def test_trials_that_differ_in_seeds_alone_are_one_row() -> None:
    after = ROWS.filter(step=1, slice="")
    kinds = [("t", 0, 1, 0.5), ("u", 1, 1, 0.7), ("v", 0, 10, 0.1)]
    rows = pl.concat(
        after.with_columns(
            trial=pl.lit(name),
            value=pl.lit(value),
            low=pl.lit(value - 0.1),
            high=pl.lit(value + 0.1),
            model_seed=pl.lit(seed),
            seed=pl.lit(seed),
        )
        for name, seed, _, value in kinds
    )
    trials = pl.DataFrame(
        [{"trial": t, "task.scale": k, "model.seed": s, "seed": s} for t, s, k, _ in kinds]
    )
    (told,) = side_by_side(rows, trials, ["multi_hop.accuracy"], ["method"]).rows()
    # The mean of the first and what is like it; the facts of both draws; not scale 10.
    assert told[1].startswith("0.6 [") and told[1].endswith("] 14")
