"""Gold: which method leaves the model that is nearest to one trained on the changed graph.

    python studies/gold.py [HOME [STUDY]]

reads the lab in HOME (else KSMITH_HOME, else ./mlruns), and its study gold if no other is named.
Distances are in units of the distance between two gold models: 1 can't be told from one more of
them. `unedited` is the control, the model before the update. A number stands with its 95 %
interval (gold seed > draw > subject).
"""

import sys
from dataclasses import asdict
from typing import Any

import polars as pl

import ksmith
from ksmith.measures.gold_metrics import paired

PARTS = ("balanced", "changed", "kept")
CONTROL = "unedited"
CELL = (
    "task",
    "level",
    "scale",
    "seed",
    "graph_seed",
    "model_seed",
)  # have gold models in common


def shown() -> pl.Expr:
    """Return a metric as `value [low, high]`."""
    number, low, high = (
        pl.col(name).round(2).cast(pl.String) for name in ("value", "low", "high")
    )
    return pl.format("{} [{}, {}]", number, low, high).fill_null(number)


def numbers(home: str | None = None, study: str = "gold") -> pl.DataFrame:
    """Return the metrics about gold models; those of step 0 belong to the method `unedited`."""
    rows = ksmith.metrics(study=study, home=home)
    before = pl.col("step") == 0
    told = rows.filter(pl.col("measure").str.starts_with("gold_")).with_columns(
        method=pl.when(before).then(pl.lit(CONTROL)).otherwise("method"), shown=shown()
    )
    # Every trial of a cell says the same about the model before the update.
    keys = ["method", *CELL, "step", "probe", "measure", "slice", "hop"]
    return told.unique(keys, keep="first", maintain_order=True)


def ranking(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the methods of each cell, nearest first, with the model before the update."""
    of_all = rows.filter(
        pl.col("probe") == "all",
        pl.col("measure") == "gold_distance",
        pl.col("slice").is_in(PARTS),
    )
    wide = of_all.pivot("slice", index=["method", *CELL], values=["value", "shown"])
    n = of_all.group_by("method", *CELL).agg(n=pl.col("n").min())
    names = {f"shown_{part}": part for part in PARTS if f"shown_{part}" in wide.columns}
    return (
        wide.join(n, on=["method", *CELL], nulls_equal=True)
        .sort(*CELL, "value_balanced", nulls_last=True)
        .select("task", "level", "scale", "method", *names, "n")
        .rename(names)
    )


def by_probe(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the distance on each probe and hop, a column a method, and what agreement can be."""
    distance = rows.filter(
        pl.col("probe") != "all", pl.col("measure") == "gold_distance", pl.col("slice") == ""
    )
    index = ["task", "level", "scale", "probe", "hop"]
    wide = distance.pivot("method", index=index, values="shown", aggregate_function="first")
    bits = rows.filter(pl.col("measure") == "gold_noise", pl.col("slice") == "").unique(
        index, keep="first"
    )
    unit = bits.select(*index, pl.col("value").round(4).alias("unit, bits"))
    return wide.join(unit, on=index, nulls_equal=True, how="left").sort(index)


def layers(rows: pl.DataFrame) -> pl.DataFrame:
    """Return 1 - CKA at each layer, over all questions, a column a method."""
    inside = rows.filter(
        pl.col("measure") == "gold_cka", pl.col("slice").str.contains(r"^layer\d+$")
    )
    index = ["task", "level", "scale", "slice"]
    return inside.pivot("method", index=index, values="shown", aggregate_function="first")


def compared(rows: pl.DataFrame, home: str | None = None, study: str = "gold") -> pl.DataFrame:
    """Return how much farther each method is than the nearest of its cell, on the same facts."""
    pairs = ksmith.gold(study=study, home=home).collect()
    of_all = rows.filter(
        pl.col("probe") == "all",
        pl.col("measure") == "gold_distance",
        pl.col("slice") == PARTS[0],
        pl.col("method") != CONTROL,
    )
    found: list[dict[str, Any]] = []
    for cell, methods in of_all.sort("value").group_by(CELL, maintain_order=True):
        names = dict(zip(CELL, cell, strict=True))
        near, *others = methods["method"]
        mine = pairs.filter(pl.col(name).eq_missing(value) for name, value in names.items())
        best = mine.filter(method=near)
        for name in others:
            told = paired(mine.filter(method=name), best)
            if told is not None:
                found.append({**names, "method": name, "farther than": near, **asdict(told)})
    columns = ("task", "level", "scale", "method", "farther than", "by", "n")
    if not found:
        return pl.DataFrame(schema=columns)
    return pl.DataFrame(found).with_columns(by=shown()).select(columns)


def main(words: list[str]) -> None:
    """Print the ranking, the differences to the nearest, then probes and layers."""
    home, study = words[0] if words else None, words[1] if len(words) > 1 else "gold"
    rows = numbers(home, study)
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=200,
        fmt_str_lengths=40,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
    ):
        print("Distance to the gold models, nearest first (1: one more gold model)")
        print(ranking(rows))
        print("How much farther than the nearest, on the same facts")
        print(compared(rows, home, study))
        print("By probe and hop")
        print(by_probe(rows))
        print("1 - CKA of hidden states, by layer")
        print(layers(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
