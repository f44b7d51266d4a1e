"""A lab as Polars frames: trials, metrics and single answers, of one study or of all.

    ksmith.trials("plasticity")      one row a trial and study; every setting in its own column
    ksmith.metrics()                 one row a metric, ready to filter and to plot
    ksmith.answers()                 a lazy frame over every question that was asked

`home` is the lab's folder: the parameter, else KSMITH_HOME, else ./mlruns. Reading changes
nothing: the database is opened read-only and is never upgraded.
"""

from pathlib import Path

import polars as pl

from ksmith.frames import columns
from ksmith.frames.lab import open_lab

__all__ = ["answers", "gold", "metrics", "trials"]


def trials(study: str | None = None, home: str | Path | None = None) -> pl.DataFrame:
    """Return one row for each trial of each study, in the order of the grid.

    Columns: study, trial (its key), state, method, attempts (how many), seconds (of the attempt
    that counts), run_id (in MLflow), reason (why it failed), then every setting by its dotted
    name; null where a trial has no such setting.

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    rows = open_lab(home).trials(study)
    settings = columns.settings(rows["settings"].to_list())
    fixed = ("study", "trial", "state", "attempts", "seconds", "run_id", "reason")
    frame = rows.select(*fixed).hstack(settings)
    order = ["study", "trial", "state", "method", "attempts", "seconds", "run_id", "reason"]
    return frame.with_columns(method=columns.pick(frame, "task.method", pl.String)).select(
        *order, *settings.columns
    )


def metrics(study: str | None = None, home: str | Path | None = None) -> pl.DataFrame:
    """Return one row for each metric of each finished trial of each study.

    Columns: study, trial, method, task, level, scale, seed, graph_seed, model_seed, step (0 is
    before the update), probe, measure, slice, hop, value (NaN where there is none), n (facts,
    never questions), low and high (95 % interval; null where n < 2).

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    lab = open_lab(home)
    named = columns.named(lab.trials(study))
    rows = lab.metrics(study)
    return named.join(rows, on="node_id", how="inner", maintain_order="left_right").select(
        *columns.TRIAL, *rows.columns[1:]
    )


def answers(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of every answer in every finished trial of each study.

    Columns: study, trial, method, task, level, scale, seed, graph_seed, model_seed, then those
    of answers.parquet (`ksmith.measures.SCHEMA`). Its `level`, the one of a question's own
    subject, is `subject_level` here. A column that only some trials have is null in the others.

    Raises:
        UserError: there is no lab in `home`, no such study in it, or a trial's file is gone.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.answers(columns.named(rows), lab.home)


def gold(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of how far the models of each finished trial are from its gold models.

    Columns: study, trial, method, task, level, scale, seed, graph_seed, model_seed, then those
    of gold.parquet (`ksmith.measures.gold.SCHEMA`): one row a question and pair of models.
    Trials without gold models have no rows.

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.gold(columns.named(rows), lab.home)
