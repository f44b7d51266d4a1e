"""Curves over scale: half-points and collapses that were put there."""

from typing import Any

import polars as pl
import pytest

from ksmith.measures import curves
from ksmith.records import UserError

SCALES = (1, 10, 100, 1000)


def row(scale: int, side: str, value: float, *, step: int = 1, **more: Any) -> dict[str, Any]:
    width = more.pop("width", 0.01)
    given = {
        "task": "edit",
        "method": "memit",
        "level": "leaf",
        "scale": scale,
        "model_seed": 0,
        "step": step,
        "probe": "spread",
        "measure": f"{side}_generated",
        "slice": "",
        "hop": None,
        "value": value,
        "n": 20,
        "low": max(0.0, value - width),
        "high": min(1.0, value + width),
    }
    return given | more


def frame(direct: dict[int, float], reverse: dict[int, float], **more: Any) -> pl.DataFrame:
    rows = [row(k, "direct", v, **more) for k, v in direct.items()]
    rows += [row(k, "direct", 0.0, step=0, **more) for k in direct]
    rows += [row(k, "reverse", v, **more) for k, v in reverse.items()]
    return pl.DataFrame(rows, schema_overrides={"hop": pl.Int64})


def one(rows: pl.DataFrame, **more: Any) -> dict[str, Any]:
    (found,) = curves(rows, **more).to_dicts()
    return found


def along(*values: float) -> dict[int, float]:
    return dict(zip(SCALES, values, strict=True))


def test_half_of_the_largest_gain_comes_first_at_ten() -> None:
    found = one(frame(along(0.2, 0.5, 0.9, 0.8), {}))
    assert found["scale"] == list(SCALES)
    assert found["value"] == [0.2, 0.5, 0.9, 0.8]
    assert (found["k_half"], found["k_half_low"], found["k_half_high"]) == (10, 10, 10)
    assert (found["k_star"], found["collapsed"]) == (None, None)  # nothing asked in reverse


def test_gain_is_over_the_same_questions_before() -> None:
    rows = frame(along(0.5, 0.6, 0.9, 0.9), {}).with_columns(
        value=pl.when(step=0).then(0.5).otherwise("value")
    )
    assert one(rows)["k_half"] == 100  # .4 gained at most; 1 and 10 gain 0 and .1


def test_a_collapse_is_a_fall_of_direct_that_reverse_does_not_share() -> None:
    direct = along(0.9, 0.95, 0.7, 0.5)
    found = one(frame(direct, along(0.4, 0.5, 0.6, 0.6)))
    assert (found["k_star"], found["collapsed"]) == (100, 1)
    assert (found["k_star_low"], found["k_star_high"]) == (100, 100)
    together = one(frame(direct, along(0.4, 0.5, 0.3, 0.1)))
    assert (together["k_star"], together["k_star_high"], together["collapsed"]) == (
        None,
        None,
        0,
    )


def test_a_fall_of_less_than_delta_is_none() -> None:
    rows = frame(along(0.9, 0.87, 0.88, 0.88), along(0.4, 0.5, 0.6, 0.7))
    assert one(rows)["k_star"] is None
    assert one(rows, delta=0.01)["k_star"] == 10


def test_what_is_uncertain_has_a_wide_interval_that_may_have_no_end() -> None:
    rows = frame(along(0.9, 0.9, 0.9, 0.84), along(0.4, 0.45, 0.5, 0.95), width=0.08)
    found = one(rows)
    assert 0.2 < found["collapsed"] < 1
    assert found["k_star"] == 1000
    assert found["k_star_high"] is None  # in many replicates it lies beyond what was measured
    assert found["k_star_low"] < 1000


def test_model_seeds_are_drawn_for_the_whole_curve() -> None:
    """Two models, one reaching half at 1 and one at 1000: the mean of both hides it."""
    early = frame(along(0.9, 0.9, 0.9, 0.9), {}, model_seed=0)
    late = frame(along(0.0, 0.0, 0.0, 0.9), {}, model_seed=1)
    found = one(pl.concat([early, late]))
    assert found["value"] == pytest.approx([0.45, 0.45, 0.45, 0.9])
    assert (found["k_half"], found["k_half_low"], found["k_half_high"]) == (1, 1, 1000)
    assert found["n"] == [20] * 4  # the same facts, asked of two models


def test_curves_are_told_apart_and_others_left_out() -> None:
    rows = pl.concat(
        [
            frame(along(0.1, 0.5, 0.9, 0.9), {}),
            frame(along(0.9, 0.9, 0.9, 0.9), {}, level="root"),
            frame(along(0.3, 0.3, 0.3, 0.3), {}, slice="known", level="root"),
            frame(along(0.3, 0.3, 0.3, 0.3), {}, probe="efficacy", level="none"),
        ]
    )
    found = curves(rows)
    assert dict(found.select("level", "k_half").iter_rows()) == {"leaf": 10, "root": 1}
    assert curves(rows, part="known")["value"].to_list() == [[0.3] * 4]
    assert curves(rows, mode="choice").is_empty()
    with pytest.raises(UserError, match="no mode 'letters'"):
        curves(rows, mode="letters")


def test_a_gain_of_nothing_has_no_half() -> None:
    assert one(frame(along(0, 0, 0, 0), {}, width=0.0))["k_half"] is None
