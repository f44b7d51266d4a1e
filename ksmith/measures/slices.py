"""Slices: which of a probe's questions a measure is taken of."""

import polars as pl

from ksmith.measures.groups import (
    ASKED,
    CHANGED,
    CHOICES,
    FOLLOWING,
    NEAR,
    SET_MINUS,
    SET_PLUS,
    TEXT,
    WORDED,
)

PLUS, MINUS = pl.col("set").is_in(SET_PLUS), pl.col("set").is_in(SET_MINUS)
KNOWN = pl.col("known").fill_null(False)
SEEN, UNSEEN, NOVEL = (pl.col("wording") == name for name in ("seen", "unseen", "novel"))
STORED = pl.col("stored").fill_null(False)
DERIVABLE = ~pl.col("stored").fill_null(True)
OLD, NEW = (pl.col("context") == name for name in ("old", "new"))
# Of a sequence: asked about the batch just written, or about those before it.
CURRENT = pl.col("written_at") == pl.col("step")
EARLIER = (pl.col("written_at") < pl.col("step")).fill_null(False)
# What a method was trained on to keep: of it there is a slice, and it is in no other.
TRAINED = pl.col("trained").fill_null(False) & pl.col("probe").is_in(NEAR)
OF_SEQUENCES = ("current", "earlier", "known.current", "known.earlier")

# slice -> (which questions, of which probes); every slice is taken of step 0 and later alike, and
# all but "trained" hold none that are `TRAINED`.
SLICES: dict[str, tuple[pl.Expr, tuple[str, ...]]] = {
    "": (pl.lit(True), (*ASKED, "known", "utility", TEXT)),
    "known": (KNOWN, ASKED),
    "seen": (SEEN, WORDED),  # a benchmark may ask paraphrases in words that training had
    "unseen": (UNSEEN, WORDED),
    "novel": (NOVEL, WORDED),
    "known.seen": (KNOWN & SEEN, WORDED),
    "known.unseen": (KNOWN & UNSEEN, WORDED),
    "known.novel": (KNOWN & NOVEL, WORDED),
    "old_context": (OLD, ("conflict",)),
    "new_context": (NEW, ("conflict",)),
    "known.old_context": (KNOWN & OLD, ("conflict",)),
    "known.new_context": (KNOWN & NEW, ("conflict",)),
    "trained": (TRAINED, NEAR),
    "stored": (STORED, FOLLOWING),
    "derived": (DERIVABLE, FOLLOWING),
    "known.stored": (KNOWN & STORED, FOLLOWING),
    "known.derived": (KNOWN & DERIVABLE, FOLLOWING),
    "current": (CURRENT, (*CHANGED, *NEAR)),
    "earlier": (EARLIER, (*CHANGED, *NEAR)),
    "known.current": (KNOWN & CURRENT, (*CHANGED, *NEAR)),
    "known.earlier": (KNOWN & EARLIER, (*CHANGED, *NEAR)),
    # The letter form of each probe's questions, whose ids go on from theirs.
    **{
        name: (pl.col("question").str.split("/").list.get(1) == name, ("letters",))
        for name in CHOICES
        if name != "letters"
    },
}
BY_HOP = ("multi_hop",)  # probes whose every slice is also given hop by hop
