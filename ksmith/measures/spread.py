"""How an update spreads: measures over the questions of several probes at once.

They go by a question's set, not by its probe (KnowledgeSmith, arXiv:2510.02392; it prints no
formulas, so these are ours). Q+ are the questions whose answer should change (target, entailed),
Q- those whose answer should stay (neighbour, unrelated). Each measure is there twice: by the
*chosen* answer, the most probable per token of a multiple choice's options, or of all candidates
where there are no options; and, with `_generated`, by the text that the model writes.

A value is of one fact that is asked about (its questions' mean); a conflict, an agreement, and
what is asked directly and in reverse are of one requested fact with all its questions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from ksmith.measures.facts import ALL_HOPS, UNIT, of_columns, of_wide, within
from ksmith.measures.slices import DERIVABLE, KNOWN, MINUS, PLUS, STORED
from ksmith.measures.spread_table import ANSWERED, SPREAD, Spread

PROBE = "spread"
OPTIONS = pl.col("options").list.len().fill_null(0) > 0

# Layers, as in `prepared.PREPARED`, of which each sees those above. A tie is no answer chosen, and
# an old answer that is level with the first is still there.
LAYERS: tuple[dict[str, pl.Expr], ...] = (
    {
        "choice_logp": pl.when(OPTIONS)
        .then(pl.col("mean_logp").list.gather(pl.col("options"), null_on_oob=True))
        .otherwise(pl.col("mean_logp")),
        "choices": pl.when(OPTIONS)
        .then(pl.col("options").list.len())
        .otherwise(pl.col("candidates").list.len())
        .cast(pl.Float64),
    },
    {"top": pl.col("choice_logp").list.max(), "first": pl.col("choice_logp").list.arg_max()},
    {
        "chosen": pl.when(
            (pl.col("choice_logp") - pl.col("top")).list.eval(pl.element() == 0).list.sum() == 1
        ).then(
            pl.when(OPTIONS)
            .then(pl.col("options").list.get(pl.col("first"), null_on_oob=True))
            .otherwise(pl.col("first").cast(pl.Int32))
        ),
    },
    {
        "new": (ANSWERED & (pl.col("chosen") == pl.col("right"))).fill_null(False),
        "old": (ANSWERED & (pl.col("old_logp") >= pl.col("top"))).fill_null(False),
        "new_generated": (ANSWERED & (pl.col("said") == pl.col("right_text"))).fill_null(False),
        "old_generated": (ANSWERED & (pl.col("said") == pl.col("old_text"))).fill_null(False),
    },
)
BEFORE = ("chosen", "said", "new", "new_generated")  # what is compared with step 0


def columns(prepared: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of Q+ and Q- with `LAYERS`, with `BEFORE`, and with units that are facts.

    `prepared` has the columns of answers.parquet, of `prepared.PREPARED`, and `UNIT`.
    """
    rows = prepared.filter((PLUS | MINUS) & ~pl.col("probe").is_in(["known", "utility"]))
    for layer in LAYERS:
        rows = rows.with_columns(**layer)
    before = rows.filter(pl.col("step") == 0).select(
        "question", asked_before=pl.lit(True), **{f"{name}_0": name for name in BEFORE}
    )
    return rows.join(before, on="question", how="left", maintain_order="left").with_columns(
        family=pl.lit(PROBE),
        request_unit="unit",
        unit=pl.concat_str("unit", "fact", separator=" | "),
        # The request's own question, in whatever form it is put.
        straight=pl.col("probe")
        == pl.when((pl.col("probe") == "direct").any())
        .then(pl.lit("direct"))
        .otherwise(pl.lit("efficacy")),
    )


# --- parts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A slice: its name, its questions, and the kind that a measure's `by` asks for."""

    name: str
    inside: pl.Expr = field(compare=False)
    kind: str = ""


def parts(rows: pl.DataFrame) -> Iterator[Part]:
    """Yield the slices of all questions, then the same of facts known before."""
    levels = rows["level"].drop_nulls().unique().sort()
    distances = rows["distance"].drop_nulls().unique().sort()
    every = [
        Part("", pl.lit(True)),
        Part("id", pl.col("set") != "unrelated", "range"),
        Part("ood", pl.col("set") == "unrelated", "range"),
        Part("stored", (pl.col("set") == "entailed") & STORED, "origin"),
        Part("derived", (pl.col("set") == "entailed") & DERIVABLE, "origin"),
        *(Part(f"level_{slug(name)}", pl.col("level") == name, "level") for name in levels),
        *(Part(f"distance{d}", pl.col("distance") == d, "distance") for d in distances),
    ]
    yield from every
    for part in every:
        name = f"known.{part.name}" if part.name else "known"
        yield Part(name, part.inside & KNOWN, part.kind)


def slug(name: str) -> str:
    """Return a name as it may stand in a metric's name.

    >>> slug("level 2: cities")
    'level_2_cities'
    """
    return re.sub(r"[^\w-]+", "_", name)


# --- facts ------------------------------------------------------------------------------------


def facts(prepared: pl.DataFrame) -> pl.DataFrame:
    """Return the value of each measure for each fact, a row for each slice and hop it is in."""
    rows = columns(prepared)
    every = tuple(parts(rows))
    return pl.concat([_means(rows, every), _wholes(rows, [p for p in every if not p.kind])])


def _value(measure: Spread) -> pl.Expr:
    """Return the value a question, null where the measure does not apply."""
    of = measure.of & (pl.col("step") > 0) if measure.later else measure.of
    return pl.when(of).then(measure.value.cast(pl.Float64))


def _means(rows: pl.DataFrame, every: Sequence[Part]) -> pl.DataFrame:
    names = [name for name, measure in SPREAD.items() if not measure.whole]
    # What was requested itself is hop 0, and no consequence.
    hop = pl.when(pl.col("set") == "entailed", pl.col("hop") > 0).then("hop")
    values = rows.select(
        "step", "set", "stored", "known", "level", "distance", *UNIT,
        hop=hop,
        probe=pl.lit(PROBE),
        **{name: _value(SPREAD[name]) for name in names},
    )  # fmt: skip
    asked = within(values, {part.name: part.inside for part in every})
    by_hop = asked.filter(
        pl.col("hop").is_not_null(),
        pl.col("slice").is_in([part.name for part in every if part.kind in ("", "origin")]),
    )
    found = of_columns(pl.concat([asked.with_columns(hop=ALL_HOPS), by_hop]), names)
    return found.filter(_wanted(names, every))


def _wanted(names: Sequence[str], every: Sequence[Part]) -> pl.Expr:
    """Return which rows of a table of facts `SPREAD` has: its slices, by hop or over all."""
    found = pl.lit(False)
    for kind in {part.kind: None for part in every}:
        mine = [name for name in names if not kind or kind in SPREAD[name].by]
        slices = [part.name for part in every if part.kind == kind]
        found |= pl.col("slice").is_in(slices) & pl.col("measure").is_in(mine)
    by_hop = [name for name in names if "hop" in SPREAD[name].by]
    return found & ((pl.col("hop") < 0) | pl.col("measure").is_in(by_hop))


def _wholes(rows: pl.DataFrame, every: Sequence[Part]) -> pl.DataFrame:
    """Return one value a requested fact, from all its questions together."""
    of_requests = rows.filter(pl.col("request") != "").with_columns(unit="request_unit")
    asked = within(of_requests, {part.name: part.inside for part in every})
    values = {name: m.value.cast(pl.Float64) for name, m in SPREAD.items() if m.whole}
    keys = ("step", "slice", *UNIT)
    wide = asked.group_by(keys, maintain_order=True).agg(**values)
    return of_wide(wide.with_columns(probe=pl.lit(PROBE), hop=ALL_HOPS), list(values))
