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
from ksmith.measures.table import DERIVABLE, KNOWN, SET_MINUS, SET_PLUS, STORED

PROBE = "spread"
OPTIONS = pl.col("options").list.len().fill_null(0) > 0
ANSWERED = pl.col("answered")
PLUS, MINUS = pl.col("set").is_in(SET_PLUS), pl.col("set").is_in(SET_MINUS)
HAD, HAS = pl.col("right_before").is_not_null(), pl.col("right").is_not_null()
CHOICE, TEXT = pl.col("choices") > 1, pl.col("texts") & pl.col("choices").is_not_null()
PAIR = 2  # questions without which a fact can't contradict itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One row of the table; like `table.Measure`, but for questions of any probe."""

    doc: str
    of: pl.Expr  # to which questions it applies
    value: pl.Expr
    by: tuple[str, ...] = ()  # also: level, distance, hop, origin, range
    better: str = "higher"
    later: bool = False  # compares with step 0
    whole: bool = False  # one value a requested fact, from all its questions
    low: float | None = 0.0
    high: float | None = 1.0


# --- columns ----------------------------------------------------------------------------------

# Layers, as in `table.PREPARED`, of which each sees those above. A tie is no answer chosen, and
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

    `prepared` has the columns of answers.parquet, of `table.PREPARED`, and `UNIT`.
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


# --- the table --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mode:
    """One of the two ways in which an answer is taken; they are never mixed."""

    end: str  # of a measure's name
    told: str  # of an answer, in words
    there: pl.Expr  # the questions that have such answers
    new: pl.Expr  # it is the new answer, the right one
    old: pl.Expr  # ... the old one
    new_0: pl.Expr
    changed: pl.Expr  # it is not what it was before the update


MODES = (
    Mode(
        end="",
        told="chosen answer",
        there=CHOICE,
        new=pl.col("new"),
        old=pl.col("old"),
        new_0=pl.col("new_0"),
        changed=pl.col("chosen").ne_missing(pl.col("chosen_0")),
    ),
    Mode(
        end="_generated",
        told="written answer",
        there=TEXT,
        new=pl.col("new_generated"),
        old=pl.col("old_generated"),
        new_0=pl.col("new_generated_0"),
        changed=pl.col("said").ne_missing(pl.col("said_0")),
    ),
)


def _table(mode: Mode) -> dict[str, Spread]:
    """Return the measures of one mode. What got no answer counts as the failure of each."""
    end, told, there = mode.end, mode.told, mode.there
    asked, moved = (
        pl.col("asked_before").fill_null(False),
        HAS & pl.col("right").ne_missing(pl.col("right_before")),
    )
    # As the updated world has it: the new answer, or where there is none, not the old one.
    as_new = ANSWERED & pl.when(HAS).then(mode.new).otherwise(~mode.old)
    as_old = ANSWERED & pl.when(HAD).then(mode.old).otherwise(~mode.new)
    mine = PLUS & there
    several = pl.col("prompt").filter(mine).n_unique() >= PAIR
    straight, reverse = (
        mine & HAS & pl.col("straight"),
        mine & HAS & (pl.col("probe") == "reverse"),
    )
    return {
        f"ccr{end}": Spread(
            doc=f"Collateral change ratio: share of Q- whose {told} is another than before the "
            "update.",
            of=MINUS & there & asked,
            value=~ANSWERED | mode.changed,
            by=("level", "distance"),
            better="lower",
            later=True,
        ),
        f"target_change{end}": Spread(
            doc=f"The same share of Q+ that had an answer before: whose {told} is another.",
            of=PLUS & there & asked & HAD,
            value=ANSWERED & mode.changed,
            by=("level", "distance"),
            later=True,
        ),
        f"rr{end}": Spread(
            doc=f"Residual retention: share of Q+ whose {told} is still the old one; before the "
            "update: what was recalled.",
            of=PLUS & there & HAD,
            value=~ANSWERED | mode.old,
            by=("level", "hop", "origin"),
            better="lower",
        ),
        f"propagation{end}": Spread(
            doc=f"Share of Q+ whose {told} is the new one, less the share before the update.",
            of=PLUS & there & asked & moved,
            value=mode.new.cast(pl.Float64) - mode.new_0.cast(pl.Float64),
            by=("level", "hop", "origin"),
            later=True,
            low=-1.0,
        ),
        f"conflict{end}": Spread(
            doc=f"Share of requested facts with one question of Q+ whose {told} is the old one "
            "and another where it is the new one; at step 0: the same rate without an update.",
            of=mine,
            value=pl.when(several).then(
                mode.old.filter(mine).any() & mode.new.filter(mine).any()
            ),
            better="lower",
            whole=True,
        ),
        f"agree{end}": Spread(
            doc=f"Share of requested facts whose questions of Q+ all have the {told} of one "
            "world, the old or the new.",
            of=mine,
            value=pl.when(several).then(as_new.filter(mine).all() | as_old.filter(mine).all()),
            whole=True,
        ),
        f"direct{end}": Spread(
            doc=f"Share of requested facts whose {told} is the new one when asked directly (by "
            "probe direct, without it efficacy).",
            of=straight,
            value=mode.new.filter(straight).mean(),
            whole=True,
        ),
        f"reverse{end}": Spread(
            doc=f"Share of requested facts whose {told} is the new one when asked in reverse.",
            of=reverse,
            value=mode.new.filter(reverse).mean(),
            whole=True,
        ),
    }


def _twin(mode: Mode) -> Spread:
    """Return direct, of the facts that reverse is of: a difference is between the same facts."""
    mine = PLUS & mode.there & HAS
    straight, back = mine & pl.col("straight"), mine & (pl.col("probe") == "reverse")
    return Spread(
        doc="direct, of those requested facts alone that are asked in reverse as well.",
        of=straight | back,
        value=pl.when(back.any()).then(mode.new.filter(straight).mean()),
        whole=True,
    )


CORRECTED = (pl.col("choices") - 1) / pl.col("choices")  # 1 - 1/m
RIGHT = (PLUS | MINUS) & HAS

SPREAD: dict[str, Spread] = {
    **_table(MODES[0]),
    **_table(MODES[1]),
    **{f"direct_reversible{mode.end}": _twin(mode) for mode in MODES},
    "rr_corrected": Spread(
        doc="rr less what guessing gets, 1/m among m choices, over 1 - 1/m.",
        of=PLUS & CHOICE & HAD,
        value=1 - (ANSWERED & ~pl.col("old")).cast(pl.Float64) / CORRECTED,
        by=("level", "hop", "origin"),
        better="lower",
        low=-1.0,
    ),
    "choice": Spread(
        doc="The chosen answer is right; of slice id: Q+ and its neighbours, of slice ood: what "
        "is unrelated.",
        of=RIGHT & CHOICE,
        value=pl.col("new"),
        by=("range",),
    ),
    "choice_corrected": Spread(
        doc="The same as acc_c: less what guessing gets, over 1 - 1/m.",
        of=RIGHT & CHOICE,
        value=1 - (~pl.col("new")).cast(pl.Float64) / CORRECTED,
        by=("range",),
        low=-1.0,
    ),
    "generated": Spread(
        doc="The written answer is right; slices id and ood as for choice.",
        of=RIGHT & TEXT,
        value=pl.col("new_generated"),
        by=("range",),
    ),
    "chance": Spread(
        doc="1/m of the questions that rr counts: what guessing gets.",
        of=PLUS & CHOICE & HAD,
        value=1 / pl.col("choices"),
        by=("hop", "origin"),
        better="-",
        high=None,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """A measure of means, not of questions: its parts, and how they make it."""

    doc: str
    parts: tuple[str, str]
    better: str
    low: float = 0.0
    high: float | None = 1.0


COMBINED: dict[str, Combined] = {
    f"{name}{mode.end}": Combined(
        doc=doc, parts=(f"{a}{mode.end}", f"{b}{mode.end}"), better=better, high=high
    )
    for mode in MODES
    for name, a, b, doc, better, high in (
        (
            *("ccr_ratio", "ccr", "target_change"),
            f"ccr / target_change, by {mode.told}s: how much is changed that should stay for "
            "what is changed that should.",
            *("lower", None),
        ),
        (
            *("consistency", "direct_reversible", "reverse"),
            f"1 - |direct - reverse|, by {mode.told}s, of facts that are asked both ways.",
            *("higher", 1.0),
        ),
    )
}


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
        *(Part(f"level_{plain(name)}", pl.col("level") == name, "level") for name in levels),
        *(Part(f"distance{d}", pl.col("distance") == d, "distance") for d in distances),
    ]
    yield from every
    for part in every:
        name = f"known.{part.name}" if part.name else "known"
        yield Part(name, part.inside & KNOWN, part.kind)


def plain(name: str) -> str:
    """Return a name as it may stand in a metric's name.

    >>> plain("level 2: cities")
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
