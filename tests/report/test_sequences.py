"""Sequences in the report: their curves and signs apart from updates at once."""

import polars as pl
import pytest

from ksmith.report.html import join
from ksmith.report.results import results
from ksmith.report.sequences import begins, split
from tests.report.made_up import content, few, headline, metrics
from tests.report.test_report import read

SIGNS = ("gradual", "catastrophic_norm")


def long() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return trials of which those of scale 10 are sequences of 20 facts, and their metrics."""
    trials = few()
    once = headline(metrics(trials))
    size = pl.when(pl.col("task.scale") == 10).then(20)
    trials = trials.with_columns(size.alias("task.sequence"), pl.lit(1).alias("task.scale"))
    chained = trials.filter(pl.col("task.sequence").is_not_null())["trial"]
    mine = pl.col("trial").is_in(chained.to_list())
    after = once.filter(mine, pl.col("step") > 0)
    ways = [
        after.with_columns(step=pl.lit(step, pl.Int64), value=0.9 - step / 50)
        for step in (1, 5, 20)
    ]
    own = [
        way.filter(probe="efficacy", slice="").with_columns(
            probe=pl.lit("sequence"),
            measure=pl.lit(name),
            value=pl.lit(step / 20, pl.Float64),
            low=pl.lit(step / 20, pl.Float64),
            high=pl.lit(step / 20, pl.Float64),
            n=pl.lit(4, pl.Int64),
        )
        for way, step in zip(ways, (1, 5, 20), strict=True)
        for name in (*SIGNS, "proficiency_success", "forgotten")
    ]
    return trials, pl.concat([once.filter(~mine | (pl.col("step") == 0)), *ways, *own])


def test_sequences_are_told_apart_and_counted_by_their_facts() -> None:
    trials, table = long()
    once, chains = split(content(trials=trials, metrics=table))
    assert set(once.trials["task.scale"]) == {1}
    assert set(chains.trials["task.scale"]) == {20} == set(chains.metrics["scale"])
    assert set(once.metrics["trial"]) == set(once.trials["trial"])
    assert once.metrics.columns == table.columns
    plain = content()
    assert split(plain)[0] is plain and split(plain)[1].trials.is_empty()


def test_a_share_counts_by_the_facts_of_a_draw() -> None:
    trials = few().with_columns(
        pl.lit(4).alias("task.draws"),
        pl.when(pl.col("task.scale") == 10).then(0.2).alias("task.share"),
    )
    table = metrics(trials)  # 20 facts each: 5 a draw
    pages = content(trials=trials, metrics=table)
    once, _ = split(pages)
    sizes = once.trials.select("task.share", "task.scale").unique().sort("task.scale").rows()
    assert sizes == [(None, 1), (0.2, 5)]
    assert set(once.metrics["scale"]) == {1, 5}
    told = str(join(list(results(pages))))
    assert "share=" not in told  # follows from the scale
    waiting = split(content(trials=trials, metrics=table.clear()))[0].trials
    assert set(waiting["task.scale"]) == {1, 10}


def test_page_shows_the_way_and_the_end() -> None:
    trials, table = long()
    page = str(join(list(results(content(trials=trials, metrics=table)))))
    told = " ".join(read(page).texts)
    for words in (
        "Sequences, editing",
        "Along a sequence of 20 facts",
        "Methods, at the end of sequences",
        "leaf, 20 facts one after another",
        "leaf, 1 fact at once",
        "catastrophic, by norm",
        "20 [20, 20] (100 % of 4)",
    ):
        assert words in told, words
    assert "catastrophic, by success" not in told  # nobody measured it
    ends = page[page.index("at the end of sequences") :]
    assert ".50" in ends and ".88" not in ends  # .9 - 20/50, not .9 - 1/50


def rows(*values: tuple[int, float, float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"step": s, "value": v, "low": low, "high": high, "n": 4}
            for s, v, low, high in values
        ],
        {
            "step": pl.Int64,
            "value": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "n": pl.Int64,
        },
    )


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (rows(), "-"),
        (rows((1, 0.0, 0.0, 0.2), (5, 0.0, 0.0, 0.2)), "none (0 % of 4)"),
        (rows((1, 0.0, 0.0, 0.6), (5, 0.5, 0.1, 0.9)), "5 [1, beyond] (50 % of 4)"),
        (rows((1, 0.2, 0.0, 0.6), (5, 1.0, 0.6, 1.0)), "5 [1, 5] (100 % of 4)"),
        (rows((1, 0.0, 0.0, 0.6), (5, 0.2, 0.0, 0.6)), "beyond [1, beyond] (20 % of 4)"),
        (rows((1, 0.0, None, None), (5, 1.0, None, None)), "5 (100 % of 4)"),
        (rows((1, 0.0, None, None)), "not half (0 % of 4)"),
    ],
)
def test_where_half_of_the_draws_show_a_sign(table: pl.DataFrame, told: str) -> None:
    assert begins(table) == told


def test_sets_have_a_row_a_checkpoint() -> None:
    trials, table = long()
    head = table.filter(pl.col("step") > 0, pl.col("scale") == 10, probe="efficacy", slice="")
    head = head.filter(measure="generated")
    parts = [
        head.with_columns(probe=pl.lit("memory"), measure=pl.lit(measure), slice=pl.lit(part))
        for measure, part in (("probability", "forget"), ("krr_exact", "retain.near"))
    ]
    page = str(join(list(results(content(trials=trials, metrics=pl.concat([table, *parts]))))))
    told = " ".join(" ".join(read(page).texts).split())
    way = told.split("What is left of the sets, batch after batch")[1].split("at the end of")[0]
    assert "task.gold is refused" in way
    for step, value in ((1, ".88"), (5, ".80"), (20, ".50")):
        assert f" {step} {value} " in way
    assert "What is left of the sets" not in str(
        join(
            list(
                results(
                    content(trials=trials, metrics=table.filter(pl.col("probe") != "memory"))
                )
            )
        )
    )
