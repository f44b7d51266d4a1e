"""Settings that keys leave out at their default are shown with it, and others stay empty."""

import polars as pl

from ksmith.report.cells import name_series
from ksmith.report.defaults import filled
from ksmith.report.tables import axes


def study(**columns: list[object]) -> pl.DataFrame:
    names = {name.replace("__", "."): values for name, values in columns.items()}
    kinds = {"task.kind": ["unlearn"] * 3, "task.level": ["any"] * 3, "task.scale": [1] * 3}
    return pl.DataFrame(
        {"trial": ["a", "b", "c"], "method": ["npo", "npo", "dpo"], **kinds, **names}
    )


def test_a_method_varied_from_its_default_is_named_by_both_values() -> None:
    trials = study(method__npo__adapters=[None, 4, None])
    assert filled(trials)["method.npo.adapters"].to_list() == [0, 4, None]
    names = name_series(filled(trials))["series"].to_list()
    assert names == ["npo adapters=0", "npo adapters=4", "dpo"]
    assert axes(filled(trials)) == [("method.npo.adapters", ["0", "4"])]


def test_a_default_belongs_to_the_source_or_the_kind_of_model_that_has_it() -> None:
    trials = study(
        graph__source=["synthetic", "synthetic", "triples"],
        graph__aliases=[0.5, None, None],
        model__load=["gpt2", "gpt2", None],
        model__recipe=[None, None, "tiny"],
        model__system=["Be brief.", None, None],
        task__forget=["entity", None, "facts"],
    )
    found = filled(trials)
    assert found["graph.aliases"].to_list() == [0.5, 0.0, None]
    assert found["model.system"].to_list() == ["Be brief.", "", None]
    assert found["task.forget"].to_list() == ["entity", "facts", "facts"]


def test_what_keys_never_leave_out_and_what_has_no_default_stay_empty() -> None:
    trials = study(
        method__npo__beta=[0.1, None, None],
        task__relation=["born in", None, None],
        of_nobody__known=[1, None, None],
    )
    assert filled(trials).equals(trials)


def test_a_column_of_whole_numbers_can_have_a_default_that_is_none() -> None:
    trials = study(graph__source=["synthetic"] * 3, graph__aliases=[1, None, 1])
    assert filled(trials)["graph.aliases"].to_list() == [1.0, 0.0, 1.0]
