"""The table at one look: a row a method, a verdict from all its distances, what was known."""

import polars as pl
import pytest

from ksmith.report.capacity import capacity
from ksmith.report.margins import few_golds, golds, together
from ksmith.report.tables import ratio
from ksmith.report.verdicts import verdicts
from tests.report.made_up import few
from tests.report.test_sets import FAR, NEAR, Row, measured, one_scale, text

RATES: list[Row] = [
    (0, "known", "forget", 0.5, 0.3, 0.7),
    (1, "probability", "known.forget", 0.11, 0.1, 0.2),
    (1, "krr_exact", "retain", 0.9, 0.8, 1.0),
    (1, "krr_exact", "retain.near", 0.8, 0.7, 0.9),
    (1, "krr_exact", "retain.far", 0.95, 0.9, 1.0),
    (1, "model_utility", "retain", 0.93, 0.9, 0.95),
]


def said(of: pl.DataFrame, rows: dict[str, list[Row]]) -> str:
    return " ".join(text(verdicts(measured(of, rows), of, ["rome", "npo"])).split())


def test_a_method_is_outside_if_one_of_its_distances_is() -> None:
    found = said(one_scale(), {"rome": NEAR + RATES, "npo": FAR + RATES})
    rome, npo = found.split(" rome ")[1].split(" npo ")
    assert rome.startswith("undecided .30 [.20, .40] .60 [.40, .80]")
    assert rome.split("... known")[0].endswith(
        "within .20 [.10, .30] gold .25 x .70 [.40, .90] "
        "undecided .10 [.050, .20] gold .10 x .90 [.50, 1.40] "
    )
    assert npo.startswith("outside") and "outside .20 [.10, .30] gold .25 x 4.00 [3.10" in npo
    assert ".80 [.70, .90] .95 [.90, 1.00] .93 [.90, .95]" in rome  # near, far, utility


def test_gold_models_stand_below_with_what_they_are_from_each_other() -> None:
    found = said(one_scale(), {"rome": NEAR + RATES})
    gold = found.split(" ... known ")[1].split(" gold models ")[1]
    assert gold.startswith("- .04 [.00, .10] - - - - - .25 [.20, .40] .10 [.050, .20]")
    assert "are the control" not in found  # older outcomes lack it


def test_gold_models_have_a_verdict_of_their_own_where_they_were_held_to_each_other() -> None:
    control: list[Row] = [
        (1, "ks_margin_gold", "forget", 0.7, 0.3, 1.2),
        (1, "kl_margin_gold", "retain", 0.6, 0.3, 0.9),
    ]
    found = said(one_scale(), {"rome": NEAR + RATES + control})
    gold = found.split(" ... known ")[1].split(" gold models ")[1]
    assert gold.startswith("undecided .04")
    assert "undecided .25 [.20, .40] x .70 [.30, 1.20]" in gold
    assert "within .10 [.050, .20] x .60 [.30, .90]" in gold
    assert "The verdicts of gold models are the control" in found


def test_what_gold_models_write_is_one_less_what_they_do_not() -> None:
    of = one_scale()
    kept: list[Row] = [
        (1, "kfr_exact", "gold.forget", 0.5, 0.4, 0.6),
        (1, "kfr_exact", "gold.forget.seen", 0.9, 0.75, 1.0),
    ]
    rows = measured(of, {"rome": NEAR + kept})
    written = rows.filter(measure="probability", slice="forget").with_columns(
        probe=pl.lit("efficacy"), measure=pl.lit("residual_generated"), slice=pl.lit("")
    )
    found = " ".join(text(verdicts(pl.concat([rows, written]), of, ["rome"])).split())
    gold = found.split(" rome ")[1].split(" gold models ")[1]
    assert gold.startswith("- .10 [.00, .25] .04") and "1 - kfr_exact" in found


@pytest.mark.parametrize("value", [1.0026, 1.000001, 0.9999, 1.0, 1.0049, 0.996])
def test_no_bound_reads_as_if_it_were_on_the_other_side_of_the_margin(value: float) -> None:
    assert (float(ratio(value)) > 1) == (value > 1)


def test_what_was_known_before_is_counted_and_has_lines_of_its_own() -> None:
    found = said(one_scale(), {"rome": NEAR + RATES})
    assert "knew 6 of the 12 facts of the forget sets before" in found
    assert "(.50 [.30, .70])" in found and "... known .11 [.10, .20]" in found
    whole = [(*row[:3], 1.0, 0.8, 1.0) if row[1] == "known" else row for row in RATES]
    found = said(one_scale(), {"rome": NEAR + whole})
    assert "knew 12 of the 12" in found and "... known" not in found


def test_n_stands_once_above_the_methods() -> None:
    of = one_scale()
    rows = measured(of, {"rome": NEAR + RATES, "npo": FAR + RATES})
    more = pl.when(pl.col("method") == "npo", pl.col("measure") == "model_utility")
    rows = rows.with_columns(n=more.then(15).otherwise("n"))
    found = " ".join(text(verdicts(rows, of, ["rome", "npo"])).split())
    assert "n facts 12 12 12 12 12 12-15 12 12" in found


def test_without_gold_models_there_are_no_verdicts_and_without_sets_no_table() -> None:
    of = one_scale()
    found = said(of, {"rome": RATES})
    assert "at once" in found and "margin" not in found and "Gold models" not in found
    none = measured(of, {"rome": RATES}).with_columns(probe=pl.lit("efficacy"))
    assert not list(verdicts(none, of, ["rome"]))


def test_a_share_is_named_beside_its_facts() -> None:
    of = one_scale().with_columns(pl.lit(0.05).alias("task.share"))
    assert "leaf, 5 %: 10 facts at once" in said(of, {"rome": RATES})
    of = of.with_columns(pl.lit(1, pl.Int64).alias("task.scale"))
    uncounted = measured(of, {"rome": RATES}).with_columns(scale=pl.lit(1, pl.Int64))
    assert "leaf, 5 % the model knew" in " ".join(
        text(verdicts(uncounted, of, ["rome"])).split()
    )


@pytest.mark.parametrize(
    ("column", "values", "count"),
    [("task.gold", [3, 3], 3), ("task.gold", [0, 5], 5), ("model.gold", [["a"], None], 1)],
)
def test_few_gold_models_are_told(column: str, values: list[object], count: int) -> None:
    trials = pl.DataFrame({column: values})
    assert golds(trials) == count
    note = few_golds(trials)
    assert (note is None) == (count >= 5)
    assert note is None or note.startswith(f'<p class="note warn">{count} gold model')
    assert golds(few()) == 0 and few_golds(few()) is None


def test_no_verdict_is_no_vote() -> None:
    assert together(["within", "within"]) == "within"
    assert together(["within", None, "outside", "undecided"]) == "outside"
    assert together([]) is None


def test_capacity_ends_where_a_bound_first_fails() -> None:
    of = few().with_columns(series="method")
    rows: list[Row] = [
        (0, "model_utility", "retain", 0.9, 0.9, 0.9),
        (1, "model_utility", "retain", 0.9, 0.6, 0.92),
    ]
    table = measured(of, {"rome": rows})
    lost = pl.when(pl.col("scale") == 10, pl.col("step") == 1)
    table = table.with_columns(value=lost.then(0.8).otherwise("value"))
    series = of.select("trial", "series")
    assert "<td>1 [none, 10+]</td>" in str(capacity(table, series, ["rome"]))
    one = table.filter(pl.col("scale") == 1)
    assert capacity(one, series, ["rome"]) is None
