"""What models have of their sets, as frames, and the example that reads curves off them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import ksmith
from ksmith.frames.columns import TRIAL
from ksmith.measures import judged, memory, memory_gold, memory_models
from ksmith.records import UserError
from tests.conftest import ROOT
from tests.measures.test_memory import rows
from tests.tracking.labs import MadeLab, point

COLUMNS = [*TRIAL, *memory.SCHEMA, *judged.SCHEMA]
GOLD = [*TRIAL, *memory_gold.SCHEMA]


@pytest.fixture
def made(tmp_path: Path) -> MadeLab:
    """Return a lab with a trial that asks for sets and one that does not."""
    lab = MadeLab(tmp_path / "lab")
    for trial in lab.study("sets", point("npo", probe__memory=True), point("rome")):
        lab.attempt(trial)
    return lab


def folder(lab: MadeLab) -> Path:
    return next(lab.home.glob("outcomes/*/*/memory.parquet")).parent


def test_sets_are_lazy_and_labelled_and_of_trials_that_ask_for_them(made: MadeLab) -> None:
    frame = ksmith.memory("sets", home=made.home)
    assert isinstance(frame, pl.LazyFrame)
    assert frame.collect_schema().names() == COLUMNS
    found = frame.filter(pl.col("set") == "forget").select("study", "method", "step", "logp")
    assert found.collect().rows() == [("sets", "npo", 1, [pytest.approx(np.log(0.2))])]
    types = {**memory.SCHEMA, **judged.SCHEMA}
    assert {name: frame.collect_schema()[name] for name in types} == types


def test_what_judges_said_is_null_where_there_were_none(made: MadeLab, tmp_path: Path) -> None:
    (trial,) = made.study("judged", point("npo", seed=1, probe__memory=True))
    file = made.home / made.attempt(trial).folder / "memory.parquet"
    pl.read_parquet(file).with_columns(nli=pl.lit("neutral")).write_parquet(file)
    frame = ksmith.memory(home=made.home).collect()
    assert frame.columns == COLUMNS
    assert frame.select("study", "nli").unique(maintain_order=True).sort("study").rows() == [
        ("judged", "neutral"),
        ("sets", None),
    ]


@pytest.mark.parametrize("trials", [(), ("rome",)])
def test_where_no_trial_asks_there_are_the_columns_alone(
    tmp_path: Path, trials: tuple[str, ...]
) -> None:
    lab = MadeLab(tmp_path / "lab")
    for trial in lab.study("none", *map(point, trials)) if trials else ():
        lab.attempt(trial)
    frame = ksmith.memory(home=lab.home).collect()
    assert (frame.height, frame.columns) == (0, COLUMNS)
    far = ksmith.memory_gold(home=lab.home).collect()
    assert (far.height, far.columns) == (0, GOLD)


def test_a_lost_file_is_named(made: MadeLab) -> None:
    (folder(made) / "memory.parquet").unlink()
    with pytest.raises(UserError, match=r"memory\.parquet is gone; `ksmith db check`"):
        ksmith.memory(home=made.home)


def test_distances_in_answers_are_those_of_trials_with_gold_models(made: MadeLab) -> None:
    far = pl.DataFrame([{"step": 1, "gold": 0, "kl": 0.5}], memory_gold.SCHEMA)
    far.write_parquet(folder(made) / "memory_gold.parquet")
    frame = ksmith.memory_gold("sets", home=made.home)
    assert frame.collect_schema().names() == GOLD
    assert frame.select("method", "step", "kl").collect().rows() == [("npo", 1, 0.5)]


def test_every_column_is_described() -> None:
    for function, schema in (
        (ksmith.memory, {**memory.SCHEMA, **judged.SCHEMA}),
        (ksmith.memory_gold, memory_gold.SCHEMA),
    ):
        said = set(re.findall(r"\w+", function.__doc__ or ""))
        assert not [name for name in (*TRIAL, *schema) if name not in said]


# --- the example ------------------------------------------------------------------------------


def sets(step: int | None, gold: int | None, seed: int) -> pl.DataFrame:
    """Return facts of all sets, those of the forget set in two wordings; some scores are equal."""
    dice = np.random.default_rng(seed)
    names = ["forget"] * 9 + ["retain"] * 4 + ["holdout"] * 7

    def said(part: list[str]) -> list[tuple[str, float, float]]:
        return [
            (n, float(dice.choice(9) + 1) / 10, float(dice.uniform(0.1, 0.9))) for n in part
        ]

    return pl.concat(
        [
            rows(said(names), step, gold),
            rows(said(names[:9]), step, gold, wording="unseen"),
            rows(said(names[:9]), step, gold, wording="novel"),
        ]
    )


def ran(lab: MadeLab, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what is there once the example of studies/README.md was run."""
    page = (ROOT / "studies" / "README.md").read_text(encoding="utf-8")
    code = next(c for c in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "roc" in c)
    monkeypatch.setenv("KSMITH_HOME", str(lab.home))
    there: dict[str, Any] = {}
    exec(compile(code, "studies/README.md", "exec"), there)  # our own text
    return there


def test_the_example_gives_the_curves_whose_numbers_are_the_metrics(
    made: MadeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.concat([sets(0, None, 1), sets(1, None, 2), sets(None, 0, 3), sets(None, 1, 4)])
    table.write_parquet(folder(made) / "memory.parquet")
    metrics = {(m.step, m.name): m.value for m in memory_models.metrics(table, 0)}
    there = ran(made, monkeypatch)

    for step in (0, 1):
        roc = there["roc"].filter(step=step)
        true, false = (np.array([0.0, *roc[name]]) for name in ("true", "false"))
        assert true[-1] == false[-1] == 1
        area = np.trapezoid(true, false)
        assert area == pytest.approx(metrics[step, "memory.auc_loss.forget"])

    cdf = there["cdf"].collect()
    assert cdf.filter(step=1).height == 9 and cdf["share"].max() == 1
    assert metrics[1, "memory.ks.forget"] == pytest.approx(
        np.mean([gap(cdf.filter(step=1), cdf.filter(gold=gold)) for gold in (0, 1)])
    )


def gap(one: pl.DataFrame, other: pl.DataFrame) -> float:
    """Return the largest gap of two CDFs."""

    def at(cdf: pl.DataFrame, x: float) -> float:
        below = cdf.filter(pl.col("ratio") <= x)["share"].max()
        return float(below) if isinstance(below, float) else 0.0

    points = [*one["ratio"], *other["ratio"]]
    return max(abs(at(one, x) - at(other, x)) for x in points)
