"""Names in figures: legends in as many lines as they need, ticks that don't run into each other."""

from itertools import pairwise

import pytest

from ksmith.report.legend import Legend, roomy
from ksmith.report.looks import looks


def test_a_legend_of_few_is_one_line_and_one_of_many_has_room() -> None:
    few = Legend.of(["npo", "memit"], 9.0, before=True)
    assert (few.columns, few.more, few.width) == (3, 0, 9.0)
    many = Legend.of([f"method{i}" for i in range(13)], 4.0, before=False)
    assert many.width == 7.0 and 1 < many.columns < 13 and many.more > 0
    wide = Legend.of(["x" * 300], 4.0, before=False)
    assert wide.columns == 1


@pytest.mark.parametrize("places", [[0.0], [0.0, 0.05], [0.0, 0.5, 0.9, 1.0, 1.05]])
def test_ticks_keep_their_distance_and_the_last(places: list[float]) -> None:
    found = roomy(places, [0.2] * len(places))
    assert found[-1] == len(places) - 1
    ends = [places[i] for i in found]
    assert all(b - a >= 0.2 for a, b in pairwise(ends))


def test_no_colour_comes_back_before_all_are_taken() -> None:
    known = [f"m{i}" for i in range(24)]
    mine = [known[i] for i in (1, 9, 17, 2, 10, 3)]  # alike by their place alone
    found = looks(mine, known)
    assert len({look.colour for look in found.values()}) == len(mine)
    assert found["m1"] == looks(["m1"], known)["m1"]
    every = looks(known, known)
    assert len({(look.colour, look.marker) for look in every.values()}) == len(known)
