"""zsRE's own scores of each method, by the number of edits at once.

    python studies/zsre.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). Prints whether each finding of the study
file holds, then rewrite, paraphrase and neighborhood accuracy by tokens with their harmonic mean,
and beside them, by other names, EasyEdit's locality and the subject's other facts; as value
[95 % interval] and the count of records.
"""

import sys

import polars as pl

import ksmith

ZSRE = (
    "zsre.score",
    "efficacy.token_accuracy",
    "paraphrase.token_accuracy",
    "paraphrase.token_accuracy.unseen",
    "neighborhood.token_accuracy",
)
BESIDE = (
    "neighborhood.kept_tokens",
    "efficacy.accuracy",
    "efficacy.success",
    "same_subject.accuracy",
)
BY = ("method", "scale")


def main(words: list[str]) -> None:
    """Print the findings, then two rows a trial."""
    home = words[0] if words else None
    found = ksmith.findings("zsre", home).select(
        "verdict", "says", "measure", pl.col("value", "low", "high").round(3), "n"
    )
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=100):
        print(found)
        print(ksmith.table("zsre", ZSRE, BY, home))
        print(ksmith.table("zsre", BESIDE, BY, home))


if __name__ == "__main__":
    main(sys.argv[1:])
