"""Heads of tokens in the order that attention wants, and back.

Rows have different lengths. What is done token by token is done for the tokens that there are,
one after another; attention alone has a rectangle of places for each row, some of them empty.
One list of numbers for each way moves heads there and back in one go, whatever rows look like.

Shapes: n rows of t places, N tokens, of which L have a place, H heads, G groups of them that
share keys and values, e = width of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Seats:
    """Where the heads of some tokens sit."""

    sitting: Tensor  # (n H t,) who sits there: token * H + head; anyone where it is empty
    seat: Tensor  # (L H,) where each token's heads sit
    taken: Tensor | None  # (n G, H/G t, 1) 0 where it is empty, else 1; None: none is
    n: int
    heads: int
    groups: int

    @classmethod
    def of(cls, place: Tensor, token: Tensor, shape: tuple[int, int, int, int]) -> "Seats":
        """Return the seats of L tokens.

        Args:
            place: (L,) of n t.
            token: (L,) their numbers.
            shape: n, t, H and G.
        """
        n, t, heads, groups = shape
        head = torch.arange(heads, device=place.device)
        row, column = place[:, None] // max(t, 1), place[:, None] % max(t, 1)
        seat = ((row * heads + head) * t + column).flatten()
        sitting = seat.new_zeros(n * heads * t)
        sitting[seat] = (token[:, None] * heads + head).flatten()
        taken = None
        if len(place) < n * t:
            taken = torch.zeros(n * heads * t, device=place.device)
            taken[seat] = 1
            taken = taken.view(n * groups, -1, 1)
        return cls(sitting, seat, taken, n, heads, groups)

    def filled(self, x: Tensor) -> Tensor:
        """Return (n G, H/G t, e) of heads (N, H, e); anything where nobody sits."""
        width = x.shape[-1]
        found = x.reshape(-1, width).index_select(0, self.sitting)
        return found.view(self.n * self.groups, -1, width)

    def gradient(self, x: Tensor) -> Tensor:
        """Return (n G, H/G t, e) of heads (N, H, e); 0 where nobody sits."""
        found = self.filled(x)
        return found if self.taken is None else found.mul_(self.taken.to(found.dtype))

    def left(self, x: Tensor, into: Tensor, skip: int = 0) -> None:
        """Write (n G, H/G t, e) into tokens, (L, H e) or (L, H, e), all but the first `skip`."""
        width = x.shape[-1]
        seat = self.seat[skip * self.heads :]
        torch.index_select(x.reshape(-1, width), 0, seat, out=into.view(-1, width))
