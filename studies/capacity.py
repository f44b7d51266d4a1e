"""Capacity: what is left of a model as more and more facts are unlearned at once.

    python studies/capacity.py [HOME [STUDY]]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns), and its study capacity if no other is
named. Prints the numbers at each count of facts, as value [95 % interval] and the count of facts
behind it, and then how many facts each method can unlearn while it keeps 95 % of the utility
that there was, and while it leaves at most one old answer in ten.
"""

import sys

import polars as pl

import ksmith

SHOWN = (
    "efficacy.residual_generated",
    "memory.probability.forget",
    "memory.model_utility.retain",
    "neighborhood.accuracy",
    "same_subject.accuracy",
    "contextual.accuracy",
    "utility.loss",
)
KEPT = 0.95  # of the utility before
LEFT = 0.10  # old answers that may still be written


def bounds(home: str | None, study: str) -> pl.DataFrame:
    """Return method, scale, old answers left, and utility as a share of what it was."""
    rows = ksmith.metrics(study, home).filter(pl.col("hop").is_null())

    def of(probe: str, measure: str, part: str) -> pl.DataFrame:
        mine = rows.filter(probe=probe, measure=measure, slice=part)
        step = pl.when(pl.col("step") == 0).then(pl.lit("before")).otherwise(pl.lit("after"))
        wide = mine.with_columns(step=step).group_by("method", "scale", "step")
        means = wide.agg(pl.col("value").mean())
        return means.pivot("step", index=["method", "scale"], values="value")

    left = of("efficacy", "residual_generated", "").select("method", "scale", left="after")
    utility = of("memory", "model_utility", "retain")
    kept = utility.select("method", "scale", kept=pl.col("after") / pl.col("before"))
    return left.join(kept, on=["method", "scale"]).sort("method", "scale")


def capacity(table: pl.DataFrame) -> pl.DataFrame:
    """Return a row a method: the largest count up to which each bound holds at every count."""

    def up_to(holds: pl.Expr, name: str) -> pl.Expr:
        unbroken = holds.cast(pl.Int8).cum_min().cast(pl.Boolean)
        return pl.col("scale").filter(unbroken).max().alias(name)

    fits, gone = pl.col("kept") >= KEPT, pl.col("left") <= LEFT
    return (
        table.sort("scale")
        .group_by("method", maintain_order=True)
        .agg(
            up_to(fits, "keeps its utility"),
            up_to(gone, "forgets"),
            up_to(fits & gone, "both"),
            pl.col("scale").max().alias("largest tried"),
        )
        .sort("method")
    )


def main(words: list[str]) -> None:
    """Print a row a method and scale, then the capacity of each method, then the findings."""
    home = words[0] if words else None
    study = words[1] if len(words) > 1 else "capacity"
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=240, fmt_str_lengths=100):
        print(ksmith.table(study, SHOWN, ("method", "scale"), home))
        print(capacity(bounds(home, study)))
        found = ksmith.findings(study, home)
        numbers = pl.col("value", "low", "high").round(3)
        print(found.select("verdict", "says", "measure", numbers, "n"))


if __name__ == "__main__":
    main(sys.argv[1:])
