"""Along a sequence: what is learnt, forgotten and regained, and when it begins, by hand."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmith.measures import SEQUENCE, frame, metrics, steps, with_written, written
from ksmith.measures.sequence import jumped, onsets
from ksmith.records import Answer, Metric, Question


def question(request: str) -> Question:
    return Question(
        id=f"{request}/efficacy/0",
        draw=int(request.split(".")[0]),
        request=request,
        probe="efficacy",
        set="target",
        prompt="what",
        candidates=("new", "old"),
        right=0,
        right_before=1,
        rival=1,
        subject=f"subject of {request}",
        fact=f"fact of {request}",
    )


def answer(request: str, *, new: bool) -> Answer:
    """Return an answer whose most probable words are the new object's, or the old one's."""
    logp = (-1.0, -2.0) if new else (-2.0, -1.0)
    return Answer(
        question=f"{request}/efficacy/0", logp=logp, tokens=(1, 1), argmax=(new, not new)
    )


def row(request: str, step: int, *, held: bool = True, **more: Any) -> dict[str, Any]:
    draw, number = (int(part) for part in request.split("."))
    return {
        "draw": draw,
        "request": request,
        "number": number + 1,
        "step": step,
        "kind": "edit",
        "success": held,
        "held": held,
        "norm": 1.0,
        "failed": "",
    } | more


def measured(
    seen: Sequence[Mapping[str, Any]], said: Mapping[int, Mapping[str, bool]]
) -> dict[tuple[int, str], Metric]:
    """Return (step, name) -> metric; `said` is whether the new object was said, by step."""
    requests = [str(one["request"]) for one in seen]
    before = frame(
        [question(name) for name in requests], [answer(name, new=False) for name in requests], 0
    )
    after = [
        frame(
            [question(name) for name in told],
            [answer(n, new=new) for n, new in told.items()],
            step,
        )
        for step, told in said.items()
    ]
    at = {str(one["request"]): int(one["step"]) for one in seen}
    rows = with_written(steps(before, *after), at)
    return {(m.step, m.name): m for m in metrics(rows, 0, written=written(seen))}


ONE = {  # one draw of four facts, one after another; the second is never learnt
    1: {"0.0": True},
    2: {"0.0": False, "0.1": True},
    4: {"0.0": True, "0.1": True, "0.2": False, "0.3": True},
}


@cache
def one() -> dict[tuple[int, str], Metric]:
    return measured([row(f"0.{i}", i + 1, held=i != 1) for i in range(4)], ONE)


def test_forgotten_counts_what_was_learnt_and_stays_so_when_it_comes_back() -> None:
    found = one()
    assert [found[step, "sequence.learnt"].value for step in ONE] == [1, 0.5, 0.75]
    # Of 0.0; then of 0.0, 0.2 and 0.3. What was never learnt is not forgotten, nor regained.
    assert [found[step, "sequence.forgotten"].n for step in ONE] == [1, 1, 3]
    assert [found[step, "sequence.forgotten"].value for step in ONE] == [
        0,
        1,
        pytest.approx(2 / 3),
    ]
    assert found[4, "sequence.forgotten_now"].value == pytest.approx(1 / 3)
    assert (found[4, "sequence.regained"].value, found[4, "sequence.regained"].n) == (1, 1)
    assert (2, "sequence.regained") not in found  # nothing had been forgotten before


def test_current_and_earlier_facts_are_told_apart() -> None:
    found = one()
    assert (
        found[4, "efficacy.success.current"].value,
        found[4, "efficacy.success.current"].n,
    ) == (1, 1)
    assert found[4, "efficacy.success.earlier"].value == pytest.approx(2 / 3)
    assert (1, "efficacy.success.earlier") not in found
    assert (0, "efficacy.success.current") not in found
    assert found[0, "efficacy.success"].n == 4


def test_at_its_own_checkpoint_what_was_seen_right_after_counts() -> None:
    """The batch is asked for twice on the same model: a tie of rounding is no forgetting."""
    found = measured([row("0.0", 1), row("0.1", 2)], {2: {"0.0": True, "0.1": False}})
    assert found[2, "sequence.forgotten"].value == 0


def test_unlearned_fact_is_forgotten_when_its_old_answer_comes_back() -> None:
    seen = [
        row("0.0", 1, kind="unlearn", success=None),
        row("0.1", 2, kind="unlearn", success=None),
    ]
    found = measured(seen, {1: {"0.0": True}, 2: {"0.0": False, "0.1": True}})
    assert [found[step, "sequence.forgotten_now"].value for step in (1, 2)] == [0, 0.5]
    assert (2, "sequence.proficiency_success") not in found
    assert found[2, "sequence.proficiency_accuracy"].value == 1


def test_proficiency_is_of_the_last_fifty() -> None:
    seen = [row(f"0.{i}", i + 1, held=i >= 10) for i in range(60)]
    names = [str(one["request"]) for one in seen]
    found = measured(seen, {step: dict.fromkeys(names[:step], True) for step in (10, 50, 60)})
    values = [found[step, "sequence.proficiency_success"].value for step in (10, 50, 60)]
    assert values == [0, 0.8, 1]
    assert found[60, "sequence.learnt"].value == pytest.approx(50 / 60)
    assert found[60, "sequence.proficiency_success"].n == 50


def test_batch_that_was_not_written_is_counted_and_has_no_size() -> None:
    lost: dict[str, Any] = {
        "held": False,
        "norm": math.inf,
        "failed": "the change is not finite",
    }
    seen = [row("0.0", 1), row("0.1", 2, **lost), row("1.0", 1), row("1.1", 2, norm=3.0)]
    told = {"0.0": True, "0.1": False, "1.0": True, "1.1": True}
    found = measured(seen, {2: told})
    assert found[2, "sequence.unwritten"].value == 0.25
    assert (found[2, "sequence.norm"].value, found[2, "sequence.norm"].n) == (3, 1)


def test_requests_that_only_some_draws_have_and_no_efficacy() -> None:
    """Without the request's own question nothing can be said of forgetting."""
    rows = steps(frame([question("0.0")], [answer("0.0", new=False)], 0))
    bare = rows.with_columns(probe=pl.lit("paraphrase"))
    after = bare.with_columns(step=pl.lit(1, pl.Int32))
    both = with_written(pl.concat([bare, after]), {"0.0": 1})
    names = {m.name for m in metrics(both, 0, written=written([row("0.0", 1)]))}
    assert "sequence.learnt" in names
    assert not {"sequence.forgotten", "sequence.gradual"} & names


# --- when it begins ---------------------------------------------------------------------------


def test_gradual_takes_two_facts_and_five_percent_of_them() -> None:
    seen = [row(f"{draw}.{i}", i + 1) for draw in (0, 1) for i in range(10)]

    def told(step: int, *wrong: str) -> dict[str, bool]:
        return {f"{d}.{i}": f"{d}.{i}" not in wrong for d in (0, 1) for i in range(step)}

    found = measured(seen, {2: told(2, "0.0"), 5: told(5, "0.1"), 10: told(10)})
    shares = [found[step, "sequence.gradual"] for step in (2, 5, 10)]
    # One of two facts is no sign; two of five are, and it has begun for good.
    assert [(m.value, m.n) for m in shares] == [(0, 2), (0.5, 2), (0.5, 2)]


def asked(count: int) -> pl.DataFrame:
    return pl.DataFrame({"draw": [], "step": [], "forgotten": []})


def test_success_falls_by_more_than_thirty_points_of_its_best() -> None:
    # From the 51st fact on nothing succeeds: 1, .98, ..., .70 after 65 facts, .68 after 66.
    seen = written([row(f"0.{i}", i + 1, held=i < 50) for i in range(80)])
    assert onsets(asked(0), seen)["catastrophic_success"] == {0: 66}
    held = written([row(f"0.{i}", i + 1, held=i < 50) for i in range(65)])
    assert onsets(asked(0), held)["catastrophic_success"] == {0: None}
    short = written([row(f"0.{i}", i + 1, held=i < 20) for i in range(49)])
    assert "catastrophic_success" not in onsets(asked(0), short)  # no fifty facts


def test_batches_are_what_jumps() -> None:
    norms = [1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 10.5]
    rows = [
        row(f"0.{2 * b + i}", 2 * b + 2, norm=n) for b, n in enumerate(norms) for i in (0, 1)
    ]
    assert onsets(asked(0), written(rows))["catastrophic_norm"] == {0: 14}
    few = onsets(asked(0), written(rows[:10]))
    assert "catastrophic_norm" not in few  # five batches have none before them but four


@given(st.lists(st.floats(0, 100, allow_subnormal=False), max_size=30))
def test_jumps_against_a_textbook_loop(norms: list[float]) -> None:
    for i, jump in enumerate(jumped(np.array(norms))):
        before = sorted(n for n in norms[:i] if n > 0)
        if len(before) < 5:
            assert not jump
            continue
        half = len(before) // 2
        median = before[half] if len(before) % 2 else (before[half - 1] + before[half]) / 2
        assert jump == (norms[i] > 10 * median)


def test_every_measure_says_what_it_is() -> None:
    assert all(measure.doc.endswith(".") for measure in SEQUENCE.values())
