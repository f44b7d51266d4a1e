"""Frames: what is in a lab, in the promised columns and types, and nothing disturbed."""

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

import ksmith
from ksmith.frames.columns import settings
from ksmith.frames.lab import REVISION
from ksmith.records import UserError
from ksmith.store.migrate import config, revisions
from tests.tracking.labs import MadeLab, metrics_of, point

METRIC_COLUMNS = [
    *("study", "trial", "method", "task", "level", "scale", "share", "sequence"),
    *("seed", "graph_seed", "model_seed"),
    *("step", "probe", "measure", "slice", "hop", "value", "n", "low", "high"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeLab:
    """Return a lab with two studies that share a trial, a failure and a trial not yet run."""
    lab = MadeLab(tmp_path_factory.mktemp("frames") / "lab")
    rome, npo, failed, _ = lab.study(
        "first", point("rome"), point("npo", task__scale=10), point("memit"), point("ft_l")
    )
    lab.attempt(rome, "lost", "killed")
    lab.attempt(rome)
    lab.attempt(npo)
    lab.attempt(failed, "error", "ValueError: no")
    (unlearned,) = lab.study("second", point("rome", task__kind="unlearn"))
    lab.study("third", point("rome"))
    lab.attempt(unlearned)
    return lab


def test_trials(made: MadeLab) -> None:
    frame = ksmith.trials("first", home=made.home)
    fixed = ["study", "trial", "state", "method", "attempts", "seconds", "run_id", "reason"]
    assert frame.columns[:8] == fixed
    found = frame.select("method", "state", "attempts", "seconds", "reason").rows()
    assert found == [
        ("rome", "done", 2, 2.5, None),
        ("npo", "done", 1, 2.5, None),
        ("memit", "failed", 1, None, "ValueError: no"),
        ("ft_l", "ready", 0, None, None),
    ]
    assert frame["task.scale"].to_list() == [1, 10, 1, 1]
    assert frame["method.npo.beta"].to_list() == [None, 0.1, None, None]
    types = {name: frame.schema[name] for name in ("seed", "graph.source", "probe.kinds")}
    assert types == {
        "seed": pl.Int64,
        "graph.source": pl.String,
        "probe.kinds": pl.List(pl.String),
    }
    assert frame.schema["run_id"] == pl.String


def test_trials_of_all_studies_hold_a_shared_one_twice(made: MadeLab) -> None:
    frame = ksmith.trials(home=made.home)
    assert frame["study"].to_list() == ["first"] * 4 + ["second", "third"]
    assert frame["trial"][0] == frame["trial"][5]


def test_metrics(made: MadeLab) -> None:
    frame = ksmith.metrics("first", home=made.home)
    assert frame.columns == METRIC_COLUMNS
    assert frame["method"].unique(maintain_order=True).to_list() == ["rome", "npo"]
    expected = metrics_of("npo", 10)
    found = frame.filter(method="npo").sort("step", maintain_order=True).rows(named=True)
    for row, metric in zip(found, sorted(expected, key=lambda m: m.step), strict=True):
        for name in ("step", "probe", "measure", "slice", "hop", "n", "low", "high"):
            assert row[name] == getattr(metric, name)
        assert repr(row["value"]) == repr(metric.value)
    first = frame.row(0, named=True)
    assert (first["level"], first["scale"], first["seed"], first["task"]) == (
        "leaf",
        1,
        0,
        "edit",
    )


def test_metrics_of_two_studies(made: MadeLab) -> None:
    frame = ksmith.metrics(home=made.home)
    each = frame.group_by("study", maintain_order=True).len()
    assert each.rows() == [("first", 84), ("second", 42), ("third", 42)]
    assert set(frame.filter(study="second")["task"]) == {"unlearn"}


def test_a_sequence_is_as_long_as_its_facts_and_on_no_curve_like_a_share(
    tmp_path: Path,
) -> None:
    lab = MadeLab(tmp_path / "lab")
    ways = (
        point("rome"),
        point("rome", task__scale=9),
        point("rome", task__sequence=9),
        point("rome", task__share=0.2),
    )
    for trial in lab.study("s", *ways):
        lab.attempt(trial)
    with lab.store.write() as connection:
        spread = "SET probe = 'spread', measure = 'direct_generated' WHERE probe = 'efficacy'"
        connection.execute(text(f"UPDATE metric {spread} AND measure = 'accuracy'"))
    frame = ksmith.metrics("s", home=lab.home)
    kinds = frame.select("scale", "share", "sequence").unique(maintain_order=True)
    assert kinds.rows() == [(1, None, None), (9, None, None), (9, None, 9), (None, 0.2, None)]
    (facts,) = ksmith.curves("s", home=lab.home).select("scale", "n").rows()
    assert facts == ([1, 9], [20, 20])
    rows = ksmith.table("s", ["efficacy.success"], home=lab.home)
    sizes = rows.select("scale", "sequence").rows()
    assert sizes == [(None, None), (1, None), (9, None), (9, 9)]


def test_answers_are_lazy_and_labelled(made: MadeLab) -> None:
    frame = ksmith.answers("first", home=made.home)
    assert isinstance(frame, pl.LazyFrame)
    found = frame.filter(pl.col("method") == "npo").select(
        "study", "scale", "step", "level", "subject_level", "candidates"
    )
    assert found.collect().rows() == [
        ("first", 10, step, "leaf", "root", ["falcon", "heron"]) for step in (0, 1)
    ]


def test_answers_of_older_trials_may_lack_a_column(made: MadeLab) -> None:
    folder = made.store.trials("second")[0].folder
    assert folder is not None
    file = made.home / folder / "answers.parquet"
    whole = pl.read_parquet(file)
    try:
        whole.drop("generated").with_columns(extra=pl.lit(1.5)).write_parquet(file)
        frame = ksmith.answers(home=made.home).collect()
        assert frame.filter(study="second")["extra"].to_list() == [1.5, 1.5]
        assert frame.filter(study="first")["extra"].null_count() == 4
        assert frame.columns[:10] == METRIC_COLUMNS[:10]
    finally:
        whole.write_parquet(file)


def test_a_lost_answers_file_is_named(tmp_path: Path) -> None:
    lab = MadeLab(tmp_path / "lab")
    (trial,) = lab.study("s", point("npo"))
    held = lab.attempt(trial)
    file = lab.home / held.folder / "answers.parquet"
    file.unlink()
    with pytest.raises(UserError, match=r"answers\.parquet is gone; `ksmith db check`"):
        ksmith.answers(home=lab.home)


def test_an_empty_lab_gives_empty_frames_with_their_columns(tmp_path: Path) -> None:
    lab = MadeLab(tmp_path / "lab")
    assert ksmith.trials(home=lab.home).shape == (0, 8)
    metrics = ksmith.metrics(home=lab.home)
    assert (metrics.height, metrics.columns) == (0, METRIC_COLUMNS)
    answers = ksmith.answers(home=lab.home).filter(pl.col("probe") == "efficacy").collect()
    assert answers.height == 0
    assert answers.columns[:10] == METRIC_COLUMNS[:10]


def test_home_is_the_given_one_then_the_environments_then_mlruns(
    made: MadeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KSMITH_HOME", raising=False)
    with pytest.raises(UserError, match=r"no lab in .*/mlruns"):
        ksmith.trials()
    assert list(tmp_path.iterdir()) == [], "reading made something"
    monkeypatch.setenv("KSMITH_HOME", str(made.home))
    assert ksmith.trials().height == 6
    with pytest.raises(UserError, match="no lab in"):
        ksmith.trials(home=tmp_path)
    (tmp_path / "mlruns").symlink_to(made.home)
    monkeypatch.delenv("KSMITH_HOME")
    assert ksmith.trials().height == 6


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    assert revisions(config())[0] == REVISION
    lab = MadeLab(tmp_path / "lab")
    lab.store.close()
    with closing(sqlite3.connect(lab.home / "ksmith.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(UserError, match="at revision 9999, this ksmith knows up to 0001"):
        ksmith.trials(home=lab.home)


def test_an_unknown_study_is_answered_with_the_nearest(made: MadeLab) -> None:
    with pytest.raises(UserError, match=r"no study 'frist' .* did you mean 'first'\?"):
        ksmith.metrics("frist", home=made.home)


def test_reading_leaves_a_closed_lab_as_it_was(tmp_path: Path) -> None:
    lab = MadeLab(tmp_path / "lab")
    (trial,) = lab.study("s", point("npo"))
    lab.attempt(trial)
    lab.store.close()
    before = {path: path.stat().st_mtime_ns for path in lab.home.rglob("*")}
    assert ksmith.metrics("s", home=lab.home).height == 42
    assert ksmith.trials(home=lab.home).height == 1
    assert {path: path.stat().st_mtime_ns for path in lab.home.rglob("*")} == before


def test_what_a_writer_has_committed_is_seen_and_the_rest_is_not(made: MadeLab) -> None:
    name = "UPDATE study SET name = 'renamed' WHERE name = 'third'"
    with closing(sqlite3.connect(made.home / "ksmith.db")) as writer:
        writer.execute(name)
        assert ksmith.trials("third", home=made.home).height == 1
        writer.commit()
        assert ksmith.trials("renamed", home=made.home).height == 1
        writer.execute("UPDATE study SET name = 'third' WHERE name = 'renamed'")
        writer.commit()


def test_a_database_url_gives_the_same_frames(
    made: MadeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, metrics = ksmith.trials(home=made.home), ksmith.metrics(home=made.home)
    monkeypatch.setenv("KSMITH_DATABASE", f"sqlite:///{made.home}/ksmith.db")
    assert ksmith.trials(home=made.home).equals(trials)
    assert ksmith.metrics(home=made.home).equals(metrics)


VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1),
    st.lists(st.one_of(st.none(), st.integers(-99, 99), st.floats(-9, 9)), min_size=1),
    st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1),
    st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9))), min_size=1),
)


@given(VALUES)
def test_settings_of_one_kind_come_back_as_they_were(values: Sequence[Any]) -> None:
    frame = settings([json.dumps({"x.y": value}) for value in values])
    assert frame["x.y"].to_list() == list(values)


def test_settings_of_mixed_kinds_become_text() -> None:
    rows = [{"a": 1}, {"a": "auto"}, {"a": [1, 2]}, {"b": True}]
    frame = settings([json.dumps(row) for row in rows])
    assert frame["a"].to_list() == ["1", "auto", "[1, 2]", None]
    assert frame["b"].to_list() == [None, None, None, True]


@pytest.mark.slow
def test_ten_thousand_trials_are_read_within_seconds(tmp_path: Path) -> None:
    lab = MadeLab(tmp_path / "lab")
    lab.study("s", point("npo"))
    flat = json.loads(_one(lab, "SELECT settings FROM study_trial"))
    with lab.store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO node(key, kind, recipe, files, group_key, priority, state, "
                "created) VALUES (:key, 'trial', '{}', '{}', 'g', 0, 'done', 0)"
            ),
            [{"key": f"k{i}"} for i in range(10_000)],
        )
        ids = [
            row.id
            for row in connection.execute(text("SELECT id FROM node WHERE recipe = '{}'"))
        ]
        connection.execute(
            text(
                "INSERT INTO study_trial(study_id, node_id, position, axes, settings) "
                "VALUES (1, :id, :id, '{}', :settings)"
            ),
            [{"id": i, "settings": json.dumps({**flat, "seed": i})} for i in ids],
        )
        connection.execute(
            text(
                "INSERT INTO attempt(id, node_id, no, fence, state, owner, folder, log, "
                "started) VALUES (:id + 100, :id, 1, 1, 'ok', 'o', :id, '', 0)"
            ),
            [{"id": i} for i in ids],
        )
        connection.execute(
            text(
                "INSERT INTO metric(node_id, attempt_id, step, probe, measure, slice, value, "
                "n) VALUES (:id, :id + 100, 1, 'efficacy', :m, '', 0.5, 20)"
            ),
            [{"id": i, "m": f"m{m}"} for i in ids for m in range(20)],
        )
    start = time.perf_counter()
    assert ksmith.metrics("s", home=lab.home).height == 200_000
    middle = time.perf_counter()
    assert ksmith.trials("s", home=lab.home).height == 10_001
    end = time.perf_counter()
    assert middle - start < 8  # 0.4 s on an idle machine
    assert end - middle < 8


def _one(lab: MadeLab, query: str) -> Any:
    with lab.store.read() as connection:
        return connection.execute(text(query)).scalar()


def test_trials_without_gold_models_have_no_distances(made: MadeLab) -> None:
    found = ksmith.gold(home=made.home).collect()
    assert found.is_empty()
    assert found.columns[:3] == ["study", "trial", "method"]
    assert {"step", "gold", "other", "divergence"} <= set(found.columns)
