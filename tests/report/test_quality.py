"""The figure of forget quality against utility: where its points are, when there is none."""

from ksmith.report.cells import pooled_where
from ksmith.report.columns import LOOKED
from ksmith.report.looks import looks
from ksmith.report.quality import joined, quality
from tests.report.made_up import METHODS, few
from tests.report.test_report import read
from tests.report.test_sets import FAR, NEAR, Row, measured
from tests.report.test_verdicts import RATES

UTILITY: list[Row] = [
    (0, "model_utility", "retain", 0.97, 0.95, 0.99),
    (1, "model_utility", "gold.retain", 0.99, 0.98, 1.0),
]
STYLES = looks(["rome", "npo"], METHODS)


def test_a_point_is_utility_by_distance_of_one_model() -> None:
    of = few().with_columns(series="method")
    cells = pooled_where(
        measured(of, {"rome": NEAR + RATES + UTILITY}), of.select("trial", "series"), LOOKED
    )
    points = joined(cells, "retain", "ks").filter(scale=10).sort("step")
    assert points["value"].to_list() == [0.97, 0.93]
    assert points["value_y"].to_list() == [0.9, 0.2]
    assert points.select("low", "high", "low_y", "high_y").row(1) == (0.9, 0.95, 0.1, 0.3)
    golds = joined(cells, "gold.retain", "ks_gold").filter(scale=10)
    assert golds.select("value", "value_y", "low_y").row(0) == (0.99, 0.25, 0.2)


def test_the_figure_has_a_panel_a_scale_with_before_and_gold_models() -> None:
    of = few().with_columns(series="method")
    rows = measured(of, {"rome": NEAR + RATES + UTILITY, "npo": FAR + RATES + UTILITY})
    texts = read(str(quality(rows, of, STYLES))).texts
    for told in ("leaf, 1 fact at once", "leaf, 10 facts at once", "model utility on retain"):
        assert told in texts, told
    assert texts.count("before") == texts.count("gold") == 2
    assert {"rome", "npo"} <= set(texts)


def test_without_a_distance_between_gold_models_no_place_of_theirs_is_drawn() -> None:
    of = few().with_columns(series="method")
    alone = [row for row in NEAR if not row[1].endswith(("_gold", "_margin"))]
    texts = read(str(quality(measured(of, {"rome": alone + RATES}), of, STYLES))).texts
    assert "rome" in texts and "gold" not in texts and "before" not in texts


def test_without_gold_models_or_utility_there_is_no_figure() -> None:
    of = few().with_columns(series="method")
    assert quality(measured(of, {"rome": RATES + UTILITY}), of, STYLES) is None
    assert quality(measured(of, {"rome": NEAR}), of, STYLES) is None
