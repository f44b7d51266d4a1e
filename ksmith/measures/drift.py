"""How far an update moves a model, and the three terms of the one objective.

What is measured on weights and activations lies in tensors.parquet, a row a number; here it
becomes metrics. Editing and unlearning are one problem (KnowledgeSmith, arXiv:2510.02392): pull
Q+ to a target, keep Q-, change little; so every trial of either has the same three numbers, and
methods can be drawn on one plane.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ksmith.measures.facts import UNIT, named, of_values, within
from ksmith.measures.slices import KNOWN, MINUS, PLUS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA: dict[str, Any] = {
    "draw": pl.Int32,
    "step": pl.Int32,  # as in the table of answers
    "measure": pl.String,
    "parameter": pl.String,  # of a changed matrix
    "layer": pl.Int32,  # of a matrix or of hidden states
    "question": pl.String,  # of an answer's distribution
    "value": pl.Float64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One row of a table: `n` of those that are not `of_facts` counts updates, one a draw."""

    doc: str
    better: str = "-"
    of_facts: bool = False
    low: float | None = 0.0
    high: float | None = None


DRIFT: dict[str, Moved] = {
    "kl": Moved(
        doc="KL(before || after) of the word that follows a question, nats, mean over facts; "
        "slices should_change (Q+) and should_stay (Q-).",
        of_facts=True,
    ),
    "cka": Moved(
        doc="Linear CKA of the hidden states at the last word of the same prompts before and "
        "after, mean over layers; slices layer0 and so on. n counts updates, at most 5 of a trial.",
        high=1.0,
    ),
    "relative": Moved(
        doc="||change||_F / ||weight||_F, mean over changed matrices; here and below slices "
        "layer0 and so on, n counts updates, and tensors.parquet has every matrix.",
    ),
    "distance": Moved(
        doc="||W - W_0||_F / the number of weights, mean over changed matrices; of sequences "
        "alone, at each of their steps (arXiv:2401.07453).",
    ),
    "scaling": Moved(doc="Mean of the singular values after over those before."),
    "scaling_cv": Moved(
        doc="Their standard deviation over their mean: 0 where all grow alike, large where a few "
        "directions do.",
    ),
    "rotation_left": Moved(
        doc="Mean principal angle, radians, between the top 16 left singular directions (what "
        "the matrix writes) before and after.",
        high=1.5707963267948966,
    ),
    "rotation_right": Moved(
        doc="The same of the right ones (what it reads).", high=1.5707963267948966
    ),
    "effective_rank": Moved(
        doc="exp of the entropy of the change's singular values (Roy and Vetterli 2007).",
    ),
}

OBJECTIVE: dict[str, Moved] = {
    "task": Moved(
        doc="Cross-entropy to the target on Q+, nats per token of the new answer; where the "
        "target is uniform, mean over the objects of the type. Also before the update.",
        better="lower",
        of_facts=True,
    ),
    "preservation": Moved(
        doc="KL(before || after) of the word that follows on Q-: drift.kl.should_stay.",
        better="lower",
        of_facts=True,
    ),
    "change": Moved(doc="||change||^2 of all parameters; n counts updates.", better="lower"),
    "change_relative": Moved(
        doc="||change||_F / ||weight||_F over all changed parameters; n counts updates.",
        better="lower",
    ),
}


def tensors(rows: "Iterable[DataclassInstance]") -> pl.DataFrame:
    """Return the table of tensors.parquet, of rows with the fields of `SCHEMA`."""
    return pl.DataFrame([asdict(row) for row in rows], SCHEMA)


def log_min_max(
    rows: pl.DataFrame, over: Iterable[str] = (), value: str = "value", to: str = "scaled"
) -> pl.DataFrame:
    """Return `rows` with log-min-max beside the raw value: (log x - log min) / (log max - log min).

    A number that depends on which trials happened to run: for shapes, not for comparing studies.
    A value of 0 or less has no logarithm and is null, as are all where there is but one.

    Args:
        rows: metrics of the cells of a study.
        over: columns within which cells are scaled together, e.g. ["probe", "measure"].
        value: the raw column, which stays.
        to: the name of the new one.
    """
    log = pl.when(pl.col(value) > 0).then(pl.col(value).log())
    low, high = log.min(), log.max()
    groups = list(over)
    if groups:
        low, high = low.over(groups), high.over(groups)
    return rows.with_columns(pl.when(high > low).then((log - low) / (high - low)).alias(to))


# --- facts ------------------------------------------------------------------------------------


def task_facts(prepared: pl.DataFrame) -> pl.DataFrame:
    """Return objective.task for each fact of Q+."""
    uniform = pl.when(pl.col("set") == "target").then(-pl.col("of_type_logp").list.mean())
    told = -pl.col("right_logp")
    rows = _by_fact(prepared.filter(PLUS & (pl.col("probe") != "known"))).with_columns(
        value=pl.when(pl.col("right").is_not_null()).then(told).otherwise(uniform)
    )
    slices = {"": pl.lit(True), "known": KNOWN}
    slices |= {name: pl.col("set") == name for name in ("target", "entailed")}
    return of_values(named(within(rows, slices), "objective", pl.lit("task")))


def facts(prepared: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """Return what `moved`, the table of tensors.parquet, says of each fact and each draw."""
    questions = prepared.filter(pl.col("step") > 0).drop("measure", "value", strict=False)
    apart = _by_fact(questions).join(
        moved.filter(measure="kl").select("step", "question", "value"),
        on=["step", "question"],
        maintain_order="left",
    )
    stay = {"": MINUS, "known": KNOWN & MINUS}
    sides = {"": pl.lit(True), "known": KNOWN, "should_change": PLUS, "should_stay": MINUS}
    sides |= {"known.should_change": KNOWN & PLUS, "known.should_stay": KNOWN & MINUS}
    return of_values(
        named(within(apart, sides), "drift", pl.lit("kl")),
        named(within(apart, stay), "objective", pl.lit("preservation")),
        *_of_draws(moved),
    )


def _by_fact(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        family=pl.lit("drift"), unit=pl.concat_str("unit", "fact", separator=" | ")
    )


def _of_draws(moved: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield one value a draw: a draw is an update, and updates are what is counted."""
    name = pl.col("draw").cast(pl.String)
    rows = moved.filter(pl.col("value").is_finite()).with_columns(
        family=pl.lit("updates"), cluster=name, unit=name
    )
    mine = rows.filter(
        pl.col("measure").is_in([n for n, row in DRIFT.items() if not row.of_facts])
    )
    yield named(mine, "drift", "measure", pl.lit(""))
    layer = pl.format("layer{}", "layer")
    yield named(mine.filter(pl.col("layer").is_not_null()), "drift", "measure", layer)
    keys = ["step", *UNIT]
    norm = rows.filter(measure="norm").select(*keys, "parameter", norm="value")
    both = norm.join(
        rows.filter(measure="relative").select("draw", "step", "parameter", relative="value"),
        on=["draw", "step", "parameter"],
        maintain_order="left",
    )
    weight = pl.when(pl.col("relative") > 0).then(pl.col("norm") / pl.col("relative"))
    totals = both.group_by(keys, maintain_order=True).agg(
        change=pl.col("norm").pow(2).sum(), weights=weight.pow(2).sum()
    )
    # A draw that changed nothing has no weights to compare with, and moved by 0.
    share = pl.when(pl.col("weights") > 0).then((pl.col("change") / pl.col("weights")).sqrt())
    for measure, value in {
        "change": pl.col("change"),
        "change_relative": share.fill_null(0.0),
    }.items():
        yield named(totals.with_columns(value=value), "objective", pl.lit(measure), pl.lit(""))
