"""Tables of facts: what is taken slice by slice at once is what each slice gives alone."""

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from ksmith.measures.facts import ALL_HOPS, SCHEMA, of_columns, within
from ksmith.measures.means import joined, means

SLICES = {"": pl.lit(True), "odd": pl.col("x") % 2 == 1, "none": pl.col("x") > 99}


def rows() -> pl.DataFrame:
    """Return 12 questions of 4 facts; the last has no value in b."""
    number = pl.int_range(12, eager=True)
    return pl.DataFrame({"x": [*range(11), None], "a": number / 3}).with_columns(
        step=1, probe=pl.lit("p"), family=pl.lit(""), hop=ALL_HOPS, draw=pl.lit(0, pl.Int32),
        cluster=(number % 2).cast(pl.String), unit=(number % 4).cast(pl.String),
        b=pl.when(number % 4 < 3).then(number * 2.0),
    )  # fmt: skip


def test_a_row_is_in_all_its_slices_in_its_place() -> None:
    found = within(rows(), SLICES)
    for name, inside in SLICES.items():
        alone = rows().filter(inside)  # where nothing is known, it is in none
        assert_frame_equal(found.filter(slice=name).drop("slice"), alone)


def test_means_are_those_of_each_slice_alone() -> None:
    found = of_columns(within(rows(), SLICES), ("a", "b"))
    assert found.schema == pl.Schema(SCHEMA)
    for name, inside in SLICES.items():
        for measure in ("a", "b"):
            alone = rows().filter(inside).group_by("unit").agg(value=pl.col(measure).mean())
            mine = found.filter(slice=name, measure=measure).select("unit", "value")
            assert_frame_equal(mine, alone.drop_nulls(), check_row_order=False)


def test_what_is_the_same_is_resampled_once_and_nothing_else() -> None:
    values = np.random.default_rng(0).random(12)
    tables = [
        rows().with_columns(
            measure=pl.lit(name), slice=pl.lit(""), unit="x", value=pl.Series(of)
        )
        for name, of in (("a", values), ("b", 1 - values), ("c", values))
    ]
    _, together = means(pl.concat(tables), 0)
    assert together.sampled.shape[1] == 2
    assert together.place.tolist() == [0, 1, 0]
    apart = joined([means(table, 0)[1] for table in tables])
    assert apart.sampled.shape[1] == 3
    ends = [
        np.array(x.interval(np.zeros(3), np.ones(3)), np.float64) for x in (together, apart)
    ]
    np.testing.assert_allclose(ends[0], ends[1])
    np.testing.assert_allclose(
        together.value, [values.mean(), 1 - values.mean(), values.mean()]
    )
