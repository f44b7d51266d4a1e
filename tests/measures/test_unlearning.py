"""The metrics of unlearning by hand, and what must hold of them whatever the numbers."""

import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from ksmith.measures import recalled, rouge, samples

LOGP = np.log([0.5, 0.125])
FEW: Any = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=12).map(np.array)


def test_probability_is_the_geometric_mean() -> None:
    assert recalled.probability(LOGP) == pytest.approx(0.25)
    assert math.isnan(recalled.probability(np.array([])))


# --- rouge ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "answer", "recall", "f1"),
    [
        ("the cat sat", "the cat sat", 1, 1),
        ("police kill the gunman", "police killed the gunman", 3 / 4, 3 / 4),
        ("the gunman kill police", "police killed the gunman", 2 / 4, 2 / 4),
        ("A B, c d", "b d", 1, 2 * 2 / 6),
        ("no", "yes", 0, 0),
        ("", "yes", 0, 0),
        ("yes", "...", 0, 0),
    ],
)
def test_rouge_by_hand(said: str, answer: str, recall: float, f1: float) -> None:
    assert rouge.rouge_l(said, answer) == pytest.approx((recall, f1))


def textbook(a: list[str], b: list[str]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            best = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else best
    return table[-1][-1]


@given(
    st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9)
)
def test_the_common_subsequence_is_that_of_the_table(a: list[str], b: list[str]) -> None:
    assert rouge.common(a, b) == textbook(a, b) == rouge.common(b, a)


# --- truth ratio ------------------------------------------------------------------------------


def test_the_truth_ratio_has_two_definitions() -> None:
    # p(right) = .4; wrong answers .1 and .4, whose geometric mean is .2.
    r = recalled.truth_ratio(math.log(0.4), [math.log(0.1), math.log(0.4)])
    assert r == pytest.approx(0.5)
    assert recalled.indistinct(r) == pytest.approx(0.5) == recalled.indistinct(1 / r)
    assert recalled.told_apart(r) == pytest.approx(0.5)
    assert recalled.told_apart(2.0) == 0
    assert recalled.truth_share(r) == pytest.approx(0.4 / (0.4 + 0.2))


def test_a_truth_ratio_to_nothing_is_missing_and_stays_missing() -> None:
    r = recalled.truth_ratio(-1.0, [])
    told = (recalled.indistinct(r), recalled.told_apart(r), recalled.truth_share(r))
    assert all(math.isnan(value) for value in (r, *told))


# --- verbatim ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hit", "strength", "public", "exact"),
    [
        ([0, 0, 0, 0], 0, 1 / 4, 0),
        ([1, 1, 1, 1], 1, 1, 1),
        ([0, 0, 0, 1], 1 / 4, 1 / 4, 1 / 4),
        ([1, 1, 0, 1], 1 / 4, 1 / 4, 3 / 4),
        ([1, 0, 1, 1], 1 / 2, 1 / 2, 3 / 4),
        ([1, 1, 1, 0], 0, 1 / 4, 3 / 4),
        ([0], 0, 1, 0),
    ],
)
def test_extraction_strength(
    hit: list[int], strength: float, public: float, exact: float
) -> None:
    told = [bool(one) for one in hit]
    assert recalled.extraction_strength(told) == pytest.approx(strength)
    assert recalled.extraction_strength(told, floor=True) == pytest.approx(public)
    assert recalled.exact_memorisation(told) == pytest.approx(exact)


# --- membership -------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    logp = np.array([-1.0, -2.0, -3.0, -4.0, -5.0])
    mean, std = np.full(5, -3.0), np.array([1.0, 1.0, 1.0, 2.0, 0.0])
    found = recalled.attacks(logp, mean, std, "aaaa", before=1.0)
    assert found["loss"] == pytest.approx(3)
    assert found["min_k"] == pytest.approx(4.5)  # 40 % of five: the two least
    assert found["min_k_plus"] == pytest.approx(
        -(-0.5 + 0) / 2
    )  # (2, 1, 0, -1/2, 0 without std)
    assert found["reference"] == pytest.approx(2)
    assert found["zlib"] == pytest.approx(3 / len(zlib.compress(b"aaaa")))
    assert recalled.min_k(logp[:2]) == 2  # of two tokens one
    assert math.isnan(recalled.min_k(logp[:0]))
    assert math.isnan(recalled.attacks(logp, mean, std, "a")["reference"])


def test_a_member_has_the_lower_loss() -> None:
    trained, strange = np.log([0.9, 0.8]), np.log([0.2, 0.1])
    zeros, ones = np.zeros(2), np.ones(2)
    one = recalled.attacks(trained, zeros, ones, "x", before=1.0)
    other = recalled.attacks(strange, zeros, ones, "x", before=1.0)
    for name in one:
        assert samples.auc(np.array([one[name]]), np.array([other[name]])) == 1, name


def test_the_area_by_hand_with_ties() -> None:
    members, others = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])
    # 1 < 2, 1 < 4, 2 = 2, 2 < 4, 3 > 2, 3 < 4: 4.5 of 6.
    assert samples.auc(members, others) == pytest.approx(4.5 / 6)
    assert samples.auc(np.append(members, np.nan), others) == pytest.approx(4.5 / 6)
    assert math.isnan(samples.auc(members, others[:0]))


@given(FEW, FEW)
def test_flipped_classes_give_the_rest_and_ranks_the_same(a: Any, b: Any) -> None:
    assert samples.auc(a, b) == pytest.approx(1 - samples.auc(b, a))
    both = np.concatenate([a, b])
    ranks = np.array([(both < x).sum() + ((both == x).sum() + 1) / 2 for x in b])
    u = ranks.sum() - len(b) * (len(b) + 1) / 2
    assert samples.auc(a, b) == pytest.approx(u / (len(a) * len(b)))


@given(FEW, FEW, st.integers(0, 99))
def test_weights_are_items_that_are_there_so_often(a: Any, b: Any, seed: int) -> None:
    generator = np.random.default_rng(seed)
    of_a, of_b = generator.integers(0, 3, len(a)), generator.integers(0, 3, len(b))
    many_a, many_b = np.repeat(a, of_a), np.repeat(b, of_b)
    assume(len(many_a) and len(many_b))
    weights = of_a[None].astype(float), of_b[None].astype(float)
    found = np.abs(samples.gaps(a, b, *weights)).max()
    assert found == pytest.approx(samples.ks(many_a, many_b))


def test_the_gold_model_leaks_nothing() -> None:
    area = np.array([0.3, 0.5, 0.9])
    assert samples.privleak(area, area).tolist() == [0, 0, 0]
    # (1 - .75) - (1 - .5) over 1 - .5: half of what the gold model has is gone.
    assert samples.privleak(np.array([0.75]), np.array([0.5])).tolist() == [-50]
    assert np.isnan(samples.privleak(np.array([0.75]), np.array([1.0]))).all()


# --- Kolmogorov and Smirnov -------------------------------------------------------------------


@given(FEW)
def test_identical_samples_are_no_distance_apart(a: Any) -> None:
    d = samples.ks(a, a)
    assert d == 0
    assert samples.ks_p(d, len(a)) == (1, 0)


@given(FEW, FEW)
def test_the_statistic_is_the_largest_distance_of_the_shares_below(a: Any, b: Any) -> None:
    apart = [abs((a <= x).mean() - (b <= x).mean()) for x in (*a, *b)]
    assert samples.ks(a, b) == pytest.approx(max(apart))


@pytest.mark.parametrize(
    ("k", "n"),
    [(1, 1), (3, 4), (5, 5), (7, 12), (9, 20), (12, 40), (20, 100), (40, 400)],
)
def test_its_p_value_is_the_exact_one(k: int, n: int) -> None:
    a = np.arange(n, dtype=float)
    exact: Any = ks_2samp(a, a + k - 0.5, method="exact")
    p, log = samples.ks_p(samples.ks(a, a + k - 0.5), n)
    assert p == pytest.approx(exact.pvalue, rel=1e-9)
    assert log == pytest.approx(math.log10(exact.pvalue), abs=1e-9)


def test_its_p_value_by_hand() -> None:
    # Of the 20 orders of three and three, 2 have all of one before the other, 8 at most 1 apart.
    assert samples.ks_p(1.0, 3)[0] == pytest.approx(2 / 20)
    assert samples.ks_p(2 / 3, 3)[0] == pytest.approx(12 / 20)
    assert samples.ks_p(1 / 3, 3)[0] == pytest.approx(1)


def test_the_logarithm_goes_on_where_p_is_no_number() -> None:
    p, log = samples.ks_p(1.0, 10_000)
    ways = math.comb(20_000, 10_000)  # 2 of them
    assert p == 0 and log == pytest.approx(math.log10(2) - math.log10(ways), abs=1e-6)


# --- utility, what was written ----------------------------------------------------------------


def test_a_missing_part_stays_missing() -> None:
    parts = np.array([[0.5, 1.0, np.nan], [0.5, 0.0, 1.0], [np.nan, np.nan, np.nan]])
    found = samples.harmonic(parts)
    assert found[:2].tolist() == pytest.approx([2 / 3, 0])
    assert np.isnan(found[2])


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("It is Oslo .", "oslo", True),
        ("Oslo", "Os", False),
        ("in New  York", "new york", True),
        ("2017", "201", False),
        ("東京です", "東京", True),
        ("", "Oslo", False),
        ("Oslo", "", False),
        ("Cross or Ross", "Ross", True),
    ],
)
def test_a_name_is_said_as_a_word(text: str, name: str, said: bool) -> None:
    assert recalled.mentions(text, [name]) is said


def test_how_natural_it_reads_by_hand() -> None:
    words = ["the", "town", "the", "sea"]
    assert recalled.brunet(words) == pytest.approx(4 ** (3**-0.165))
    # Two of three words come once.
    assert recalled.honore(words) == pytest.approx(100 * math.log(4) / (1 - 2 / 3 + 0.1))
    assert recalled.honore(["a", "b"]) == pytest.approx(100 * math.log(2) / 0.1)
    assert math.isnan(recalled.brunet([])) and math.isnan(recalled.honore([]))


def test_linguistic_score_is_the_harmonic_mean_of_three_logistic_functions() -> None:
    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    parts = [logistic(-math.log(20)), logistic(-math.log(11)), logistic(math.log(900))]
    score = 3 / sum(1 / part for part in parts)
    found = recalled.linguistic_score(
        np.array([20, 20, math.nan, math.inf]),
        np.array([11, 11, 11, 11]),
        np.array([900, 0, 900, 900]),
    )
    assert found[:2] == pytest.approx([score, 0])
    assert math.isnan(found[2]) and found[3] == 0
