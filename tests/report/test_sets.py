"""The tables of forget, retain and holdout sets: a verdict a method, n of both classes."""

from typing import Any

import polars as pl

from ksmith.report.html import Child, join
from ksmith.report.sets import sets
from tests.report.made_up import few, metrics
from tests.report.test_report import read

Row = tuple[int, str, str, float, float | None, float | None]
NEAR: list[Row] = [
    (0, "ks", "forget", 0.9, 0.8, 1.0),
    (1, "ks", "forget", 0.2, 0.1, 0.3),
    (1, "ks_gold", "forget", 0.25, 0.2, 0.4),
    (0, "ks_margin", "forget", 3.0, 2.5, 3.5),
    (1, "ks_margin", "forget", 0.7, 0.4, 0.9),
    (1, "kl", "retain", 0.1, 0.05, 0.2),
    (1, "kl_gold", "retain", 0.1, 0.05, 0.2),
    (1, "kl_margin", "retain", 0.9, 0.5, 1.4),
    (1, "probability", "forget", 0.3, 0.2, 0.4),
    (1, "probability", "gold.forget", 0.04, 0.0, 0.1),
    (1, "auc_min_k", "forget", 0.6, 0.4, 0.8),
    (1, "facts", "forget", 30.0, None, None),
    (1, "facts", "holdout", 12.0, None, None),
]
FAR = [row for row in NEAR if row[1] != "ks_margin"] + [
    (1, "ks_margin", "forget", 4.0, 3.1, 5.0)
]


def measured(of: pl.DataFrame, rows: dict[str, list[Row]]) -> pl.DataFrame:
    """Return a metrics frame whose trials have these rows, by method."""
    head = metrics(of).drop(
        "step", "probe", "measure", "slice", "hop", "value", "n", "low", "high"
    )
    found: list[dict[str, Any]] = []
    for trial in head.unique(maintain_order=True).iter_rows(named=True):
        for step, measure, part, value, low, high in rows.get(trial["method"], []):
            found.append(
                trial
                | {"step": step, "probe": "memory", "measure": measure, "slice": part}
                | {"value": value, "n": int(max(value, 12)), "low": low, "high": high}
            )
    return pl.DataFrame(found).with_columns(hop=pl.lit(None, pl.Int64))


def text(parts: Any) -> str:
    children: list[Child] = list(parts)
    return " ".join(read(str(join(children))).texts)  # type: ignore[arg-type]


def one_scale() -> pl.DataFrame:
    return few().filter(pl.col("task.scale") == 10).with_columns(series="method")


def test_each_method_has_a_verdict_with_the_interval_that_it_rests_on() -> None:
    of = one_scale()
    said = text(sets(measured(of, {"rome": NEAR, "npo": FAR}), of, ["rome", "npo"]))
    assert "Against gold models (leaf, scale 10)" in said
    rows = said.split("Forget quality: D of truth ratios, forget")
    before, rome, npo = rows[1:4]
    assert "outside" in before and "3.00 [2.50, 3.50] n 12" in " ".join(before.split())
    assert "within" in rome.split("Answers")[0] and ".70 [.40, .90]" in " ".join(rome.split())
    assert ".25 [.20, .40]" in " ".join(rome.split())  # gold from gold
    assert "undecided" in rome.split("Answers")[1]
    assert "outside" in npo.split("Answers")[0]


def test_gold_models_are_held_to_each_other_where_that_was_measured() -> None:
    of = one_scale()
    said = " ".join(text(sets(measured(of, {"rome": NEAR}), of, ["rome"])).split())
    assert "own verdict is the control" not in said
    control: Row = (1, "ks_margin_gold", "forget", 1.4, 1.002, 2.0)
    said = " ".join(text(sets(measured(of, {"rome": [*NEAR, control]}), of, ["rome"])).split())
    assert "own verdict is the control" in said
    assert "forget - .25 [.20, .40] n 12 1.40 [1.002, 2.00] n 12 outside" in said


def test_an_area_has_n_of_both_classes_and_gold_models_a_column() -> None:
    of = one_scale()
    said = " ".join(text(sets(measured(of, {"rome": NEAR}), of, ["rome"])).split())
    assert ".60 [.40, .80] n 30 + 12" in said
    assert "rome .30 [.20, .40] n 12 gold models .04 [.00, .10] n 12" in said
    assert "gold models" in said and "ks" not in said.split("Forget, retain and holdout")[1]


def test_without_gold_models_there_is_no_verdict_and_without_sets_nothing() -> None:
    of = one_scale()
    plain = [row for row in NEAR if "k" not in row[1][:1] and "gold" not in row[2]]
    said = text(sets(measured(of, {"rome": plain}), of, ["rome"]))
    assert "Against gold models" not in said and "auc_min_k" in said
    none = metrics(of).filter(pl.col("probe") != "memory")
    assert not list(sets(none, of, ["rome"]))


def test_with_one_gold_model_the_distance_stands_without_a_verdict() -> None:
    of = one_scale()
    alone = [row for row in NEAR if not row[1].endswith(("_gold", "_margin"))]
    said = text(sets(measured(of, {"rome": alone}), of, ["rome"]))
    assert ".20" in said.split("Forget quality")[2]
    assert not {"within", "outside", "undecided"} & set(said.split("n counts facts")[1].split())


def test_of_a_share_whose_facts_nobody_counted_no_scale_is_told() -> None:
    of = one_scale().with_columns(
        pl.lit(0.05).alias("task.share"), pl.lit(1, pl.Int64).alias("task.scale")
    )
    said = text(sets(measured(of, {"rome": NEAR}), of, ["rome"]))
    assert "Against gold models (leaf)" in said
