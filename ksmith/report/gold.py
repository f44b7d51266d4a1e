"""How far from gold models the answers to the probes' questions are, with a verdict."""

from collections.abc import Iterator, Sequence

import polars as pl

from ksmith.measures.gold import ALL
from ksmith.report.cells import pooled_where
from ksmith.report.html import Child, tag
from ksmith.report.margins import CONTROL, LEARNT, NOTE, Cells, Distance, few_golds, table
from ksmith.report.panels import order

START, MARGIN = "gold_", "gold_margin"
OLD = (
    "No verdicts: these trials were measured before margins were told. Run the study again; its "
    "updates and gold models stay."
)
# slice of all questions -> what it is called
PARTS = {
    "changed": "What had to change",
    "kept": "What had to stay",
    "trained": "What the method trained on to keep",
    "balanced": "Half of what had to change, half of what had to stay",
}
OF_DIVERGENCES = (
    " A distance is the Jensen-Shannon divergence of answers over the objects of the type, in "
    "bits, 0 the same and 1 nothing in common. What a method was trained on to keep is apart, "
    "and in nothing else. n counts facts."
)


def gold(
    metrics: pl.DataFrame, trials: pl.DataFrame, names: Sequence[str], task: str
) -> Iterator[Child]:
    """Yield a table a level and scale; nothing where no trial has gold models.

    Args:
        metrics: of one task.
        trials: with their series and their settings by dotted names.
        names: the series in order.
        task: edit or unlearn.
    """
    shown = pl.col("measure").str.starts_with(START) & ~pl.col("slice").str.contains("layer")
    cells = pooled_where(metrics, trials.select("trial", "series"), shown)
    if cells.is_empty():
        return
    yield tag("h3", "Answers against gold models")
    yield few_golds(trials)
    control = CONTROL if (cells["measure"] == f"{MARGIN}_gold").any() else ""
    note = NOTE.format(learnt=LEARNT[task]) + control + OF_DIVERGENCES
    yield tag("p", note, class_="note")
    if not (cells["measure"] == MARGIN).any():
        yield tag("p", OLD, class_="note warn")
    opened = False
    for level in order(cells["level"]):
        for scale in cells.filter(level=level)["scale"].unique().sort():
            here = cells.filter(level=level, scale=scale)
            mine = [name for name in names if (here["series"] == name).any()]
            found, place = Cells.of(here), f"{level}, scale {scale}"
            summary = tag("summary", f"All questions ({place})")
            whole = table(found, mine, _of_all())
            yield tag("details", summary, whole, open=not opened)
            opened = True
            probes = tag("summary", f"Probe by probe ({place})")
            yield tag("details", probes, table(found, mine, _of_probes(here)))


def _of_all() -> list[Distance]:
    return [_distance(title, ALL, part) for part, title in PARTS.items()]


def _of_probes(cells: pl.DataFrame) -> list[Distance]:
    probes = cells.filter(pl.col("probe") != ALL)["probe"].unique(maintain_order=True).sort()
    return [
        _distance(probe.replace("_", " ") + (f", {part}" if part else ""), probe, part)
        for probe in probes
        for part in ("", "known", "trained", "stored", "derived")
    ]


def _distance(title: str, probe: str, part: str) -> Distance:
    # Of halves in bits there is no mean of one unit: they are told in units of their noise.
    halves = part == "balanced"
    return Distance(
        title=f"{title}, in gold-to-gold units" if halves else title,
        probe=probe,
        measure="gold_distance" if halves else "gold_divergence",
        among="gold_noise",
        margin=MARGIN,
        slice=part,
        places=2 if halves else 3,
    )
