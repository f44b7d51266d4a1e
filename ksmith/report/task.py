"""What the trials of one task gave, ready to be drawn: cells, panels, looks."""

from dataclasses import dataclass, replace

import polars as pl

from ksmith.frames.steps import ended
from ksmith.report.cells import by_hop, hidden, name_series, pooled, seconds
from ksmith.report.content import Content
from ksmith.report.looks import Look, looks
from ksmith.report.panels import Panel, present

# The first of these that a study has is its headline; the others stand folded below.
MEASURES = {
    "generated": "what the model writes, greedily to its natural stop, is the right answer",
    "accuracy": "every token of the right answer is the most probable one",
    "success": "the right answer is more probable, per token, than its rival",
}
PANELS = (
    Panel("Efficacy", "efficacy"),
    Panel("Paraphrase", "paraphrase"),
    Panel("Neighborhood", "neighborhood"),
    Panel("Same subject", "same_subject"),
    Panel("Reverse, stored", "reverse", slice="stored"),
    Panel("Reverse, derived", "reverse", slice="derived"),
    Panel("Multi-hop, stored", "multi_hop", slice="stored"),
    Panel("Multi-hop, derived", "multi_hop", slice="derived"),
)
LOSS = Panel("Utility loss (nats)", "utility", "loss", unit=False)
# To unlearn is to write the old answer no more; a neutral one is what editors write instead.
FORGOTTEN = (
    Panel("Old answer", "efficacy", "residual_generated"),
    Panel("Old, paraphrase", "paraphrase", "residual_generated"),
    Panel("Old answer's rank", "efficacy", "old_rank"),
    Panel("Answers alike", "efficacy", "evenness"),
)
NEUTRAL = {"Efficacy": "Neutral answer", "Paraphrase": "Neutral, reworded"}
TASKS = {"edit": "editing", "unlearn": "unlearning"}


@dataclass(frozen=True, slots=True)
class Task:
    """What one task's trials gave, ready to be drawn."""

    name: str
    cells: pl.DataFrame
    styles: dict[str, Look]
    costs: pl.DataFrame
    missing: list[str]  # levels whose derived numbers are not shown
    hops: pl.DataFrame  # multi_hop at each hop
    trials: pl.DataFrame  # with their series
    how: str = "at once"  # its facts are written

    @property
    def measures(self) -> list[str]:
        """The measures that there are, the headline first."""
        return [name for name in MEASURES if (self.cells["measure"] == name).any()]

    def panels(self, measure: str) -> list[Panel]:
        """Return the columns that have numbers; text loss stands with the headline only."""
        wanted = [replace(panel, measure=measure) for panel in PANELS]
        headline = measure == self.measures[0]
        if self.name == "unlearn":
            wanted = [replace(p, title=NEUTRAL.get(p.title, p.title)) for p in wanted]
            wanted = [*FORGOTTEN, *wanted] if headline else wanted
        if headline:
            wanted.append(LOSS)
        return present(self.cells, wanted)


def tasks_of(content: Content, how: str = "at once") -> list[Task]:
    """Return the tasks that there are, each by how its trials ended."""
    if content.trials.is_empty():
        return []
    content = replace(content, metrics=ended(content.metrics))
    series = name_series(content.trials)
    cells, hops = pooled(content.metrics, series), by_hop(content.metrics, series)
    costs = seconds(content.trials, series, content.seconds)
    styles = looks(series["series"].unique(maintain_order=True).to_list(), content.methods)
    tasks: list[Task] = []
    for name in [task for task in TASKS if (cells["task"] == task).any()]:
        mine = cells.filter(pl.col("task") == name)
        there = set(mine["series"])
        measured = content.metrics.filter(pl.col("task") == name)
        tasks.append(
            Task(
                name=name,
                cells=mine,
                styles={name: look for name, look in styles.items() if name in there},
                costs=costs,
                missing=hidden(measured, mine),
                hops=hops.filter(pl.col("task") == name),
                trials=content.trials.filter(pl.col("task.kind") == name).join(
                    series, on="trial", maintain_order="left"
                ),
                how=how,
            )
        )
    return tasks
