"""Sequence: what is learnt, kept and forgotten as facts are written one after another.

    python studies/sequence.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). A number stands with its 95 % interval
and with n, the count of facts (of draws for the signs of forgetting).
"""

import sys

import polars as pl

import ksmith

SHOWN = (
    ("sequence", "proficiency_success"),
    ("sequence", "learnt"),
    ("sequence", "forgotten"),
    ("sequence", "forgotten_now"),
    ("efficacy", "generated"),
    ("neighborhood", "success"),
    ("same_subject", "accuracy"),
    ("drift", "relative"),
)
SIGNS = ("gradual", "catastrophic_success", "catastrophic_norm")


def curves(home: str | None = None) -> pl.DataFrame:
    """Return value, interval and n of the shown metrics at each checkpoint, in order."""
    wanted = pl.any_horizontal(
        [(pl.col("probe") == probe) & (pl.col("measure") == name) for probe, name in SHOWN]
    )
    return (
        ksmith.metrics(study="sequence", home=home)
        .filter(pl.col("step") > 0, pl.col("slice") == "", pl.col("hop").is_null(), wanted)
        .select(
            "method",
            pl.col("step").alias("facts"),
            pl.concat_str("probe", "measure", separator=".").alias("metric"),
            "value",
            "low",
            "high",
            "n",
        )
        .sort("metric", "method", "facts", maintain_order=True)
    )


def table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row a method and metric, one column a checkpoint: `value [low, high]`."""

    def rounded(name: str) -> pl.Expr:
        return pl.col(name).round(2).cast(pl.String)

    shown = pl.format("{} [{}, {}]", rounded("value"), rounded("low"), rounded("high"))
    return (
        rows.with_columns(shown.fill_null(rounded("value")).alias("shown"))
        .pivot("facts", index=["metric", "method"], values="shown")
        .sort("metric", "method", maintain_order=True)
    )


def signs(home: str | None = None) -> pl.DataFrame:
    """Return one row a method and sign: the share of draws that show it, by checkpoint."""
    return (
        ksmith.metrics(study="sequence", home=home)
        .filter(pl.col("probe") == "sequence", pl.col("measure").is_in(SIGNS))
        .with_columns(pl.col("value").round(2))
        .pivot("step", index=["method", "measure", "n"], values="value")
        .sort("measure", "method")
    )


def main(words: list[str]) -> None:
    """Print the curves, when forgetting begins, and what of the paper holds here."""
    home = words[0] if words else None
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=220,
        fmt_str_lengths=90,
        tbl_hide_dataframe_shape=True,
    ):
        print(table(curves(home)))
        print(signs(home))
        findings = ksmith.findings("sequence", home)
        print(findings.select("says", "value", "low", "high", "n", "verdict"))


if __name__ == "__main__":
    main(sys.argv[1:])
