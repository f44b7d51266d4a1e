"""Consistency: direct and reverse answers as more facts are updated at once.

    python studies/consistency.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). Prints whether each finding of the study
file holds, then the numbers behind it, as value [95 % interval] and the count of facts.
"""

import sys

import polars as pl

import ksmith

SHOWN = (
    "spread.direct",
    "spread.reverse",
    "spread.consistency",
    "spread.agree",
)
BY = ("method", "level", "scale")


def main(words: list[str]) -> None:
    """Print the findings, then a row a trial."""
    home = words[0] if words else None
    found = ksmith.findings("consistency", home).select(
        "verdict", "says", "measure", pl.col("value", "low", "high").round(3), "n"
    )
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=100):
        print(found)
        print(ksmith.table("consistency", SHOWN, BY, home))


if __name__ == "__main__":
    main(sys.argv[1:])
