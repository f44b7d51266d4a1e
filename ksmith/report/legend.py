"""Where names in a figure have room: those of the legend, those along an axis. In inches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

LEAST_WIDTH = 7.0  # of a figure, if there is that much to name


@dataclass(frozen=True, slots=True)
class Legend:
    """How the legend lies above all panels, in lines of so many columns; in inches."""

    width: float  # of the whole figure
    columns: int
    more: float  # height beyond that of one line
    before: bool  # whether the model before the update is in it

    @classmethod
    def of(cls, series: Iterable[str], width: float, *, before: bool) -> "Legend":
        """Return the legend of a figure whose panels take `width`."""
        names = [*series, *(["before the update"] if before else [])]
        width = max(width, min(_across(names, len(names)), LEAST_WIDTH))
        fitting = (n for n in range(len(names), 1, -1) if _across(names, n) <= width)
        columns = next(fitting, 1)
        return cls(width, columns, 0.18 * (ceil(len(names) / columns) - 1), before)


def _across(names: Sequence[str], columns: int) -> float:
    """Return how wide a legend is, which is filled column by column."""
    rows, more = divmod(len(names), columns)
    ends = [(i + 1) * rows + min(i + 1, more) for i in range(columns)]
    parts = [names[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return sum(0.55 + 0.072 * max(map(len, part)) for part in parts)


def roomy(places: Sequence[float], widths: Sequence[float]) -> list[int]:
    """Return which of some names, centred at ascending places, don't overlap: the last does not.

    >>> roomy([0.0, 0.1, 0.5, 0.6], [0.2, 0.2, 0.2, 0.2])
    [0, 3]
    """
    last = len(places) - 1
    found: list[int] = []
    for i, (place, width) in enumerate(zip(places, widths, strict=True)):
        before = not found or place - places[found[-1]] >= (width + widths[found[-1]]) / 2
        after = i == last or places[last] - place >= (width + widths[last]) / 2
        if before and after:
            found.append(i)
    return found
