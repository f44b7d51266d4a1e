"""CounterFact's own scores of each method, by the number of edits at once.

    python studies/counterfact.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). Prints S, ES, PS and NS (success is
p(new) > p(old), as in the benchmark), then the magnitudes EM, PM and NM, then what is stricter
than success: accuracies, the written answer and the subject's other facts; as value
[95 % interval] and the count of records.
"""

import sys

import polars as pl

import ksmith

SUCCESS = (
    "counterfact.score",
    "efficacy.success",
    "paraphrase.success",
    "neighborhood.success",
)
MAGNITUDE = ("efficacy.magnitude", "paraphrase.magnitude", "neighborhood.magnitude")
BESIDE = (
    "efficacy.accuracy",
    "paraphrase.accuracy",
    "neighborhood.accuracy",
    "efficacy.generated",
    "same_subject.accuracy",
)
BY = ("method", "scale")


def main(words: list[str]) -> None:
    """Print three rows a trial."""
    home = words[0] if words else None
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=100):
        for shown in (SUCCESS, MAGNITUDE, BESIDE):
            print(ksmith.table("counterfact", shown, BY, home))


if __name__ == "__main__":
    main(sys.argv[1:])
