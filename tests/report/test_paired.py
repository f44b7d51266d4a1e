"""Methods against each other: trials with the same requests are paired, fact by fact."""

from pathlib import Path

import polars as pl
import pytest

from ksmith import measures
from ksmith.report import cells, page, paired, tables
from ksmith.report.looks import looks
from ksmith.report.panels import Panel
from tests.measures.rows import rate
from tests.report.made_up import content, metrics, trials

EFFICACY = Panel("Efficacy", "efficacy", "success")
METHODS = ("rome", "memit", "npo")


def few(seeds: tuple[int, ...] = (0,)) -> pl.DataFrame:
    table = trials(seeds).filter(
        pl.col("method").is_in(METHODS), pl.col("task.level") == "leaf", state="done"
    )
    return table.join(cells.name_series(table), on="trial", maintain_order="left")


def answered(table: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Write answers: rome is right about all, memit about 3 of 4, npo about 1 of 4 facts."""
    right = {"rome": 4, "memit": 3, "npo": 1}
    files: dict[str, Path] = {}
    for row in table.iter_rows(named=True):
        values = {f"{i}.0": [float(i % 4 < right[row["method"]])] for i in range(20)}
        files[row["trial"]] = folder / f"{row['trial']}.parquet"
        rate(values).rows(1).write_parquet(files[row["trial"]])
    return files


def test_differences_are_those_of_the_measures_room(tmp_path: Path) -> None:
    table = few()
    files = answered(table, tmp_path)
    found = paired.differences(table, files, "rome", [EFFICACY])
    assert set(found["series"]) == {"memit", "npo"}
    assert set(found["scale"]) == {1, 10}
    values = dict(found.filter(scale=10).select("series", "value").iter_rows())
    assert values == pytest.approx({"memit": -0.25, "npo": -0.75})
    one = {m: table.filter(method=m, **{"task.scale": 1})["trial"][0] for m in METHODS}
    a, b = (pl.read_parquet(files[one[name]]) for name in ("npo", "rome"))
    expected = measures.paired(a, b, "efficacy", "success")
    row = found.filter(series="npo", scale=1).row(0, named=True)
    assert expected is not None
    assert (row["value"], row["n"]) == (expected.value, expected.n)
    assert (row["low"], row["high"]) == (expected.low, expected.high)


def test_seeds_are_paired_with_themselves_and_pooled(tmp_path: Path) -> None:
    table = few(seeds=(0, 1, 2))
    found = paired.differences(table, answered(table, tmp_path), "rome", [EFFICACY])
    assert found.filter(series="memit", scale=1)["model_seeds"].to_list() == [3]
    assert found.filter(series="memit", scale=1)["value"].to_list() == pytest.approx([-0.25])
    (low,) = found.filter(series="npo", scale=1)["low"]
    assert -1.0 < low < -0.75  # a difference may be negative: it is not cut at 0


def test_trials_without_answers_are_left_out(tmp_path: Path) -> None:
    table = few()
    files = answered(table, tmp_path)
    gone = table.filter(method="rome", **{"task.scale": 10})["trial"][0]
    left = {key: file for key, file in files.items() if key != gone}
    assert set(paired.differences(table, left, "rome", [EFFICACY])["scale"]) == {1}
    assert paired.differences(table, {}, "rome", [EFFICACY]).is_empty()


def table_of(low: float, value: float, high: float, *, step: int = 1) -> str:
    found = pl.DataFrame(
        [
            {"series": "npo", "level": "leaf", "scale": 1, "probe": "efficacy", "slice": ""}
            | {"measure": "success", "hop": None, "n": 20, "value": value, "low": low}
            | {"high": high}
        ]
    )
    measured = found.with_columns(step=pl.lit(step))
    return tables.differences(found, measured, [EFFICACY], looks(["npo"], METHODS))


def test_differences_beyond_chance_are_bold() -> None:
    assert 'class="n differs"' in table_of(-0.9, -0.7, -0.5)
    assert 'class="n"' in table_of(-0.1, 0.2, 0.5)
    assert "+.20" in table_of(-0.1, 0.2, 0.5)
    assert "+.00" not in table_of(-0.1, 0.001, 0.1)


def test_what_is_not_shown_of_a_method_is_not_compared() -> None:
    assert "-.70" not in table_of(-0.9, -0.7, -0.5, step=0)


def test_the_page_has_the_table_where_there_are_answers(tmp_path: Path) -> None:
    table = few()
    files = answered(table, tmp_path)
    given = table.drop("series")
    by_success = metrics(given).filter(probe="efficacy", measure="success")
    shown = page.render(content(trials=given, metrics=by_success, answers=files))
    assert "Each method against rome" in shown
    assert "-.75" in shown
    without = page.render(content(trials=given, metrics=by_success))
    assert "Each method against" not in without
