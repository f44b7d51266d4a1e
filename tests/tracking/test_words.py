"""The small functions: what is hidden, how runs are named, what becomes of numbers."""

import math
import string
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmith.records import Metric
from ksmith.tracking import own_uri, redact, shown_uri, tracking_uri
from ksmith.tracking.build import curve, note, points, run_name
from ksmith.tracking.run import status
from ksmith.tracking.send import link

SECRET = st.text(string.ascii_letters + string.digits + "-_.~!$%+", min_size=8, max_size=30)


@given(SECRET, SECRET)
def test_no_secret_of_a_url_survives(user: str, password: str) -> None:
    text = redact(f"cannot reach http://{user}:{password}@host:5000/api and gave up")
    assert text == "cannot reach http://***@host:5000/api and gave up"


@given(SECRET)
def test_no_secret_of_a_query_survives(token: str) -> None:
    text = redact(f"GET https://host/x?page=1&access_token={token} failed")
    assert text == "GET https://host/x?page=1&access_token=*** failed"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://me@host/db", "postgresql://***@host/db"),
        ("http://token@host", "http://***@host"),
        ("postgresql://me:p@ss/word@host/db", "postgresql://***@host/db"),
        ("http://host:5000/#/x", "http://host:5000/#/x"),
        ("mail me@example.org", "mail me@example.org"),
        ("sqlite:////lab/mlflow.db", "sqlite:////lab/mlflow.db"),
    ],
)
def test_redact_leaves_the_rest(given: str, shown: str) -> None:
    assert redact(given) == shown


def test_the_uri_is_the_given_one_then_the_environments_then_the_labs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    assert tracking_uri(tmp_path, "http://here") == "http://here"
    assert tracking_uri(tmp_path) == "http://there"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri(tmp_path) == own_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    assert shown_uri("http://a:b@host/x?token=1") == "http://***@host/x"


@pytest.mark.parametrize(
    ("settings", "axes", "name"),
    [
        ({"task.method": "rome", "task.level": "leaf"}, {}, "rome leaf x1 seed 0"),
        ({"task.method": "rome", "task.level": "any", "seed": 3}, {}, "rome x1 seed 3"),
        (
            {"task.method": "npo", "task.kind": "unlearn", "task.scale": 1, "task.share": 0.05},
            {"task.share": 0.05},
            "npo unlearn 0.05 of all seed 0",
        ),
        (
            {"task.method": "npo", "task.kind": "unlearn", "task.scale": 10},
            {"task.scale": 10, "method.npo.beta": 0.05},
            "npo unlearn x10 method.npo.beta=0.05 seed 0",
        ),
    ],
)
def test_run_names(settings: dict[str, Any], axes: dict[str, Any], name: str) -> None:
    assert run_name(settings, axes) == name


def test_status_is_true() -> None:
    ends = ("ok", "error", "oom", "timeout", "preempted", "lost", "cancelled", None)
    assert [status(end) for end in ends] == ["FINISHED", "FAILED", "FAILED"] + ["KILLED"] * 5


def test_only_whole_metrics_have_intervals_and_reach_the_checkpoint() -> None:
    whole: dict[str, Any] = {"probe": "p", "measure": "m", "n": 4, "low": 0.1, "high": 0.9}
    rows = [
        Metric(step=0, value=0.2, **whole),
        Metric(step=1, value=0.5, **whole),
        Metric(step=1, value=0.4, slice="known", **whole),
        Metric(step=1, value=math.inf, probe="p", measure="m", hop=2, n=1),
        # Slices of slices are in metrics.json and in frames, and would be columns without end.
        Metric(step=1, value=0.3, slice="known.stored", **whole),
        Metric(step=1, value=0.3, probe="p", measure="m", slice="stored", hop=2, n=1),
    ]
    found = [(point.name, point.step, point.headline) for point in points(rows)]
    assert found == [
        ("p.m", 0, False),
        ("p.m.low", 0, False),
        ("p.m.high", 0, False),
        ("p.m", 1, True),
        ("p.m.low", 1, False),
        ("p.m.high", 1, False),
        ("p.m.known", 1, False),
        ("p.m.hop2", 1, False),
    ]
    assert note(rows).splitlines()[2:] == ["| p.m | 0.200 | 0.500 | 0.100 to 0.900 | 4 |"]


@given(st.integers(1, 5000))
def test_a_curve_is_thinned_evenly_and_keeps_its_end(steps: int) -> None:
    found = [point.step for point in curve([1.0] * steps)]
    assert found[-1] == steps
    assert len(found) <= 501
    gaps = {b - a for a, b in pairwise(found[:-1])}
    assert len(gaps) <= 1


def test_a_link_replaces_what_is_there_and_never_writes_into_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    target = tmp_path / "deep" / "target"
    link(old, target)
    link(new, target)
    assert (target.read_text(), old.read_text()) == ("new", "old")
    assert target.samefile(new)


def test_on_the_way_of_a_sequence_slices_are_left_out_and_the_end_is_the_headline() -> None:
    rows = [
        Metric(step=step, probe="p", measure="m", slice=part, value=step / 10, n=4)
        for step in (0, 2, 9)
        for part in ("", "known")
    ]
    found = [(point.name, point.step, point.headline) for point in points(rows)]
    assert found == [
        ("p.m", 0, False),
        ("p.m.known", 0, False),
        ("p.m", 2, False),
        ("p.m", 9, True),
        ("p.m.known", 9, False),
    ]
    assert note(rows).splitlines()[2:] == ["| p.m | 0.000 | 0.900 |  | 4 |"]
