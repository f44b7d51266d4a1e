"""A lab as Polars frames: trials, metrics and single answers, of one study or of all.

    ksmith.trials("plasticity")      one row a trial and study; every setting in its own column
    ksmith.metrics()                 one row a metric, ready to filter and to plot
    ksmith.answers()                 a lazy frame over every question that was asked
    ksmith.memory("unlearning")      lazily: each statement of forget, retain and holdout sets
    ksmith.pooled("plasticity")      the same over seeds: one row a cell, step and metric
    ksmith.table("plasticity", ["efficacy.generated"])    metrics side by side, as text
    ksmith.findings("plasticity")    one row a [[finding]]: does it hold, by how much
    ksmith.curves("plasticity")      one row a curve: accuracy over scale, where it is half, falls

`home` is the lab's folder: the parameter, else KSMITH_HOME, else ./mlruns. Reading changes
nothing: the database is opened read-only and is never upgraded.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ksmith.frames import columns
from ksmith.frames.findings import judged
from ksmith.frames.lab import open_lab
from ksmith.frames.steps import ended
from ksmith.frames.wide import named, over_seeds, side_by_side
from ksmith.records import UserError
from ksmith.settings import METHODS, names
from ksmith.study import findings_in

__all__ = [
    "answers",
    "curves",
    "findings",
    "gold",
    "judged",
    "memory",
    "memory_gold",
    "metrics",
    "pooled",
    "table",
    "trials",
]

BY = ("task", "method", "level", "scale", "share", "sequence")


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


def metrics(
    study: str | None = None, home: str | Path | None = None, *, unfinished: bool = False
) -> pl.DataFrame:
    """Return one row for each metric of each finished trial of each study.

    With `unfinished` those of trials that failed, too, which are of what had been measured by
    then (step 0, and the draws that were asked whole), and one more column, `state`: "done" or
    "failed". No report, no pooled number and no finding has them.

    Columns: study, trial, method, task, level, scale, share (of what there is, instead of a
    scale), sequence (facts of it, which are its scale, too; null for updates at once), seed,
    graph_seed, model_seed, step (0 is before the update, 1 after it; in a sequence the number of
    facts written), probe, measure, slice, hop,
    value (NaN where there is none), n (facts, never questions), low and high (95 % interval;
    null where n < 2).

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    lab = open_lab(home)
    states = ["done", "failed"] if unfinished else ["done"]
    trials = lab.trials(study).filter(pl.col("state").is_in(states))
    named = columns.named(trials).hstack(trials.select("state"))
    rows = lab.metrics(study)
    names = [*columns.TRIAL, *rows.columns[1:], *(["state"] if unfinished else [])]
    return named.join(rows, on="node_id", how="inner", maintain_order="left_right").select(
        names
    )


def answers(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of every answer in every finished trial of each study.

    Columns: study, trial, method, task, level, scale, share, sequence, seed, graph_seed,
    model_seed,
    then those of answers.parquet (`ksmith.measures.SCHEMA`). Its `level`, the one of a
    question's own subject, is `subject_level` here. A column that only some trials have is null
    in the others.

    Raises:
        UserError: there is no lab in `home`, no such study in it, or a trial's file is gone.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.answers(columns.named(rows), lab.home)


def findings(study: str, home: str | Path | None = None) -> pl.DataFrame:
    """Return one row for each [[finding]] of a study file, as it was stored last.

    Columns: says, paper, measure, more, less, value (the difference of the two), low and high
    (95 % interval), margin, n (facts), cells, model_seeds, and verdict: "holds" where the whole
    interval is above the margin, "does not hold" where none of it is, else "undecided", or "not
    measured".

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    text = open_lab(home).text(study)
    return judged(findings_in(text, names(METHODS)), trials(study, home), metrics(study, home))


def curves(
    study: str | None = None,
    home: str | Path | None = None,
    by: Sequence[str] = ("task", "method", "level"),
    mode: str = "generated",
    part: str = "",
) -> pl.DataFrame:
    """Return one row a plasticity curve: accuracy over scale, its half-point, its collapse.

    Columns: those of `by` (columns of `metrics`, or settings such as "model.recipe"), lists
    scale, value, low, high, n, then k_half, k_star, collapsed; see `ksmith.measures.curves`.
    Sequences are on no curve: what is written bit by bit is not written at that scale. Neither
    are shares, which name no scale.

    Raises:
        UserError: there is no lab in `home`, no such study in it, or no such column or mode.
    """
    # Measures bring numpy along, which the other frames can do without.
    from ksmith.measures import curves as measured_curves

    rows = metrics(study, home).filter(
        pl.col("sequence").is_null(), pl.col("scale").is_not_null()
    )
    table = trials(study, home)
    missing = [name for name in by if name not in rows.columns]
    strange = [name for name in missing if name not in table.columns]
    if strange:
        there = ", ".join([*rows.columns, *table.columns])
        raise UserError(f"no column {strange[0]!r} to tell curves apart by; there are {there}")
    own = table.select("study", "trial", *missing)
    rows = rows.join(own, on=["study", "trial"], how="left", maintain_order="left")
    return measured_curves(ended(rows), by, mode=mode, part=part)


def gold(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of how far the models of each finished trial are from its gold models.

    Columns: study, trial, method, task, level, scale, share, sequence, seed, graph_seed,
    model_seed,
    then those of gold.parquet (`ksmith.measures.gold.SCHEMA`): one row a question and pair of
    models.
    Trials without gold models have no rows.

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.gold(columns.named(rows), lab.home)


def memory(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of what each model makes of forget, retain and holdout sets.

    One row a statement and model, of each finished trial of each study that asks for them
    (`probe.memory`); others have no rows. Columns: study, trial, method, task, level, scale,
    share, sequence, seed, graph_seed, model_seed, then

    - step (of the model: 0 before the update, 1 after it, in a sequence the facts written; null:
      a gold model) and gold (which one)
    - draw, set (forget, retain, near, trained, holdout), fact, subject, near (is what stays near
      the forget set? null: nobody can say)
    - wording (seen: training stated this fact so; unseen: others alone; novel: none), prompt,
      answer, names (by which the answer may be written), generated (greedy text; null: not asked)
    - logp (of each token of the answer, nats), hit (it is the most probable one), ended (the last
      one ends the answer), mean and std (of log p over the vocabulary in its place, nats)
    - wrong (other answers), wrong_logp (of each, mean over its tokens, nats), reworded_logp (the
      same of the answer in other words; null: there are none)
    - gradient (norm, mean over parameters; null: `probe.memory_gradients` is off)
    - surprise (perplexity of `generated` under the model before the update), then, null without
      judges: nli (label), entities (of the answer), written (of `generated`), coverage (0 to 1),
      by (names, model, words: what found entities) and cut (a judge read the beginning alone)

    Which of them go into which measure is in studies/README.md.

    Raises:
        UserError: there is no lab in `home`, no such study in it, or a trial's file is gone.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.memory(columns.named(columns.asked(rows, "probe.memory")), lab.home)


def memory_gold(study: str | None = None, home: str | Path | None = None) -> pl.LazyFrame:
    """Return a lazy frame of KL(gold || model) of each statement of those sets.

    One row a statement, model and gold model; trials without gold models have none. Columns:
    study, trial, method, task, level, scale, share, sequence, seed, graph_seed, model_seed, then
    step (of the model; null: a gold model) and other (which one), gold (the one that it is held
    to), draw, set, fact, subject, wording, prompt, answer, and kl (nats, mean over the places of
    the answer's tokens; null: a model that broke).

    Raises:
        UserError: there is no lab in `home`, or no such study in it.
    """
    lab = open_lab(home)
    rows = lab.trials(study).filter(pl.col("state") == "done")
    return columns.memory_gold(columns.named(rows), lab.home)


def pooled(study: str, by: Sequence[str] = BY, home: str | Path | None = None) -> pl.DataFrame:
    """Return the metrics of a study, one row for each `by`, step and metric: the mean over seeds.

    Trials with the same `by` that differ in seeds alone are pooled as in the report; of others
    the first one stands.

    Columns: `by`, step, metric (its name in MLflow), probe, measure, slice, hop, value, n (facts,
    those of each `seed`), low and high (95 % interval, of model seed > draw > subject), trials,
    model_seeds, training_variance_covered (at least 5 model seeds).

    Raises:
        UserError: no lab, study or column of that name.
    """
    return over_seeds(named(metrics(study, home)), trials(study, home), by)


def table(
    study: str,
    shown: Sequence[str],
    by: Sequence[str] = BY,
    home: str | Path | None = None,
) -> pl.DataFrame:
    """Return one row for each `by`, one column for each metric: `value [low, high] n`, as text.

    Trials that differ in seeds alone are one row: the mean over seeds, as in the report.

    Args:
        study: its name.
        shown: metrics by their names in MLflow, such as "multi_hop.accuracy.stored.hop2".
        by: columns of `metrics` that tell trials apart.
        home: the lab's folder.

    Raises:
        UserError: no lab, study or column of that name, or a metric that no trial measured.
    """
    return side_by_side(metrics(study, home), trials(study, home), shown, by)
