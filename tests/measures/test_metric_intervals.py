"""Intervals of metrics: they hold the mean, widen where draws differ, and cover."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.measures import metrics
from ksmith.measures.bootstrap import unseen_share
from ksmith.measures.means import means
from tests.measures.rows import Trial, rate

units = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 3)).map("{0[0]}.{0[1]}".format),
    st.lists(st.booleans(), min_size=1, max_size=3),
    min_size=1,
    max_size=12,
)


@settings(max_examples=12, deadline=None)
@given(values=units)
def test_intervals_hold_the_mean_of_facts(values: dict[str, list[float]]) -> None:
    found = rate(values).metrics(1)[1, "efficacy.success"]
    means = [sum(v) / len(v) for v in values.values()]
    assert found.value == pytest.approx(sum(means) / len(means))
    assert found.n == len(values)
    if len(values) < 2:
        assert found.low is None
        assert found.high is None
    else:
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high  # no number of facts makes one certain


@settings(max_examples=6, deadline=None)
@given(values=units, seed=st.integers(0, 99))
def test_neither_order_nor_copies_of_questions_matter(
    values: dict[str, list[float]], seed: int
) -> None:
    rows = rate(values).rows(1)
    found = metrics(rows, 0)
    twice = pl.concat([rows, rows.with_columns(question=pl.col("question") + "/again")])
    assert metrics(twice.sample(fraction=1, shuffle=True, seed=seed), 0) == found


def test_seed_decides_the_interval_alone() -> None:
    trial = Trial()
    for draw in range(20):
        trial.add("efficacy", {"new": (-1 - draw, 1), "old": (-2, 1)}, request=f"{draw}.0")
    rows = trial.rows(1)
    same, other = metrics(rows, 0), metrics(rows, 1)
    assert same == metrics(rows, 0)
    assert [m.value for m in same] == [m.value for m in other]
    assert [m.low for m in same] != [m.low for m in other]


def test_draws_that_differ_widen_the_interval() -> None:
    together = {f"{d}.{n}": [float(d < 2)] for d in range(4) for n in range(10)}
    mixed = {f"{d}.{n}": [float(n < 5)] for d in range(4) for n in range(10)}

    def width(values: dict[str, list[float]]) -> float:
        metric = rate(values).metrics(1)[1, "efficacy.success"]
        assert metric.low is not None
        assert metric.high is not None
        return metric.high - metric.low

    assert width(together) > 1.5 * width(mixed)


def test_one_answer_for_all_is_not_certain() -> None:
    found = rate({f"{d}.0": [1] for d in range(20)}).metrics(1)[1, "efficacy.success"]
    assert found.low == pytest.approx(0.025 ** (1 / 20))  # exact binomial limit
    assert found.high == 1


def test_one_answer_for_all_is_counted_in_draws() -> None:
    values = {f"{d}.{n}": [1.0] for d in range(4) for n in range(10)}
    found = rate(values).metrics(1)[1, "efficacy.success"]
    assert found.n == 40
    assert found.low == pytest.approx(0.025 ** (1 / 4))
    assert found.high == 1


def test_one_draw_is_counted_in_subjects() -> None:
    found = rate({f"0.{n}": [1] for n in range(10)}).metrics(1)[1, "efficacy.success"]
    assert found.low == pytest.approx(0.025 ** (1 / 10))


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_intervals_of_rates_cover_where_draws_differ(spread: float) -> None:
    """4 draws of 10 facts, whose own rates are beta-distributed around .8; 500 such trials."""
    generator = np.random.default_rng(0)
    draws, facts, trials, mean = 4, 10, 500, 0.8
    weight = 1 / spread - 1 + 1e-9  # spread: the correlation of facts in one draw
    rates = generator.beta(mean * weight, (1 - mean) * weight, size=(trials, draws, 1))
    values = (generator.random((trials, draws, facts)) < rates).astype(np.float64)
    trial, draw, fact = (axis.ravel() for axis in np.indices(values.shape))
    table = pl.DataFrame({"hop": trial, "draw": draw, "unit": fact, "value": values.ravel()})
    table = table.with_columns(
        step=pl.lit(1), probe=pl.lit(""), measure=pl.lit(""), slice=pl.lit(""), cluster="unit"
    )
    _, found = means(table, 0)
    low, high = (np.array(end) for end in found.interval(np.zeros(trials), np.ones(trials)))
    assert ((low <= mean) & (mean <= high)).mean() >= 0.9
    if spread == 1.0:
        # Taken for 40 independent facts, a trial without a failure would leave .8 out.
        facts_alone = 1 - unseen_share(np.array([float(draws * facts)]))
        missed = found.constant & (found.value == 1) & (facts_alone > mean)
        assert missed.mean() > 0.3
