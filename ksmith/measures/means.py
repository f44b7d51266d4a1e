"""Means over facts, side by side, with what their intervals are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ksmith.measures.bootstrap import (
    percentiles,
    replicates,
    resampled,
    stretch,
    unseen_share,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KEYS = ("step", "probe", "measure", "slice", "hop")  # of a metric; hop -1: over all hops


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Columns of means, side by side: (columns,) each.

    Columns of the same values of the same facts are resampled once: `place` says which of the
    columns of `sampled`, (replicates, distinct columns), belongs to each.
    """

    value: Floats
    n: Floats  # facts
    clusters: Floats  # subjects
    draws: Floats
    constant: NDArray[np.bool_]  # all facts have the same value
    sampled: Floats
    place: Ints
    stretch: Floats  # what few draws or subjects add to the width of a bootstrap's interval

    def interval(
        self, low: Floats, high: Floats
    ) -> tuple[list[float | None], list[float | None]]:
        """Return the ends of the 95 % intervals of values that lie in `low` to `high`.

        They are percentiles of the hierarchical bootstrap, moved outwards by `stretch`.

        Departs: resampling a constant gives an interval without width, however few facts there
        are. There, the ends are what they would be if what may well have been missed (an exact
        binomial limit) all lay at the bound. It is counted in draws, not in facts: facts of one
        update stand or fall together by an unknown degree, which is just what a constant can't
        show. If draws have rates X of mean p, all k facts of m draws succeed with probability
        E[X^k]^m, at most p^m whatever the distribution of X, so the limit of m covers always;
        that of n = m k facts only where draws do not differ. One draw says nothing about
        others: its interval is about other subjects of the same update.
        """
        lower, upper = (ends[self.place] for ends in percentiles(self.sampled))
        lower = self.value - self.stretch * np.maximum(self.value - lower, 0)
        upper = self.value + self.stretch * np.maximum(upper - self.value, 0)
        lower, upper = np.maximum(lower, low), np.minimum(upper, high)
        slack = unseen_share(np.where(self.draws > 1, self.draws, np.maximum(self.clusters, 1)))
        bounded = self.constant & np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            lower = np.where(bounded, self.value - slack * (self.value - low), lower)
            upper = np.where(bounded, self.value + slack * (high - self.value), upper)
        enough = (self.n >= 2) & (self.clusters >= 2)
        return _where(enough, lower), _where(enough, upper)


def joined(several: Sequence[Means]) -> Means:
    """Return the columns of all, in order."""
    sizes = [means.sampled.shape[1] for means in several]
    starts = np.cumsum([0, *sizes[:-1]])

    def end_to_end(name: str) -> Any:
        return np.concatenate([getattr(means, name) for means in several])

    return Means(
        **{name: end_to_end(name) for name in OF_COLUMNS},
        sampled=np.hstack([means.sampled for means in several]),
        place=np.concatenate(
            [m.place + start for m, start in zip(several, starts, strict=True)]
        ),
    )


OF_COLUMNS = ("value", "n", "clusters", "draws", "constant", "stretch")


def _where(enough: NDArray[np.bool_], ends: Floats) -> list[float | None]:
    return [float(e) if ok else None for ok, e in zip(enough, ends, strict=True)]


def means(table: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, Means]:
    """Return the distinct KEYS of a table of facts of one family, sorted, and their means."""
    keys, column = _numbered(table, *KEYS)
    clusters, row = _numbered(table, "draw", "cluster")
    value = table["value"].to_numpy()
    shape = (len(keys), len(clusters))
    flat = column * shape[1] + row
    total = np.bincount(flat, value, shape[0] * shape[1]).reshape(shape).astype(np.float64)
    n = np.bincount(flat, minlength=total.size).reshape(shape).astype(np.float64)
    draws = clusters["draw"].rank("dense").to_numpy().astype(np.int64) - 1
    first, place = _distinct(np.hstack([total, n]))
    own = total[first].T, n[first].T
    of_draws = np.add.reduceat(n, np.flatnonzero(np.diff(draws, prepend=-1)), axis=1)
    return keys, Means(
        value=total.sum(1) / n.sum(1),
        n=n.sum(1),
        clusters=(n > 0).sum(1).astype(np.float64),
        draws=(of_draws > 0).sum(1).astype(np.float64),
        constant=_constant(column, value, len(keys)),
        sampled=replicates(resampled(draws, seed), *own),
        place=place,
        stretch=stretch(draws, *own)[place],
    )


def _numbered(table: pl.DataFrame, *names: str) -> tuple[pl.DataFrame, Ints]:
    """Return the distinct values of some columns, sorted, and which of them each row has."""
    rows = table.select(*names, rows=pl.int_range(pl.len()))
    found = rows.group_by(names).agg("rows", size=pl.len()).sort(names)
    number = np.empty(len(table), np.int64)
    number[found["rows"].explode().to_numpy()] = np.repeat(np.arange(len(found)), found["size"])
    return found.select(names), number


def _distinct(rows: Floats) -> tuple[list[int], Ints]:
    """Return the number of one row of each kind, and which kind each row is of.

    Many measures and slices say the same of the same facts (all of them known, say), and are
    resampled once: a third of the columns of a trial is different, or less.
    """
    kinds: dict[bytes, int] = {}
    place = [kinds.setdefault(row.tobytes(), len(kinds)) for row in rows]
    first = dict(zip(reversed(place), reversed(range(len(place))), strict=True))
    return [first[kind] for kind in range(len(kinds))], np.array(place, dtype=np.int64)


def _constant(column: Ints, value: Floats, columns: int) -> NDArray[np.bool_]:
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    np.minimum.at(low, column, value)
    np.maximum.at(high, column, value)
    return low == high
