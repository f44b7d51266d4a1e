"""Unlearning: what each method leaves of a forget set, and whether a gold model can be told apart.

    python studies/unlearning.py [HOME [STUDY]]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns), and its study unlearning if no other is
named. Prints what is left and what is kept at each share forgotten, as value [95 % interval] and
the count of facts behind it; then how far each method is from gold models, in units of the gold
model that is farthest from the others: within is an interval up to 1, outside one above it.
`unedited` is the control, the model before the update. Numbers are means over the seeds.
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
    "utility.loss",
)
MARGINS = (
    ("ks_margin", "forget"),
    ("kl_margin", "forget"),
    ("kl_margin", "retain"),
)
CONTROL = "unedited"


def distances(home: str | None, study: str) -> pl.DataFrame:
    """Return a row a share and method, the control among them; a column a distance."""
    rows = ksmith.pooled(study, ("share", "method"), home)
    wanted = [(pl.col("measure") == name) & (pl.col("slice") == part) for name, part in MARGINS]
    value, low, high = (pl.col(x).round(2).cast(pl.String) for x in ("value", "low", "high"))
    within = (
        pl.when(pl.col("high") <= 1)
        .then(pl.lit("within"))
        .when(pl.col("low") > 1)
        .then(pl.lit("outside"))
        .otherwise(pl.lit("undecided"))
    )
    before = pl.col("step") == 0
    told = (
        rows.filter(pl.col("probe") == "memory", pl.any_horizontal(wanted))
        .with_columns(
            method=pl.when(before).then(pl.lit(CONTROL)).otherwise("method"),
            told=pl.format("{} [{}, {}] {} {}", value, low, high, "n", within),
        )
        # Every method of a share says the same about the model before the update.
        .unique(["share", "method", "metric"], keep="first", maintain_order=True)
    )
    wide = told.pivot("metric", index=["share", "method"], values="told")
    return wide.sort("share", "method")


def main(words: list[str]) -> None:
    """Print a row a share and method, then the distances to gold models, then the findings."""
    home = words[0] if words else None
    study = words[1] if len(words) > 1 else "unlearning"
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=240, fmt_str_lengths=100):
        print(ksmith.table(study, SHOWN, ("share", "method"), home))
        print(distances(home, study))
        found = ksmith.findings(study, home)
        numbers = pl.col("value", "low", "high").round(3)
        print(found.select("verdict", "says", "measure", numbers, "n"))


if __name__ == "__main__":
    main(sys.argv[1:])
