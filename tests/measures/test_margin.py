"""Distances from gold models in units of the margin: by hand, and how often the verdict errs."""

import numpy as np
import pytest

from ksmith.measures import margin
from ksmith.measures.gold import over, pairs

# Of a model before, one after, then of three gold models; from each of three gold models.
N = np.nan
FAR = np.array([[9.0, 9, 9], [1, 2, 3], [N, 1, 2], [1, N, 3], [2, 3, N]])


def test_units_of_the_farthest_gold_model_by_hand() -> None:
    # Gold models are 1.5, 2 and 2.5 from the others: 2.5 is the margin.
    assert margin.relative(FAR[None])[0].tolist() == [9 / 2.5, 2 / 2.5]
    steps, among = margin.means(FAR[None], np.ones((1, 3)))
    assert steps[0].tolist() == [9, 2] and among[0] == 2


def test_the_farthest_is_that_of_the_estimate_in_every_row() -> None:
    other = FAR.copy()
    other[2:] = [[N, 9, 9], [9, N, 1], [9, 1, N]]  # here the first would be farthest
    assert margin.relative(np.stack([FAR, other]))[1].tolist() == [9 / 5, 2 / 5]


def test_gold_models_count_as_often_as_they_come_up() -> None:
    counts = np.array([[2.0, 1, 0], [3, 0, 0]])
    steps, among = margin.means(np.stack([FAR, FAR]), counts)
    assert steps[0].tolist() == pytest.approx([9, (2 * 1 + 2) / 3])
    assert among[0] == 1 and np.isnan(among[1])  # none differs from itself


def test_distances_of_pairs_are_the_same_in_another_order() -> None:
    found = pairs(3)
    far = np.random.default_rng(0).random((4, len(found)))
    counts = np.array([[1.0, 1, 1], [2, 1, 0], [0, 1, 2], [1, 2, 0]])
    steps, among = margin.means(margin.of_pairs(far, found, 3), counts)
    before, after, noise = over(far, found, counts)
    assert steps == pytest.approx(np.stack([before, after], 1)) and among == pytest.approx(
        noise
    )


def test_one_gold_model_has_no_margin_and_what_does_not_differ_none() -> None:
    one = np.array([[1.0], [2.0], [N]])
    assert np.isnan(margin.relative(one[None])).all()
    steps, among = margin.means(one[None], np.ones((1, 1)))
    assert steps[0].tolist() == [1, 2] and np.isnan(among[0])
    same = np.where(np.isnan(FAR), N, 0.0)
    assert np.isnan(margin.relative(same[None])).all()


def test_each_gold_model_is_held_to_the_others_by_hand() -> None:
    # 1.5, 2 and 2.5 from the others, who are 3, 2 and 1 apart; in another row all is twice so.
    held = [1.5 / 3, 2 / 2, 2.5 / 1]
    assert margin.held_out(np.stack([FAR, 2 * FAR])).tolist() == [held, held]
    assert margin.held_out(FAR[None, :4, :2]).shape == (1, 0)


def test_what_is_held_to_the_others_is_what_the_model_would_be_in_its_place() -> None:
    far = np.random.default_rng(0).random((3, 2 + 5, 5))
    held = margin.held_out(far)
    for i in range(5):
        others = np.delete(np.arange(5), i)
        models = np.concatenate([[0, 2 + i], 2 + others])
        alone = far[:, models][:, :, others]
        assert held[:, i] == pytest.approx(margin.relative(alone)[:, 1])


@pytest.mark.parametrize(("golds", "share"), [(3, 1 / 4), (5, 1 / 6)])
def test_one_more_gold_model_lies_beyond_the_margin_as_often_as_symmetry_has_it(
    golds: int, share: float
) -> None:
    generator = np.random.default_rng(1)
    beyond, tries = 0, 600
    for _ in range(tries):
        models = generator.normal(size=(2 + golds, 12))
        far = margin.matrix(
            golds, lambda a, b, m=models: np.array([np.abs(m[a] - m[2 + b]).mean()])
        )
        beyond += int(margin.relative(far)[0, 1] > 1)
    assert beyond / tries == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.2, 1.0, "within"),
        (0.2, 1.01, "undecided"),
        (1.0, 2.0, "undecided"),
        (1.01, 2.0, "outside"),
        (None, None, "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    low: float | None, high: float | None, told: str
) -> None:
    assert margin.verdict(low, high) == told
