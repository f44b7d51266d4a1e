"""The results of a study: curves over scale, what is gained against what is kept, the table."""

from collections.abc import Callable, Iterable, Sequence

import polars as pl

from ksmith.measures.compare import ENOUGH_MODELS
from ksmith.report import figures, tables
from ksmith.report.capacity import capacity, collapse
from ksmith.report.cells import name_series, spoken_for
from ksmith.report.content import Content
from ksmith.report.figures import HOP
from ksmith.report.gold import gold
from ksmith.report.html import Child, Html, join, tag
from ksmith.report.paired import differences
from ksmith.report.panels import Panel, present, select
from ksmith.report.plane import plane
from ksmith.report.quality import quality
from ksmith.report.sequences import along, split
from ksmith.report.sets import sets
from ksmith.report.task import FORGOTTEN, MEASURES, TASKS, Task, tasks_of
from ksmith.report.verdicts import verdicts

KEPT = ("neighborhood", "same_subject")
SHOWN_ALONG = ("efficacy", "paraphrase", *KEPT)


def results(content: Content) -> Iterable[Child]:
    """Yield the sections, one set a task where the study has both."""
    yield tag("h2", "Results", id="results")
    if not content.metrics.height:
        yield tag("p", "No trial is done yet.", class_="note")
        return
    yield _training_note(content.trials)
    once, long = split(content)
    tasks, chains = tasks_of(once), tasks_of(long, "one after another")
    for task in tasks:
        if len(tasks) > 1:
            yield tag("h2", TASKS.get(task.name, task.name).capitalize())
        measured = once.metrics.filter(pl.col("task") == task.name)
        names = list(task.styles)
        if task.name == "unlearn":
            yield from verdicts(measured, task.trials, names)
            yield quality(measured, task.trials, task.styles)
        yield from _folded(task, _curves)
        yield _tradeoff(task)
        yield from _hops(task)
        yield _plane(task)
        if task.name == "unlearn":  # there, what is written when asked is not what is gained
            yield capacity(measured, task.trials.select("trial", "series"), names)
        elif task.cells["scale"].n_unique() > 1:
            yield collapse(measured, name_series(once.trials))
        yield from gold(measured, task.trials, names, task.name)
        yield from sets(measured, task.trials, names)
    for task in chains:
        yield tag("h2", f"Sequences, {TASKS[task.name]}")
        yield from _along(task, long)
    yield from _methods(tasks, once, "Methods")
    yield from _methods(chains, long, "Methods, at the end of sequences", first=not tasks)


def _methods(
    tasks: Sequence[Task], content: Content, title: str, *, first: bool = True
) -> Iterable[Child]:
    """Yield the tables of methods; the page's link leads to the first of them."""
    for task in tasks:
        name = title if len(tasks) == 1 else f"{title}, {TASKS.get(task.name, task.name)}"
        yield tag("h2", name, id="methods" if first and task is tasks[0] else None)
        yield from _folded(task, _table)
        yield from _paired(task, content)


def _along(task: Task, content: Content) -> Iterable[Child]:
    """Yield what happens along the task's sequences."""
    measured = content.metrics.filter(pl.col("task") == task.name)
    series = task.trials.select("trial", "series")
    kept = [p for p in task.panels(task.measures[0]) if p.probe in (*SHOWN_ALONG, "utility")]
    return along(measured, series, kept, task.styles)


def _training_note(trials: pl.DataFrame) -> Html | None:
    seeds = trials["model.seed"].n_unique() if "model.seed" in trials.columns else 1
    if seeds >= ENOUGH_MODELS:
        return None
    text = (
        f"{seeds} model seed{'s' if seeds > 1 else ''}: training variance is not covered. "
        "The intervals say how far other facts and other draws could move a number, not how "
        f"far another training run of the model could; that takes {ENOUGH_MODELS} model seeds."
    )
    return tag("p", text, class_="note warn")


def _folded(task: Task, show: Callable[[Task, str], Html]) -> Iterable[Child]:
    for measure in task.measures:
        shown = show(task, measure)
        if measure == task.measures[0]:
            yield shown
        else:
            yield tag("details", tag("summary", f"The same by {measure}"), shown)


def _curves(task: Task, measure: str) -> Html:
    title = f"{measure} over scale, by level and method, {TASKS[task.name]}"
    drawing = figures.curves(task.cells, task.panels(measure), task.styles, title)
    caption = (
        f"Share of facts where {MEASURES[measure]}, over the number of facts updated at once; "
        "rows are levels of the subject in the graph. Bars are 95 % intervals, dashes the same "
        "questions before the update: neighborhood and same subject should stay at theirs."
    )
    return tag(
        "figure",
        tag("div", drawing, class_="wide"),
        tag("figcaption", caption, _missing(task)),
    )


def _missing(task: Task) -> str | None:
    """Return what is said of derived facts: which are left out, and who speaks for the rest."""
    said: list[str] = []
    if task.missing:
        said.append(
            f" Derived facts are left out for {', '.join(task.missing)}: before the update the "
            "model knew them no better than by chance, or they had no answer to be known, so "
            "nothing could be lost or gained."
        )
    shares = [
        f"{_percent(*share)} % ({probe.replace('_', '-')})"
        for probe, share in spoken_for(task.cells).items()
    ]
    if shares:
        said.append(
            " Whether it knew them is judged by those of the derived facts scored that had an "
            f"answer before the update, too: {' and '.join(shares)} of them."
        )
    return "".join(said) or None


def _percent(low: float, high: float) -> str:
    ends = dict.fromkeys(f"{100 * end:.0f}" for end in (low, high))
    return " to ".join(ends)


def _tradeoff(task: Task) -> Html | None:
    measure = task.measures[0]
    forgetting = task.name == "unlearn"
    gained = FORGOTTEN[0] if forgetting else Panel("Efficacy", "efficacy", measure)
    kept = [panel for panel in task.panels(measure) if panel.probe in KEPT]
    if not kept or not select(task.cells, gained).height:
        return None
    title = f"efficacy against preservation, {TASKS[task.name]}"
    gain = "Old answers left, the lower the better" if forgetting else "What is gained"
    caption = (
        f"{gain} (up) against what is kept (right). The star is the model before the "
        "update, where doing nothing would stay. A line joins the scales of a method, and its "
        "marker grows with the scale."
    )
    return tag(
        "figure",
        tag("h3", f"{'Forgetting' if forgetting else 'Efficacy'} against preservation"),
        tag(
            "div", figures.tradeoff(task.cells, kept, gained, task.styles, title), class_="wide"
        ),
        tag("figcaption", caption),
    )


def _hops(task: Task) -> Iterable[Child]:
    """Yield a figure a scale, the first one open, where facts lie at more than one hop."""
    measure = task.measures[0]
    old = "residual_generated" if measure == "generated" else "residual"
    wanted = [
        Panel(f"{title}, {part}", "multi_hop", name, part)
        for name, title in ((measure, "Right answer"), (old, "Old answer"))
        for part in ("stored", "derived")
    ]
    panels = present(task.hops, wanted)
    shown = task.hops.filter(pl.col("measure").is_in([measure, old]), pl.col("step") > 0)
    if shown["distance"].n_unique() < 2:
        return
    yield tag("h3", "What follows, by hop")
    scales = shown["scale"].unique().sort().to_list()
    for scale in scales:
        title = f"multi-hop by hop at scale {scale}, {TASKS[task.name]}"
        here = task.hops.filter(pl.col("scale") == scale)
        drawing = tag(
            "div", figures.curves(here, panels, task.styles, title, HOP), class_="wide"
        )
        name = f"{scale} fact{'s' if scale > 1 else ''} at once"
        caption = (
            f"{name}. Facts that follow from the request, by their distance from it along "
            "entailment: the share where the answer is the new, right one, and where it is "
            "still the old one. Stored facts were verbalised in training, derived ones were "
            "not. Some only lose their old answer and get no other: they have no right one to "
            "show. Dashes: before the update."
        )
        figure = tag("figure", drawing, tag("figcaption", caption))
        yield figure if scale == scales[0] else tag("details", tag("summary", name), figure)


def _paired(task: Task, content: Content) -> Iterable[Child]:
    """Yield the table of paired differences, where there are answers to pair."""
    reference, measure = next(iter(task.styles)), task.measures[0]
    panels = task.panels(measure)
    found = differences(task.trials, content.answers, reference, panels)
    if found.is_empty():
        return
    note = (
        f"By {measure}: the method less "
        f"{reference}, the first of the study, fact by fact on the same requests, with the "
        "95 % interval of the mean difference and n facts. What one of the two was "
        "trained on to keep is asked of neither. Bold: the interval leaves out 0; "
        "one in twenty does by chance where nothing differs. More is better, but for loss and "
        "what is left of old answers."
    )
    table = tables.differences(found, task.cells, panels, task.styles, task.how)
    yield tag("h3", f"Each method against {reference}")
    yield tag("p", note, class_="note")
    yield tag("div", table, class_="wide")


def _plane(task: Task) -> Html | None:
    terms = task.cells.filter(pl.col("probe") == "objective", pl.col("step") > 0)
    if terms["measure"].n_unique() < 3:  # not measured where probe.drift is false
        return None
    title = f"the three terms of the objective, {TASKS[task.name]}"
    caption = (
        "One objective: the cross-entropy to the target on what should change (up, lower is "
        "nearer), the divergence from the model before on what should stay (right, left is "
        "nearer), both in nats on logarithms; the marker's area grows with the change of the "
        "weights relative to them. Lower left with a small marker is best. Dashes: the task "
        "before the update. A line joins the scales of a method; bars end at the edge where they "
        "reach beyond all markers."
    )
    drawing = plane(task.cells, task.styles, title)
    return tag(
        "figure",
        tag("h3", "All methods on one plane"),
        tag("div", drawing, class_="wide"),
        tag("figcaption", caption),
    )


def _table(task: Task, measure: str) -> Html:
    panels = task.panels(measure)
    note = (
        f"By {measure}: {MEASURES[measure]}. Each cell: mean over seeds, 95 % interval, "
        "n facts. The first line counts every fact, the second those that the model knew "
        "before the update, by wordings that are not scored. Seconds: a trial's update, all "
        "draws of it, and its measurement."
    )
    table = tables.methods(task.cells, panels, task.styles, task.costs, task.how)
    return join([tag("p", note, class_="note"), tag("div", table, class_="wide")])
