"""The resampling behind the numbers about gold models: what comes up how often, row by row.

Gold seeds and draws cross (each draw has a gold model of each seed), so a replicate draws gold
models, and updates with their subjects, each with replacement, and takes every mean over what
came up: of a distance and of its unit alike.

Such replicates are too narrow where there are few gold seeds, draws or subjects, as those of all
metrics are (`bootstrap`). By how much is found by leaving out. An array of a number has rows:

    the estimate itself
    without draw 0, without draw 1, ...
    other subjects in the same draws, INSIDE times
    without gold seed 0, without gold seed 1, ...
    the replicates
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ksmith.measures.bootstrap import resampled, resampled_inside, widening
from ksmith.measures.gold import Floats, Ints, picked

INSIDE = 200


@dataclass(frozen=True, slots=True)
class Resampled:
    """Which facts belong together, and how often each comes up in each row of an array."""

    unit: Ints  # (questions,) the fact that each is about
    cluster: Ints  # (units,) the subject that each fact is about
    draw: Ints  # (clusters,)
    counts: Floats  # (rows, clusters)
    golds: Floats  # (rows, golds)

    @classmethod
    def of(cls, questions: pl.DataFrame, golds: int, seed: int) -> "Resampled":
        """Return what the bootstrap of `seed` draws."""
        clusters = questions.select("draw", "cluster").unique().sort("draw", "cluster")
        units = questions.select("draw", "cluster", "unit").unique().sort(pl.all())
        row = {key: i for i, key in enumerate(clusters.iter_rows())}
        place = {key: i for i, key in enumerate(units.iter_rows())}
        mine = questions.select("draw", "cluster", "unit").iter_rows()
        draw = clusters["draw"].rank("dense").to_numpy().astype(np.int64) - 1
        others = np.arange(draw[-1] + 1)[:, None] != draw  # (draws, clusters)
        counts = resampled(draw, seed)
        all_golds = np.ones((1 + len(others) + INSIDE, golds))
        return cls(
            unit=np.array([place[key] for key in mine]),
            cluster=np.array([row[key[:2]] for key in units.iter_rows()]),
            draw=draw,
            counts=np.vstack(
                [
                    np.ones(len(draw)),
                    others,
                    resampled_inside(draw, INSIDE, seed),
                    np.ones((golds, len(draw))),
                    counts,
                ]
            ),
            golds=np.vstack([all_golds, 1 + _more(golds) * np.eye(golds), picked(golds, seed)]),
        )

    @property
    def parts(self) -> tuple[slice, slice, slice, slice]:
        """The rows without a draw, of other subjects, without a gold seed, and replicates."""
        ends = np.cumsum([1, self.draw[-1] + 1, INSIDE, self.golds.shape[1]]).tolist()
        without, inside, golds = (slice(ends[i], ends[i + 1]) for i in range(3))
        return without, inside, golds, slice(ends[3], None)

    def stretch(self, many: Floats, draws: Floats, clusters: Floats) -> Floats:
        """Return (columns,) by how much the ends of percentile intervals must move outwards.

        The variance between draws is that of the jackknife (Tukey 1958), as is that between
        gold seeds; that within draws is the bootstrap's own. With two gold models the unit, one
        distance, says nothing about its own doubt, which is then not in the interval.

        Args:
            many: (rows, columns).
            draws: (columns,) how many have a value.
            clusters: (columns,) and subjects.
        """
        without, inside, left, drawn = self.parts
        off = np.nan_to_num(many - many[0])  # of what has no value, nothing can be said
        between = (draws - 1) / np.maximum(draws, 1) * (off[without] ** 2).sum(0)
        spare = np.maximum(clusters - draws, 0)
        within = off[inside].var(0) * clusters / np.maximum(spare, 1) * (spare > 0)
        golds, more = self.golds.shape[1], _more(self.golds.shape[1])
        share = (golds + more) ** 2 / (more**2 * golds * max(golds - 1, 1)) * (golds > 1)
        seeds = share * (off[left] ** 2).sum(0)
        had = np.array([row[np.isfinite(row)].var() for row in many[drawn].T])
        return widening((between, within, seeds), had, (draws - 1, spare, golds - 1))

    def sums(self, values: Floats, rows: Ints) -> tuple[Floats, Floats]:
        """Return (clusters, columns): sums of the facts' means, and how many facts have one.

        Args:
            values: (len(rows), columns); nan is left out.
            rows: the questions that they belong to.
        """
        there = ~np.isnan(values)
        units = np.zeros((2, len(self.cluster), values.shape[1]))
        np.add.at(units[0], self.unit[rows], np.where(there, values, 0.0))
        np.add.at(units[1], self.unit[rows], there)
        asked = units[1] > 0
        found = np.zeros((2, len(self.draw), values.shape[1]))
        means = np.divide(units[0], units[1], out=np.zeros_like(units[0]), where=asked)
        np.add.at(found[0], self.cluster, means)
        np.add.at(found[1], self.cluster, asked)
        return found[0], found[1]


def _more(golds: int) -> float:
    """Return what is added to the weight of one gold model to see what it does: all is taken.

    Of two, one is doubled: alone the other would have no distance to measure by.
    """
    return -1.0 if golds > 2 else 1.0
