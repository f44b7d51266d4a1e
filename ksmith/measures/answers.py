"""The table of answers: one row a question and step, as it lies in answers.parquet.

`frame` joins questions with what the model said, `steps` puts the rows before and after the
update together. Whether a fact was *known* is decided here and once, for every method alike:
by the questions of probe "known" at step 0, whose wordings are scored nowhere else
(of source qa it is the question as it stands).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from ksmith.records import Answer, Question

SCHEMA: dict[str, Any] = {
    "step": pl.Int32,  # 0 before the update
    "draw": pl.Int32,
    "question": pl.String,
    "request": pl.String,
    "written_at": pl.Int32,  # facts of its sequence once that request is; null: no sequence
    "probe": pl.String,
    "set": pl.String,
    "fact": pl.String,
    "subject": pl.String,
    "level": pl.String,
    "hop": pl.Int32,
    "stored": pl.Boolean,
    "distance": pl.Int32,  # steps from the nearest request; null: none, or too many
    "domain": pl.String,
    "wording": pl.String,
    "context": pl.String,  # what a sentence before the question asserts: "", old, new
    "prompt": pl.String,
    "candidates": pl.List(pl.String),
    "right": pl.Int32,  # right, right_before, rival, of_type, options: indices into candidates
    "right_before": pl.Int32,
    "rival": pl.Int32,
    "aliases": pl.List(pl.String),  # of the right answer: written, they are as good as its name
    "aliases_before": pl.List(pl.String),  # ... of the one before
    "of_type": pl.List(pl.Int32),
    "options": pl.List(pl.Int32),  # of a multiple choice, as displayed, A to D
    "logp": pl.List(pl.Float32),  # sum over the tokens of each candidate; null: no answer
    "tokens": pl.List(pl.Int32),
    "argmax": pl.List(pl.Boolean),
    "hits": pl.List(pl.Int32),  # tokens that are the most probable one, each after the last
    "predicted": pl.List(pl.Int32),  # the most probable tokens in the right answer's places
    "generated": pl.String,  # greedy text to its natural stop; for `fluency`: sampled text
    "known": pl.Boolean,  # was the fact known before? null: nobody asked
    "trained": pl.Boolean,  # did the method train on the fact, to keep it? null: it did not
}

QUESTION = ("draw", "request", "probe", "set", "fact", "subject", "level", "hop", "stored")
PLACE = ("distance", "domain", "wording", "context", "prompt")
WORDING = ("candidates", "right", "right_before", "rival", "of_type", "options")
ALIASES = ("aliases", "aliases_before")
ANSWER = ("logp", "tokens", "argmax", "hits", "predicted", "generated")


def frame(questions: Sequence[Question], answers: Sequence[Answer], step: int) -> pl.DataFrame:
    """Return one row a question, in order, with its answer; see `SCHEMA`.

    A question without an answer keeps its row, with nulls: it stays in every denominator.
    `known` is filled at step 0 and null later; `steps` carries it over.

    Raises:
        ValueError: two answers to one question, or an answer to none of them.
    """
    by_id = {answer.question: answer for answer in answers}
    if len(by_id) < len(answers):
        raise ValueError(f"{len(answers)} answers to {len(by_id)} questions: some have two")
    stray = by_id.keys() - {question.id for question in questions}
    if stray:
        raise ValueError(f"an answer to no question of this trial: {min(stray)!r}")
    said = [by_id.get(question.id) for question in questions]
    columns: dict[str, list[Any]] = {"step": [step] * len(questions)}
    columns["question"] = [question.id for question in questions]
    for name in QUESTION + PLACE + WORDING + ALIASES:
        columns[name] = [getattr(question, name) for question in questions]
    for name in ANSWER:
        columns[name] = [None if a is None else getattr(a, name) for a in said]
    for name in ("known", "written_at", "trained"):
        columns[name] = [None] * len(questions)
    series = [_series(name, columns[name], dtype) for name, dtype in SCHEMA.items()]
    return with_known(pl.DataFrame(series))


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    """Return a column; for lists some thirty times as fast as polars reads nested ones."""
    if not isinstance(dtype, pl.List):
        return pl.Series(name, values, dtype)
    lengths = [len(value or ()) for value in values]
    flat = pl.DataFrame(
        {
            "row": np.repeat(np.arange(len(values)), lengths),
            "value": pl.Series(
                list(chain.from_iterable(v or () for v in values)), dtype=dtype.inner
            ),
        }
    )
    there = pl.Series([value is not None for value in values], dtype=pl.Boolean)
    rows = pl.DataFrame({"row": np.arange(len(values)), "there": there})
    lists = flat.group_by("row", maintain_order=True).agg("value")
    value = pl.col("value").fill_null(pl.lit([], dtype))
    return (
        rows.join(lists, on="row", how="left", maintain_order="left")
        .select(pl.when("there").then(value).alias(name))
        .to_series()
    )


def steps(before: pl.DataFrame, *after: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of step 0, then the later ones, with `known` filled in everywhere."""
    return with_known(pl.concat([complete(rows) for rows in (before, *after)]))


def with_written(rows: pl.DataFrame, written: Mapping[str, int]) -> pl.DataFrame:
    """Return `rows` with `written_at` filled in, which is given by request."""
    times = pl.DataFrame(
        {"request": list(written), "end": list(written.values())},
        {"request": pl.String, "end": pl.Int32},
    )
    return (
        rows.join(times, on="request", how="left", maintain_order="left")
        .with_columns(written_at="end")
        .select(list(SCHEMA))
    )


def with_trained(rows: pl.DataFrame, trained: Iterable[tuple[int, str]]) -> pl.DataFrame:
    """Return `rows` with `trained` filled in, at all steps, for these draws and facts."""
    facts = pl.DataFrame(
        list(trained), {"draw": pl.Int32, "fact": pl.String}, orient="row"
    ).unique()
    return (
        rows.join(
            facts.with_columns(it=pl.lit(True)),
            on=["draw", "fact"],
            how="left",
            maintain_order="left",
        )
        .with_columns(trained="it")
        .select(list(SCHEMA))
    )


def complete(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` in the columns of `SCHEMA`; one that an older file lacks is null."""
    missing = {name: dtype for name, dtype in SCHEMA.items() if name not in rows.columns}
    filled = rows.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in missing.items()
    )
    return filled.select(list(SCHEMA))


def with_known(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with `known` decided by their step 0; unchanged where they have none.

    A fact is known when the model's most probable words are the old answer, in every wording
    that asks for it. A fact that had no answer before (a new consequence) takes the word of
    the fact that the request changes.
    """
    rows = complete(rows)
    if rows.filter(pl.col("step") == 0).is_empty():
        return rows
    right = pl.col("argmax").list.get(pl.col("right_before"), null_on_oob=True)
    facts = (
        rows.filter((pl.col("step") == 0) & (pl.col("probe") == "known"))
        .group_by("fact")
        .agg(own=right.fill_null(False).all())
    )
    requested = (
        targets(rows)
        .join(facts, left_on="target", right_on="fact")
        .select("request", requested="own")
    )
    existed = pl.col("right_before").is_not_null()
    known = pl.when(existed).then("own").otherwise("requested")
    return (
        rows.join(facts, on="fact", how="left", maintain_order="left")
        .join(requested, on="request", how="left", maintain_order="left")
        .with_columns(known=known)
        .select(list(SCHEMA))
    )


def targets(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the fact and the subject that each request changes: request, target, of.

    Only the request's own questions can tell; without any, the request has no row.
    """
    own = (pl.col("set") == "target") & (pl.col("request") != "")
    return (
        rows.filter(own)
        .select("request", target="fact", of="subject")
        .unique("request", keep="first", maintain_order=True)
    )
