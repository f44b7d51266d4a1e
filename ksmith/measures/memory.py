"""What models still have of a forget set, a retain set and a holdout set: means over facts.

One row a statement and model lies in memory.parquet, with the numbers of its answer's tokens
(see `lm/tokens.py`), so that a new measure costs no pass. Measures of one statement are here;
those of whole sets (membership, distance to gold models, utility) in `memory_models`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from ksmith.measures import judged, recalled
from ksmith.measures.memory_table import (
    FORGET,
    HOLDOUT,
    NEAR,
    OF_STATEMENTS,
    PROBE,
    RETAIN,
    SETS,
    TRAINED,
)
from ksmith.measures.rouge import rouge_l, words

SCHEMA: dict[str, Any] = {
    "step": pl.Int32,  # of the model; null: a gold model
    "gold": pl.Int32,  # which
    "draw": pl.Int32,
    "set": pl.String,  # forget, retain, near, trained, holdout
    "fact": pl.String,
    "subject": pl.String,
    "wording": pl.String,
    "prompt": pl.String,
    "answer": pl.String,
    "names": pl.List(pl.String),  # by which it may be written: its own and its aliases
    "generated": pl.String,  # greedy text; null: nobody asked
    "logp": pl.List(pl.Float32),  # of each token of the answer: see lm/tokens.py
    "hit": pl.List(pl.Boolean),
    "ended": pl.Boolean,  # the last token is the one that ends the answer; null: it has none
    "mean": pl.List(pl.Float32),
    "std": pl.List(pl.Float32),
    "wrong": pl.List(pl.String),  # other objects of the type, none true
    "wrong_logp": pl.List(pl.Float32),  # mean over the tokens of each
    "reworded_logp": pl.Float32,  # of the answer in other words; null: it has none
    "gradient": pl.Float32,  # its norm, mean over parameters; null: nobody asked
    "near": pl.Boolean,  # of what stays: near the forget set; null: nobody can say
}
ROW = ("draw", "set", "prompt", "answer")  # one statement, whatever the model
PARTS = {  # of retain; where nobody can say what is near, there is neither of the two
    "near": pl.col("set").is_in([RETAIN, NEAR]) & pl.col("near"),
    "far": (pl.col("set") == RETAIN) & ~pl.col("near"),
    "trained": pl.col("set") == TRAINED,
}


def frame(
    columns: Mapping[str, Sequence[Any]], *, step: int | None, gold: int | None = None
) -> pl.DataFrame:
    """Return one row a statement; see `SCHEMA`. What `columns` lacks is null."""
    size = len(columns["draw"])
    every = {**columns, "step": [step] * size, "gold": [gold] * size}
    return pl.DataFrame({name: every.get(name, [None] * size) for name in SCHEMA}, SCHEMA)


def with_trained(rows: pl.DataFrame, kept: Iterable[tuple[int, str]]) -> pl.DataFrame:
    """Return `rows` without what a method may train on and did not: draw and fact are in `kept`."""
    schema = {"draw": pl.Int32, "fact": pl.String}
    did = pl.DataFrame(list(kept), schema, orient="row").unique().with_columns(did=True)
    both = rows.join(did, on=list(schema), how="left", maintain_order="left")
    stays = (pl.col("set") != TRAINED) | pl.col("did").is_not_null()
    return both.filter(stays).select(rows.columns)


def told(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` with a column for each measure of one statement; null where it has none."""
    found = [_of_row(row) for row in rows.iter_rows(named=True)]
    made = {name: [one.get(name) for one in found] for name in OF_STATEMENTS}
    types = dict.fromkeys(OF_STATEMENTS, pl.Float64)
    return rows.hstack(pl.DataFrame(made, types).fill_nan(None))


def _of_row(row: Mapping[str, Any]) -> dict[str, float]:
    if row["logp"] is None or not np.isfinite(row["logp"]).all():
        return {}  # a model that broke: counted in `facts`
    logp = np.array(row["logp"], dtype=np.float64)
    other = row["reworded_logp"]  # TOFU's: against the answer in other words
    right = float(np.mean(logp)) if other is None else other
    ratio = recalled.truth_ratio(right, row["wrong_logp"] or [])
    ended = bool(row["ended"])
    hit = row["hit"][: len(logp) - ended]  # what ends an answer is none of it
    of_set = recalled.indistinct if row["set"] == FORGET else recalled.told_apart
    found = {
        "probability": recalled.probability(logp),
        "truth_ratio": of_set(ratio),
        "truth_ratio_prob_mean": recalled.truth_share(ratio),
        "extraction_strength": recalled.extraction_strength(hit),
        "exact_memorisation": recalled.exact_memorisation(hit),
        **({"ends": float(row["hit"][-1])} if ended else {}),
    }
    if row["generated"] is not None:
        found["rouge_recall"], found["rouge_f1"] = rouge_l(row["generated"], row["answer"])
        said = recalled.mentions(row["generated"], row["names"])
        name, value = ("kfr_exact", not said) if row["set"] == FORGET else ("krr_exact", said)
        found[name] = float(value)
        found |= _written(row)
    return found


def _written(row: Mapping[str, Any]) -> dict[str, float]:
    """Return how natural what a model wrote reads, and what judges say of it."""
    said = words(row["generated"])
    found = {
        "brunet": recalled.brunet(said),
        "honore": recalled.honore(said),
        "wordless": float(not said),
        **judged.of_row(row),
    }
    if row.get("surprise") is not None:
        found["perplexity"] = row["surprise"]
    return found


def ratios(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the truth ratio r of each fact of the forget set: draw, fact, subject, ratio.

    As published, of a user's own question as it stands, and the answer in other words where the
    file has them; of other facts the geometric mean over the wordings of the question, of those
    not trained on where there are any.
    """
    mine = rows.filter(pl.col("set") == FORGET, pl.col("wrong_logp").list.len() > 0)
    own = pl.col("logp").cast(pl.List(pl.Float64)).list.mean()
    right = pl.coalesce(pl.col("reworded_logp").cast(pl.Float64), own)
    log = pl.col("wrong_logp").cast(pl.List(pl.Float64)).list.mean() - right
    other = pl.col("wording") != "seen"
    # Such a question is the fact's subject; in all other prompts something stands beside that.
    itself = pl.col("fact").str.starts_with(pl.col("prompt") + " / ")
    rank = pl.when(itself).then(2).otherwise(other.cast(pl.Int32))
    return (
        mine.with_columns(log=log)
        .filter(pl.col("log").is_finite())
        .filter(rank == rank.max().over("draw", "fact"))
        .group_by("draw", "fact", "subject", maintain_order=True)
        .agg(ratio=pl.col("log").mean().exp())
        .sort("draw", "fact")
    )


def facts(rows: pl.DataFrame, knew: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the mean of each measure within each fact, in the columns of `metrics.facts`.

    `knew` holds draw and fact of what the model knew before the update: slice known.forget,
    and measure known, of how many that is.
    """
    known = told(rows).with_columns(family=pl.lit(PROBE), cluster="subject", unit="fact")
    models = {"": pl.col("step").is_not_null(), "gold.": pl.col("gold").is_not_null()}
    found: list[pl.DataFrame] = []
    for start, of in models.items():
        # What gold models say stands beside the model after the update.
        mine = known.filter(of).with_columns(step=pl.col("step").fill_null(1))
        for name in SETS:
            here = mine.filter(set=name)
            found.append(_means(here, f"{start}{name}"))
            if knew is not None and name == FORGET:
                held = here.join(knew, on=["draw", "fact"], how="semi", maintain_order="left")
                found.append(_means(held, f"{start}known.{name}"))
            for wording in ("seen", "unseen", "novel") if name == FORGET else ():
                found.append(_means(here.filter(wording=wording), f"{start}{name}.{wording}"))
        for part, of_part in PARTS.items():
            found.append(_means(mine.filter(of_part), f"{start}{RETAIN}.{part}"))
    if knew is not None:
        found.append(_known(known, knew))
    return pl.concat(found)


def _known(rows: pl.DataFrame, knew: pl.DataFrame) -> pl.DataFrame:
    """Return of each fact of the forget set 1 or 0: the model knew it before the update."""
    before = rows.filter(set=FORGET, step=0).unique(["draw", "fact"], maintain_order=True)
    marked = before.join(
        knew.with_columns(known=1.0), on=["draw", "fact"], how="left", maintain_order="left"
    )
    return _means(marked.with_columns(pl.col("known").fill_null(0.0)), FORGET, ("known",))


def _means(
    part: pl.DataFrame, name: str, measures: Sequence[str] = tuple(OF_STATEMENTS)
) -> pl.DataFrame:
    keys = ["step", "family", "draw", "cluster", "unit"]
    return (
        part.group_by(keys, maintain_order=True)
        .agg(pl.col(measures).mean())
        .unpivot(measures, index=keys, variable_name="measure", value_name="value")
        .filter(pl.col("value").is_not_null())
        .select(
            "step",
            pl.lit(PROBE).alias("probe"),
            "measure",
            *keys[1:],
            "value",
            slice=pl.lit(name),
            hop=pl.lit(-1, pl.Int32),
        )
    )


# --- membership -------------------------------------------------------------------------------

ATTACKS = ("loss", "zlib", "min_k", "min_k_plus", "reference", "gradient")


def scores(rows: pl.DataFrame, before: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return draw, set, fact, subject and a column for each attack: lower for a member.

    Of the forget set in the words that training has, and of the holdout set; one row a fact,
    mean over its wordings. `before`, the rows of the model before the update, is what the
    attack "reference" compares with; without it that has no value.
    """
    there = (pl.col("set") == HOLDOUT) | (
        (pl.col("set") == FORGET) & (pl.col("wording") == "seen")
    )
    rows = rows.filter(there)
    if before is not None:
        was = before.select(*ROW, was="logp").unique(ROW, maintain_order=True)
        rows = rows.join(was, on=ROW, how="left", maintain_order="left")
    found = [_attacked(row) for row in rows.iter_rows(named=True)]
    made = {name: [one[name] for one in found] for name in ATTACKS}
    table = rows.select("draw", "set", "fact", "subject").hstack(
        pl.DataFrame(made, dict.fromkeys(ATTACKS, pl.Float64)).fill_nan(None)
    )
    return table.group_by("draw", "set", "fact", "subject", maintain_order=True).agg(
        pl.col(ATTACKS).mean()
    )


def _attacked(row: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the scores of a statement; nan where a model that broke gives none."""
    wide = partial(np.array, dtype=np.float64)
    numbers = [
        wide(row[name] if row[name] is not None else []) for name in ("logp", "mean", "std")
    ]
    if not all(np.isfinite(part).all() for part in numbers):
        return dict.fromkeys(ATTACKS, float("nan"))
    was = row.get("was")
    before = float("nan") if was is None else recalled.loss(wide(was))
    gradient = float("nan") if row["gradient"] is None else row["gradient"]
    logp, mean, std = numbers
    ended = bool(row["ended"])
    found = recalled.attacks(logp, mean, std, row["answer"], before, ended=ended)
    return {**found, "gradient": gradient}
