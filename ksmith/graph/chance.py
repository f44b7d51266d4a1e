"""Draws that a name decides: a few numbers for each of a million names, without a generator each.

A `random.Random` takes longer to seed than a question takes to make. Here the numbers are read
off the BLAKE2b digest of the name, 512 bits at a time; which come out depends on the name alone,
on any machine and in any version of Python.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TypeVar, final

Item = TypeVar("Item")

BITS = 512  # of a digest
SPARE = 64  # bits that are always left over: no number is likelier than another by 2 ** -64


@final
class Chance:
    """Draws called `names`: other names, independent draws."""

    __slots__ = ("_bits", "_block", "_left", "_name")

    def __init__(self, *names: str | int) -> None:
        self._name = "\0".join(map(str, names)).encode()
        self._bits = int.from_bytes(blake2b(self._name).digest(), "little")
        self._left = BITS
        self._block = 0

    def below(self, n: int) -> int:
        """Return a whole number from 0 to `n` - 1."""
        size = n.bit_length()
        if self._left < size + SPARE:
            self._block += 1
            key = self._block.to_bytes(8, "little")
            self._bits = int.from_bytes(blake2b(self._name, key=key).digest(), "little")
            self._left = BITS
        self._left -= size
        self._bits, found = divmod(self._bits, n)
        return found

    def choice(self, pool: Sequence[Item]) -> Item:
        """Return one of `pool`."""
        return pool[self.below(len(pool))]

    def order(self, pool: Sequence[Item]) -> Iterator[Item]:
        """Yield all of `pool`, each once, in a drawn order; what nobody asks for costs nothing."""
        moved: dict[int, int] = {}
        for place in range(left := len(pool)):
            drawn = place + self.below(left - place)
            yield pool[moved.get(drawn, drawn)]
            moved[drawn] = moved.get(place, place)

    def sample(self, pool: Sequence[Item], n: int) -> list[Item]:
        """Return `n` of `pool`, or all where there are fewer, in a drawn order."""
        return list(islice(self.order(pool), n))
