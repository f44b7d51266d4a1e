"""Columns that are made of answers once, for all measures."""

import polars as pl

FLOOR = -1e9  # nats


def plain(text: pl.Expr) -> pl.Expr:
    """Return text as it is compared: lower case, single spaces, no punctuation at its end."""
    return (
        text.str.to_lowercase()
        .str.replace_all(r"\s*([^\w\s])\s*", "$1")  # word-level decoders put spaces there
        .str.replace_all(r"\s+", " ")
        .str.replace(r"[\s\p{P}]+$", "")
        .str.strip_chars()
    )


def at(column: str, index: str) -> pl.Expr:
    """Return, of a list a question, the item whose place another column holds; null beyond it."""
    return pl.col(column).list.get(pl.col(index), null_on_oob=True)


def _among(names: str) -> pl.Expr:
    """Return whether the written text is one of a list of names."""
    texts = pl.col(names).list.eval(plain(pl.element()))
    return texts.list.contains(pl.col("written")).fill_null(False)


# Columns made once for all measures, in layers: each sees those of the layers above.
PREPARED: tuple[dict[str, pl.Expr], ...] = (
    {
        # A value that is not a number is no answer; polars would sort it above every number.
        "answered": pl.col("logp")
        .list.eval(pl.element().is_not_nan())
        .list.all()
        .fill_null(False),
        # A floor, so that differences of two impossible answers are numbers.
        "sum_logp": pl.col("logp")
        .cast(pl.List(pl.Float64))
        .list.eval(pl.element().clip(FLOOR)),
    },
    {
        "mean_logp": pl.when("answered").then(pl.col("sum_logp") / pl.col("tokens")),
        "written": plain(pl.col("generated")),
        "texts": pl.col("generated").is_not_null().any().over("step", "probe"),
        # Answers of before tokens were counted have none to count.
        "counted": (pl.col("hits").list.len() > 0).fill_null(False).any().over("step", "probe"),
    },
    {
        "right_logp": at("mean_logp", "right"),
        "rival_logp": at("mean_logp", "rival"),
        "old_logp": at("mean_logp", "right_before"),
        # Of whole answers, less the largest: which of the objects of the type is written.
        "of_type_sum": pl.col("sum_logp")
        .list.gather(pl.col("of_type"), null_on_oob=True)
        .list.eval(pl.element() - pl.element().max()),
        "of_type_logp": pl.col("mean_logp").list.gather(pl.col("of_type"), null_on_oob=True),
        "right_text": plain(at("candidates", "right")),
        "old_text": plain(at("candidates", "right_before")),
        "best": pl.col("mean_logp").list.arg_max(),
        "has_pair": pl.col("right").is_not_null() & pl.col("rival").is_not_null(),
        "right_typed": pl.col("of_type").list.contains(pl.col("right")),
        "old_typed": pl.col("of_type").list.contains(pl.col("right_before")),
        "kinds": pl.col("of_type").list.len().cast(pl.Float64),
        "option_logp": pl.col("mean_logp").list.gather(pl.col("options"), null_on_oob=True),
        "right_offered": pl.col("options").list.contains(pl.col("right")).fill_null(False),
        "offered": pl.col("options").list.len().cast(pl.Float64),
    },
    {
        # What was written, with the names of the answers in place of their aliases.
        "said": pl.when(_among("aliases"))
        .then("right_text")
        .when(_among("aliases_before"))
        .then("old_text")
        .otherwise("written"),
        # How many of the type are above, and how many level with, the right and the old answer.
        "above_right": (pl.col("of_type_logp") - pl.col("right_logp"))
        .list.eval(pl.element() >= 0)
        .list.sum(),
        "above_old": (pl.col("of_type_logp") - pl.col("old_logp"))
        .list.eval(pl.element() > 0)
        .list.sum(),
        "level_old": (pl.col("of_type_logp") - pl.col("old_logp"))
        .list.eval(pl.element() == 0)
        .list.sum(),
        "right_chosen": (pl.col("option_logp") - pl.col("right_logp"))
        .list.eval(pl.element() >= 0)
        .list.sum()
        == 1,  # itself alone
    },
)
