"""The share of hits among independent facts, with Wilson's interval."""

import math
from collections.abc import Sequence

Z = 1.959963984540054  # of 95 %


def share(hits: Sequence[bool]) -> tuple[float, float, float]:
    """Return the share of true values and its 95 % interval (Wilson 1927).

    Unlike the normal approximation, it keeps a width where all or none are hits:

    >>> [round(x, 3) for x in share([True] * 20)]
    [1.0, 0.839, 1.0]

    Raises:
        ValueError: no values.
    """
    n = len(hits)
    if not n:
        raise ValueError("a share of no values")
    p = sum(hits) / n
    scale = 1 + Z * Z / n
    middle = (p + Z * Z / (2 * n)) / scale
    half = Z / scale * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return p, max(0.0, middle - half), min(1.0, middle + half)
