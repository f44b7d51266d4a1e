"""Heads sit where attention looks for them, and come back as they were."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.lm.seats import Seats

WIDTH = 3


@given(
    there=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4),
    groups=st.integers(1, 2),
    each=st.integers(1, 2),
)
@settings(max_examples=30, deadline=None)
def test_heads_sit_by_row_group_and_place(
    there: list[list[bool]], groups: int, each: int
) -> None:
    held = torch.tensor(there)
    place = held.flatten().nonzero()[:, 0]
    n, t, heads, first = len(there), 3, groups * each, 2  # two tokens before have no seat
    token = torch.arange(first, first + len(place))
    seats = Seats.of(place, token, (n, t, heads, groups))
    x = torch.arange(1.0, 1 + (first + len(place)) * heads * WIDTH).view(-1, heads, WIDTH)

    wanted = torch.zeros(n, t, groups, each, WIDTH)
    wanted[held] = x[first:].view(-1, groups, each, WIDTH)
    wanted = wanted.permute(0, 2, 3, 1, 4).reshape(n * groups, each * t, WIDTH)
    assert torch.equal(seats.gradient(x), wanted)
    taken = (wanted != 0).any(-1)
    assert torch.equal(seats.filled(x)[taken], wanted[taken])

    back = torch.empty(len(place), heads * WIDTH)
    seats.left(wanted, back)
    assert torch.equal(back, x[first:].flatten(1))


def test_some_of_the_first_may_be_left_out() -> None:
    seats = Seats.of(torch.tensor([0, 2, 3]), torch.arange(3), (2, 2, 2, 1))
    x = torch.randn(3, 2, WIDTH)
    rest = torch.empty(2, 2, WIDTH)
    seats.left(seats.filled(x), rest, skip=1)
    assert torch.equal(rest, x[1:])
