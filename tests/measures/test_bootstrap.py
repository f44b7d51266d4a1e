"""The bootstrap: what comes up how often, and whether its intervals cover."""

import numpy as np
import pytest

from ksmith.measures.bootstrap import (
    REPLICATES,
    percentiles,
    replicates,
    resampled,
    stretch,
    unseen_share,
)

DRAWS = np.array([0, 0, 0, 1, 2, 2])


def test_every_replicate_takes_whole_draws() -> None:
    counts = resampled(DRAWS, 0)
    assert counts.shape == (REPLICATES, 6)
    size = np.array([3, 1, 2])
    of_draw = np.stack([counts[:, draw == DRAWS].sum(1) for draw in range(3)], axis=1)
    picks = of_draw / size  # how often each draw was picked
    assert (picks == picks.astype(int)).all()
    assert (picks.sum(1) == 3).all()


def test_each_fact_comes_up_as_often_as_it_is_there() -> None:
    assert resampled(DRAWS, 0).mean(0) == pytest.approx(np.ones(6), abs=0.15)


def test_one_draw_resamples_its_subjects() -> None:
    counts = resampled(np.zeros(5, dtype=np.int64), 0)
    assert (counts.sum(1) == 5).all()
    assert len(np.unique(counts, axis=0)) > 50


def test_many_clusters_are_made_in_parts() -> None:
    counts = resampled(np.arange(3_000) // 3, 0)
    assert (counts.sum(1) == 3_000).all()


def test_percentiles_as_numpy_has_them() -> None:
    values = np.random.default_rng(0).normal(size=(500, 3))
    low, high = percentiles(values)
    expected = np.percentile(values, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([low, high], expected)


def test_percentiles_leave_out_what_is_not_a_number() -> None:
    values = np.random.default_rng(0).normal(size=(500, 1))
    gaps = np.vstack([values, np.full((100, 1), np.nan)])
    np.testing.assert_array_equal(percentiles(gaps), percentiles(values))


def test_a_mean_is_of_those_that_came_up() -> None:
    counts = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    found = replicates(counts, np.array([[3.0], [0.0]]), np.array([[3.0], [0.0]]))
    np.testing.assert_array_equal(found, [[1.0], [1.0], [np.nan]])


def covered(
    values: np.ndarray, draws: np.ndarray, truth: float, *, stretched: bool = True
) -> float:
    """Return the share of columns of (clusters, simulations) whose interval holds `truth`."""
    n = np.ones_like(values)
    low, high = percentiles(replicates(resampled(draws, 1), values, n))
    middle = values.mean(0)
    factor = stretch(draws, values, n) if stretched else np.ones_like(middle)
    low, high = middle - factor * (middle - low), middle + factor * (high - middle)
    return float(((low <= truth) & (truth <= high)).mean())


def test_coverage_of_single_updates() -> None:
    values = np.random.default_rng(0).random((60, 400)) < 0.8
    assert 0.90 <= covered(values.astype(float), np.arange(60), 0.8) <= 0.99


def test_coverage_where_draws_differ() -> None:
    generator = np.random.default_rng(0)
    draws = np.repeat(np.arange(20), 3)
    effects = generator.normal(size=(20, 400))
    values = effects[draws] + generator.normal(size=(60, 400))
    assert 0.90 <= covered(values, draws, 0.0) <= 0.99
    # The draws are what was sampled: taking facts for independent would not cover.
    assert covered(values, np.arange(60), 0.0) < 0.90


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_coverage_with_four_draws(share: float) -> None:
    """`share` of the variance lies between draws of ten facts."""
    generator = np.random.default_rng(0)
    draws = np.repeat(np.arange(4), 10)
    effects = generator.normal(size=(4, 1_000)) * share**0.5
    values = effects[draws] + generator.normal(size=(40, 1_000)) * (1 - share) ** 0.5
    assert covered(values, draws, 0.0) >= 0.925
    if share >= 0.5:
        assert covered(values, draws, 0.0, stretched=False) < 0.85


def test_stretch_of_single_updates_is_students() -> None:
    # t(19) / z, and the root of 20 / 19 that a bootstrap's variance lacks.
    values = np.random.default_rng(0).normal(size=(20, 3))
    found = stretch(np.arange(20), values, np.ones_like(values))
    assert found == pytest.approx(np.full(3, 2.0930 / 1.95996 * (20 / 19) ** 0.5), rel=1e-4)


def test_stretch_of_one_draw_is_over_its_subjects() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    one = stretch(np.zeros(20, dtype=np.int64), values, np.ones_like(values))
    assert one == pytest.approx(stretch(np.arange(20), values, np.ones_like(values)))


def test_stretch_leaves_out_draws_without_a_value() -> None:
    values, n = np.random.default_rng(0).normal(size=(20, 1)), np.ones((20, 1))
    n[12:] = values[12:] = 0
    assert stretch(np.arange(20), values, n) == pytest.approx(
        stretch(np.arange(12), values[:12], n[:12])
    )


def test_nothing_stretches_a_constant() -> None:
    assert stretch(DRAWS, np.ones((6, 1)), np.ones((6, 1))) == [1.0]


def test_more_facts_narrow_the_interval() -> None:
    values = np.random.default_rng(0).random((240, 1))
    widths: list[float] = []
    for n in (15, 60, 240):
        counts = resampled(np.arange(n), 0)
        low, high = percentiles(replicates(counts, values[:n], np.ones((n, 1))))
        widths.append(float(high[0] - low[0]))
    assert widths[0] > widths[1] > widths[2]
    assert widths[0] / widths[2] == pytest.approx(4, rel=0.4)  # as the root of n


def test_unseen_share_is_the_exact_limit() -> None:
    share = unseen_share(np.array([1.0, 20.0]))
    assert (1 - share) ** np.array([1, 20]) == pytest.approx([0.025, 0.025])
