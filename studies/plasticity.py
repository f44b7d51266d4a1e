"""Plasticity: how much each method writes, and what it breaks, by level and scale.

    python studies/plasticity.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). A number stands with its 95 % interval
and with n, the count of facts behind it.
"""

import sys

import polars as pl

import ksmith

SHOWN = (
    ("efficacy", "generated"),
    ("paraphrase", "success"),
    ("neighborhood", "success"),
    ("same_subject", "accuracy"),
)


def curves(home: str | None = None) -> pl.DataFrame:
    """Return value, interval and n of the shown metrics, one row a trial and metric."""
    metrics = ksmith.metrics(study="plasticity", home=home)
    wanted = [
        (pl.col("probe") == probe) & (pl.col("measure") == measure) for probe, measure in SHOWN
    ]
    return (
        metrics.filter(pl.col("step") == 1, pl.col("slice") == "", pl.col("hop").is_null())
        .filter(pl.any_horizontal(wanted))
        .select(
            "method",
            "level",
            "scale",
            pl.concat_str("probe", "measure", separator=".").alias("metric"),
            "value",
            "low",
            "high",
            "n",
        )
        .sort("metric", "level", "method", "scale")
    )


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a method, level and scale; each metric as `value [low, high]`."""

    def rounded(name: str) -> pl.Expr:
        return pl.col(name).round(2).cast(pl.String)

    shown = pl.format("{} [{}, {}]", rounded("value"), rounded("low"), rounded("high"))
    return (
        rows.with_columns(shown.fill_null(rounded("value")).alias("shown"))
        .pivot("metric", index=["method", "level", "scale"], values="shown")
        .join(
            rows.group_by("method", "level", "scale").agg(pl.col("n").max()),
            on=["method", "level", "scale"],
        )
        .sort("scale", "level", "method")
    )


def main(words: list[str]) -> None:
    """Print the table, then what efficacy loses from the smallest scale to the largest."""
    rows = curves(words[0] if words else None)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=160,
        fmt_str_lengths=40,
        tbl_hide_dataframe_shape=True,
    ):
        print(table(rows))
        lost = (
            rows.filter(pl.col("metric") == "efficacy.generated")
            .sort("scale")
            .group_by("method", "level", maintain_order=True)
            .agg(
                pl.col("scale").first().alias("from"),
                pl.col("scale").last().alias("to"),
                (pl.col("value").first() - pl.col("value").last()).round(3).alias("lost"),
            )
        )
        print(lost.sort("level", "method"))


if __name__ == "__main__":
    main(sys.argv[1:])
