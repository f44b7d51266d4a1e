"""A study that nobody ran: frames of the real shape, from a seeded generator."""

import io
import itertools
import random
from typing import Any

import polars as pl

from ksmith.records import derived_seed
from ksmith.report.content import Asset, Content, Failure, Picture

METHODS = ("rome", "memit", "ft_l", "graddiff", "npo")
LEVELS = ("root", "intermediate", "leaf")
LEFT_OUT = ("npo", "root", 10)  # the trial that failed
PROBES = ("efficacy", "paraphrase", "neighborhood", "same_subject", "reverse")


def trial_key(*parts: str | int) -> str:
    return f"trial-1-{derived_seed(0, *parts):020x}"


def trials(seeds: tuple[int, ...] = (0,)) -> pl.DataFrame:
    rows = [
        {
            "study": "plasticity",
            "trial": trial_key(method, level, scale, seed),
            "state": "failed" if (method, level, scale) == LEFT_OUT else "done",
            "method": method,
            "attempts": 1,
            "seconds": 4.5,
            "run_id": f"{derived_seed(1, method, level, scale, seed):032x}",
            "reason": None,
            "task.kind": "edit",
            "task.method": method,
            "task.level": level,
            "task.scale": scale,
            "task.draws": 20 if scale == 1 else 4,
            "seed": 0,
            "graph.seed": 0,
            "model.seed": seed,
            "method.lr": 0.2 if method == "rome" else 0.1,
        }
        for method, level, scale, seed in itertools.product(METHODS, LEVELS, (1, 10), seeds)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def few(seeds: tuple[int, ...] = (0,)) -> pl.DataFrame:
    """Return trials that are drawn fast: one level has a third of the panels."""
    return trials(seeds).filter(
        pl.col("method").is_in(["rome", "npo"]), pl.col("task.level") == "leaf"
    )


def headline(of: pl.DataFrame) -> pl.DataFrame:
    """Return `of` without the measures that stand folded below the first."""
    return of.filter(~pl.col("measure").is_in(["accuracy", "success"]))


def metrics(of: pl.DataFrame) -> pl.DataFrame:
    generator = random.Random(0)
    rows: list[dict[str, Any]] = []
    for trial in of.filter(state="done").iter_rows(named=True):
        for row in _measured(trial["task.level"]):
            value = row.pop("value") or generator.uniform(0.3, 0.9)
            rows.append(_head(trial) | {"hop": None} | row | {"value": value, "n": 20})
            rows[-1] |= {"low": value - 0.1, "high": min(value + 0.1, 1.0)}
    return pl.DataFrame(rows, schema_overrides={"hop": pl.Int64}, infer_schema_length=None)


def _head(trial: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": trial["study"],
        "trial": trial["trial"],
        "method": trial["method"],
        "task": trial["task.kind"],
        "level": trial["task.level"],
        "scale": trial["task.scale"],
        "seed": trial["seed"],
        "graph_seed": trial["graph.seed"],
        "model_seed": trial["model.seed"],
    }


def _measured(level: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"step": step, "probe": probe, "measure": measure, "slice": part, "value": None}
        for step in (0, 1)
        for probe in PROBES
        for measure in ("generated", "accuracy", "success")
        for part in ("", "known")
    ]
    rows += [
        {
            "step": step,
            "probe": "multi_hop",
            "measure": "generated",
            "slice": part,
            "value": None,
        }
        for step in (0, 1)
        for part in ("stored", "derived")
    ]
    # Before the update, only leaves' derived facts are recalled better than by chance.
    before: dict[str, Any] = {"probe": "multi_hop", "slice": "derived", "step": 0}
    over = 0.8 if level == "leaf" else 0.05  # its interval is .1 to each side
    rows.append(before | {"measure": "recalled_scored", "value": over})
    rows.append(before | {"measure": "scored_before", "value": 0.6})
    rows += [
        {"step": step, "probe": "utility", "measure": "loss", "slice": "", "value": 0.4}
        for step in (0, 1)
    ]
    terms = ("task", "preservation", "change_relative")
    objective: dict[str, Any] = {"probe": "objective", "slice": "", "value": None, "step": 1}
    rows += [objective | {"measure": measure} for measure in terms]
    rows.append(objective | {"measure": "task", "step": 0, "value": 8.0})
    rows += [
        {"probe": "memory", "slice": "forget", "value": None, "step": step, "measure": measure}
        for step in (0, 1)
        for measure in ("ks", "ks_margin", "probability")
    ]
    rows += [
        {"probe": "spread", "slice": "", "value": None, "step": step, "measure": measure}
        for step in (0, 1)
        for measure in ("direct_generated", "reverse_generated")
    ]
    return rows


def by_hop(of: pl.DataFrame, hops: tuple[int, ...] = (1, 2, 3)) -> pl.DataFrame:
    """Return `metrics(of)` with multi_hop at each hop, which only the first 2 were held at."""
    table = metrics(of)
    multi = table.filter(probe="multi_hop")
    parts = [table]
    for hop in hops:
        gate = pl.when(measure="recalled_scored").then(0.5 if hop < 3 else -0.5)
        parts.append(
            multi.with_columns(
                hop=pl.lit(hop, pl.Int64), low=gate.otherwise("low"), value=1 / hop
            )
        )
    return pl.concat(parts)


def picture() -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return buffer.getvalue()


def content(seeds: tuple[int, ...] = (0,), **changes: Any) -> Content:
    table = trials(seeds)
    given: dict[str, Any] = {
        "study": "plasticity",
        "question": "How many facts can each method write at once?",
        "text": 'name = "plasticity"\n',
        "trials": table,
        "metrics": metrics(table),
        "home": "/home/ada/lab",
        "methods": METHODS,
        "seconds": dict.fromkeys(table["trial"], 8.0),
        "assets": (
            Asset(
                kind="model",
                key="model-1-0123456789abcdef0123",
                facts={"parameters": 1_234_567},
                metrics=(
                    {"probe": "recall", "measure": "accuracy", "slice": "novel"}
                    | {"value": 0.91, "n": 300, "low": 0.87, "high": 0.94},
                ),
                pictures=(Picture(title="Causal trace", content=picture()),),
            ),
        ),
        "failures": (Failure(key="trial-1-00ab", state="failed", reason="oom", error="2 GiB"),),
        "runs": {
            trial: f"http://127.0.0.1:5000/#/runs/{run}"
            for trial, run in table.select("trial", "run_id").iter_rows()
        },
        "provenance": {"torch": "2.13.0"},
    }
    return Content(**(given | changes))
