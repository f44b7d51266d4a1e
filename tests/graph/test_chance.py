"""Draws that a name decides: the same everywhere, even, and cheap where few are wanted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmith.graph.chance import BITS, Chance

NAMES = range(4000)


def test_the_name_alone_decides_on_any_machine() -> None:
    chance = Chance(0, "probe", "distractors", "Where is Aro")
    # Written down: were these others, every question of every study would be.
    assert [chance.below(1000) for _ in range(6)] == [721, 685, 513, 234, 695, 24]
    assert Chance(0, "a", "b").below(2**60) != Chance(0, "b", "a").below(2**60)
    assert Chance(1, "a").below(2**60) != Chance(11, "a").below(2**60)


@given(st.integers(0, 400), st.integers(0, 400), st.text(max_size=5))
def test_a_sample_is_of_different_ones_and_no_more_than_there_are(
    size: int, n: int, name: str
) -> None:
    pool = range(size)
    found = Chance(name).sample(pool, n)
    assert len(found) == len(set(found)) == min(n, size) and set(found) <= set(pool)
    assert found == list(Chance(name).order(pool))[:n]


def test_a_long_order_needs_more_bits_than_a_digest_has() -> None:
    found = list(Chance("long").order(range(2000)))
    assert sorted(found) == list(range(2000)) and BITS < 2000
    ups = sum(a < b for a, b in pairwise(found))
    assert 900 < ups < 1100  # as of a shuffled deck; standard deviation 13


@pytest.mark.parametrize("n", [2, 3, 7, 12, 24])
def test_every_number_is_as_likely(n: int) -> None:
    for skipped in (0, 1, 70):  # also later draws of one name, and those of another digest
        counts: Counter[int] = Counter()
        for name in NAMES:
            chance = Chance("even", n, skipped, name)
            for _ in range(skipped):
                chance.below(97)
            counts[chance.below(n)] += 1
        expected = len(NAMES) / n
        squares = sum((counts[i] - expected) ** 2 / expected for i in range(n))
        assert (
            squares < n - 1 + 6 * (2 * (n - 1)) ** 0.5
        )  # chi-squared: mean and six deviations


def test_every_order_is_as_likely() -> None:
    counts = Counter(tuple(Chance("orders", name).sample(range(4), 4)) for name in NAMES)
    expected = len(NAMES) / 24
    assert len(counts) == 24
    assert sum((c - expected) ** 2 / expected for c in counts.values()) < 23 + 6 * 46**0.5


class Watched(Sequence[int]):
    """A pool that counts how often it is looked at."""

    def __init__(self, size: int) -> None:
        self.size, self.looks = size, 0

    def __len__(self) -> int:
        """Return the size."""
        return self.size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        """Return the number that stands there."""
        self.looks += 1
        return range(self.size)[index]

    def __iter__(self) -> Iterator[int]:
        """Nobody may go through the whole pool."""
        raise AssertionError("gone through")


def test_few_of_many_cost_few() -> None:
    pool = Watched(10**9)
    assert len(Chance("few").sample(pool, 5)) == pool.looks == 5
