"""The table of measures of how an update spreads, as `spread` derives them.

Each is there twice: by the *chosen* answer and, with `_generated`, by the text that is written.
"""

from dataclasses import dataclass

import polars as pl

from ksmith.measures.slices import MINUS, PLUS

ANSWERED = pl.col("answered")
HAD, HAS = pl.col("right_before").is_not_null(), pl.col("right").is_not_null()
CHOICE, TEXTS = pl.col("choices") > 1, pl.col("texts") & pl.col("choices").is_not_null()
PAIR = 2  # questions without which a fact can't contradict itself
REVERSE = pl.col("probe") == "reverse"


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
        there=TEXTS,
        new=pl.col("new_generated"),
        old=pl.col("old_generated"),
        new_0=pl.col("new_generated_0"),
        changed=pl.col("said").ne_missing(pl.col("said_0")),
    ),
)


def _of_questions(mode: Mode) -> dict[str, Spread]:
    """Return the measures of one mode that are means over questions.

    What got no answer counts as the failure of each.
    """
    end, told, there = mode.end, mode.told, mode.there
    asked = pl.col("asked_before").fill_null(False)
    moved = HAS & pl.col("right").ne_missing(pl.col("right_before"))
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
    }


def _of_facts(mode: Mode) -> dict[str, Spread]:
    """Return the measures of one mode that are of all questions of a requested fact together."""
    end, told, mine = mode.end, mode.told, PLUS & mode.there
    # As the updated world has it: the new answer, or where there is none, not the old one.
    as_new = ANSWERED & pl.when(HAS).then(mode.new).otherwise(~mode.old)
    as_old = ANSWERED & pl.when(HAD).then(mode.old).otherwise(~mode.new)
    several = pl.col("prompt").filter(mine).n_unique() >= PAIR
    straight, reverse = mine & HAS & pl.col("straight"), mine & HAS & REVERSE
    return {
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
    straight, back = mine & pl.col("straight"), mine & REVERSE
    return Spread(
        doc="direct, of those requested facts alone that are asked in reverse as well.",
        of=straight | back,
        value=pl.when(back.any()).then(mode.new.filter(straight).mean()),
        whole=True,
    )


CORRECTED = (pl.col("choices") - 1) / pl.col("choices")  # 1 - 1/m
RIGHT = (PLUS | MINUS) & HAS

SPREAD: dict[str, Spread] = {
    **{
        name: row
        for mode in MODES
        for name, row in (_of_questions(mode) | _of_facts(mode)).items()
    },
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
        of=RIGHT & TEXTS,
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
