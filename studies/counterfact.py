"""CounterFact's own scores: ES, PS, NS and S of each method, by the number of edits at once.

    python studies/counterfact.py [HOME]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns). Success is p(new) > p(old), as in the
benchmark; the share of right generated answers stands beside it. n counts records.
"""

import sys

import polars as pl

import ksmith

NAMES = {
    "efficacy.success": "ES",
    "paraphrase.success": "PS",
    "neighborhood.success": "NS",
    "same_subject.accuracy": "same subject",
    "efficacy.generated": "generated",
}


def scores(home: str | None = None) -> pl.DataFrame:
    """Return one row a method and scale, each score as `value [low, high]`."""
    metrics = ksmith.metrics(study="counterfact", home=home).with_columns(
        metric=pl.concat_str("probe", "measure", separator=".")
    )
    shown = metrics.filter(
        pl.col("step") == 1,
        pl.col("slice") == "",
        pl.col("hop").is_null(),
        pl.col("metric").is_in(list(NAMES)),
    ).with_columns(
        name=pl.col("metric").replace_strict(NAMES),
        text=pl.format("{} [{}, {}]", *(pl.col(c).round(3) for c in ("value", "low", "high"))),
    )
    index = ["method", "scale"]
    return (
        shown.pivot("name", index=index, values="text")
        .join(shown.group_by(index).agg(n=pl.col("n").max()), on=index)
        .select(*index, *(name for name in NAMES.values() if name in shown["name"]), "n")
        .sort(*index)
    )


def main(words: list[str]) -> None:
    """Print the scores."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, fmt_str_lengths=40):
        print(scores(words[0] if words else None))


if __name__ == "__main__":
    main(sys.argv[1:])
