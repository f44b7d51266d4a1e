"""Keep: what one edit does to the subject's other facts, by what the search for a value keeps.

    python studies/keep.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). Prints whether each finding of the study
file holds, the numbers behind it, as value [95 % interval] and the count of facts, and then the
other facts apart: those whose relation may have been kept, and those that never are.
"""

import sys

import polars as pl

import ksmith
from ksmith.graph.knowledge import set_aside

SHOWN = (
    "efficacy.success",
    "efficacy.accuracy",
    "paraphrase.success.unseen",
    "neighborhood.success",
    "same_subject.accuracy",
    "multi_hop.accuracy",
)
ARMS = ("method", "keep", "kl_weight")


def arms(home: str | None) -> pl.DataFrame:
    """Return trial, method, keep and kl_weight; each method's settings have its own name."""
    trials = ksmith.trials("keep", home)

    def own(leaf: str) -> pl.Expr:
        columns = [name for name in trials.columns if name.endswith(f".{leaf}")]
        return pl.coalesce(columns) if columns else pl.lit(None)

    # At its default `keep` is left out of a trial's settings.
    keep = own("keep").cast(pl.String).fill_null("essence")
    return trials.select("trial", "method", keep=keep, kl_weight=own("kl_weight"))


def apart(home: str | None) -> pl.DataFrame:
    """Return how many of the subject's other facts are right, by whether they may be kept."""
    asked = (
        ksmith.answers("keep", home)
        .filter(pl.col("probe") == "same_subject")
        .select("trial", "step", "fact", right=pl.col("argmax").list.get(pl.col("right")))
        .collect()
    )
    never = {name: set_aside(name) for name in asked["fact"].unique()}
    asked = asked.with_columns(never_kept=pl.col("fact").replace_strict(never))
    by = (*ARMS, "step", "never_kept")
    found = asked.join(arms(home), on="trial").group_by(by)
    return found.agg(accuracy=pl.col("right").mean().round(3), n=pl.len()).sort(by)


def main(words: list[str]) -> None:
    """Print the findings, a row a trial, and what was kept unasked."""
    home = words[0] if words else None
    found = ksmith.findings("keep", home).select(
        "verdict", "says", "measure", pl.col("value", "low", "high").round(3), "n"
    )
    table = ksmith.table("keep", SHOWN, ("trial",), home)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=100):
        print(found)
        print(arms(home).join(table, on="trial").sort(ARMS).drop("trial"))
        print(apart(home))


if __name__ == "__main__":
    main(sys.argv[1:])
