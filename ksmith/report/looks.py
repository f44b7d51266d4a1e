"""The colours and markers of figures.

Every colour here is a stand-in that becomes a CSS variable in the SVG, so that one drawing serves
light and dark pages.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

INK, FAINT, GRID = "#010101", "#020202", "#030303"
METHODS = [f"#0500{number:02x}" for number in range(8)]
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    GRID: "--grid",
    **{colour: f"--method-{number}" for number, colour in enumerate(METHODS)},
}
MANY = 6  # of more series, what lies behind is drawn faintly
DASHES = (0, (2, 2))
MARKERS = "osD^vPX"  # 7 and 8 have no common divisor: 56 pairs before one comes back


@dataclass(frozen=True, slots=True)
class Look:
    """The colour and the marker of one series, the same in every figure."""

    colour: str
    marker: str


def looks(series: Sequence[str], known: Sequence[str]) -> dict[str, Look]:
    """Return a look for each series; a method of `known` has the same in every report."""
    places: dict[str, int] = {}
    for name in series:
        method = name.partition(" ")[0]
        place = known.index(method) if method in known and name == method else len(known)
        # No colour comes back before all others have been taken.
        rounds = len(places) // len(METHODS)
        used = Counter(taken % len(METHODS) for taken in places.values())
        while place in places.values() or used[place % len(METHODS)] > rounds:
            place += 1
        places[name] = place
    return {
        name: Look(METHODS[place % len(METHODS)], MARKERS[place % len(MARKERS)])
        for name, place in places.items()
    }
