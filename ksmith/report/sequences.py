"""The results of sequences: curves over the facts written, when forgetting begins, the table."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ksmith.report import cells, figures, tables
from ksmith.report.content import Content
from ksmith.report.figures import Axis
from ksmith.report.html import Child, Html, tag
from ksmith.report.left import left, with_facts
from ksmith.report.looks import Look
from ksmith.report.panels import Panel, order, present

FACTS = Axis("facts", "facts written", width=2.0)
RIGHT_AFTER = (
    Panel("Right after, success", "sequence", "proficiency_success"),
    Panel("Right after, accuracy", "sequence", "proficiency_accuracy"),
)
FORGOTTEN = (
    Panel("Forgotten", "sequence", "forgotten"),
    Panel("Forgotten now", "sequence", "forgotten_now"),
)
DRIFT = Panel("Distance", "drift", "distance", unit=False)
SIGNS = {
    "gradual": "gradual",
    "catastrophic_success": "catastrophic, by success",
    "catastrophic_norm": "catastrophic, by norm",
}
HALF = 0.5


def split(content: Content) -> tuple[Content, Content]:
    """Return the trials that are updates at once, and those that are sequences.

    A sequence counts by all its facts: they are its scale.
    """
    content = _by_facts(content)
    if "task.sequence" not in content.trials.columns:
        return content, _of(content, content.trials.clear())
    size = pl.col("task.sequence").fill_null(0)
    once = content.trials.filter(size == 0)
    long = content.trials.filter(size > 0).with_columns(
        pl.col("task.sequence").alias("task.scale")
    )
    return _of(content, once), _of(content, long)


def _by_facts(content: Content) -> Content:
    """Return `content` with shares, and counts of entities and the like, as facts of a draw.

    Draws of entities differ in size: the mean is rounded. Trials that aren't done have no number
    of facts yet, and keep what their study says.
    """
    trials = content.trials
    given = [
        pl.col(name).fill_null(usual) != usual
        for name, usual in (("task.share", 0.0), ("task.forget", "facts"))
        if name in trials.columns
    ]
    if not given:
        return content
    asked = content.metrics.filter(
        pl.col("probe") == "efficacy", pl.col("step") > 0, pl.col("slice") == ""
    )
    facts = asked.group_by("trial").agg(facts=pl.col("n").max())
    each = (pl.col("facts") / pl.col("task.draws")).round().cast(pl.Int64)
    size = pl.when(pl.any_horizontal(given)).then(each)
    counted = trials.join(facts, on="trial", how="left", maintain_order="left").with_columns(
        pl.coalesce(size, pl.col("task.scale")).alias("task.scale")
    )
    return _of(content, counted.drop("facts"))


def _of(content: Content, trials: pl.DataFrame) -> Content:
    sizes = trials.select("trial", _scale=pl.col("task.scale").cast(pl.Int64)).unique("trial")
    metrics = content.metrics.join(sizes, on="trial", how="inner", maintain_order="left")
    columns = content.metrics.columns
    return replace(
        content, trials=trials, metrics=metrics.with_columns(scale="_scale").select(columns)
    )


def along(
    metrics: pl.DataFrame,
    series: pl.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, Look],
) -> Iterable[Child]:
    """Yield a figure for each length of sequences, then when forgetting begins in them."""
    table = _pooled(metrics, series)
    for scale in table["scale"].unique().sort():
        here = with_facts(table.filter(scale=scale))
        title = f"along a sequence of {scale} facts"
        yield tag("h3", title.capitalize())
        for name, every, caption in (
            ("written and forgotten", [*RIGHT_AFTER, *FORGOTTEN, DRIFT], OF_CHAINS),
            ("all facts so far", panels, OF_FACTS),
        ):
            shown = present(here, every)
            drawing = figures.curves(here, shown, styles, f"{title}: {name}", FACTS)
            yield tag("figure", tag("div", drawing, class_="wide"), tag("figcaption", caption))
        yield _begun(table.filter(scale=scale), styles)
    yield from left(metrics, series, styles, FACTS)


OF_CHAINS = (
    "Over the facts written so far. Right after: of the last 50 facts, those whose new answer "
    "beat the old one, and those of which every token was the most probable one (to unlearn: of "
    "the old answer was not), right after they were written. Forgotten: of the facts that were "
    "so learnt, those that did not hold at some later checkpoint, and those that do not hold "
    "now. Distance: ||W - W_0||_F over the number of weights. Bars are 95 % intervals."
)
OF_FACTS = (
    "The share of right answers, over every fact written so far and what should have stayed "
    "near them. Dashes: the same of all facts before the first edit."
)


def _pooled(metrics: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return one row a cell, measure and step, of what is shown along a sequence."""
    own = pl.col("probe").is_in(["sequence"]) | (pl.col("measure") == DRIFT.measure)
    shown = (own | pl.col("measure").is_in(cells.WANTED)) & (pl.col("slice") == "")
    return cells.pooled_where(metrics, series, shown)


# --- when forgetting begins -------------------------------------------------------------------


def _begun(table: pl.DataFrame, styles: dict[str, Look]) -> Html | None:
    signs = table.filter(pl.col("probe") == "sequence", pl.col("measure").is_in(list(SIGNS)))
    if signs.is_empty():
        return None
    there = [name for name in SIGNS if (signs["measure"] == name).any()]
    rows: list[list[Child]] = []
    for level in order(signs["level"]):
        for name in styles:
            mine = signs.filter(level=level, series=name).sort("step")
            if mine.height:
                told = [begins(mine.filter(measure=sign)) for sign in there]
                rows.append([level, name, *told])
    note = (
        "After how many facts half of the draws show a sign of forgetting, with the 95 % "
        "interval, among the checkpoints; then the share of draws that show it at the end. "
        "Gradual: more than 5 % of the learnt facts, and at least two, are forgotten. By "
        "success: the success of the last 50 facts is more than 30 points below its best. By "
        "norm: a batch changed the weights more than 10 times as much as the median of those "
        "before. Collapse on other tasks is not measured."
    )
    return tag(
        "section",
        tables.plain(["level", "method", *(SIGNS[name] for name in there)], rows),
        tag("p", note, class_="note"),
    )


def begins(rows: pl.DataFrame) -> str:
    """Return when half of the draws show a sign, of its rows at each step in order.

    The interval of the place where a rising share passes one half is where the ends of its own
    interval pass it.
    """
    if rows.is_empty():
        return "-"
    last = rows.row(-1, named=True)
    share = f"{100 * last['value']:.0f} % of {last['n']}"
    at, early, late = (_first(rows, name) for name in ("value", "high", "low"))
    if last["low"] is None:
        return f"{at or 'not half'} ({share})"
    ends = f"[{early or 'beyond'}, {late or 'beyond'}]"
    return f"{at or 'beyond'} {ends} ({share})" if early else f"none ({share})"


def _first(rows: pl.DataFrame, name: str) -> Any:
    passed = rows.filter(pl.col(name) >= HALF)["step"]
    return passed[0] if len(passed) else None
