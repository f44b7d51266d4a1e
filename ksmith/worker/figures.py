"""The figures that an outcome carries for people to look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.graph import KnowledgeGraph, entail
from ksmith.graph.changed import Said, page
from ksmith.records import Request

if TYPE_CHECKING:
    import polars as pl

ALIASES = ("aliases", "aliases_before")
SHOWN = 20  # draws of which one is shown


def losses(logs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw how a method's loss went: a curve a request where it has its own, else one a draw."""
    requests = [request["loss"] for log in logs for request in log.get("requests", ())]
    draws = [_total(log["curve"]) for log in logs if log.get("curve")]
    title = f"{len(requests)} requests" if requests else f"{len(draws)} draws"
    curve_figure(requests or draws, path, title=f"loss of {title}", x="step")


def _total(parts: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the sum of the parts of a loss, step by step."""
    return [sum(values) for values in zip(*parts.values(), strict=True)]


def curve_figure(
    curves: Sequence[Sequence[float]], path: Path, *, title: str, x: str, y: str = "loss (nats)"
) -> None:
    """Draw `curves`, faintly where there are many, with their mean in front, into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(
            range(1, len(curve) + 1),
            curve,
            color="#4477aa",
            alpha=0.35 if len(curves) > 1 else 1,
        )
    longest = max((len(curve) for curve in curves), default=0)
    if len(curves) > 1:
        # A curve that stopped early counts with its last value, so the mean never jumps.
        held = [[*curve, *[curve[-1]] * (longest - len(curve))] for curve in curves]
        mean = [sum(column) / len(column) for column in zip(*held, strict=True)]
        axes.plot(range(1, longest + 1), mean, color="#222222", linewidth=1.8, label="mean")
        axes.legend(frameon=False)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def change(
    graph: KnowledgeGraph, draws: Sequence[Sequence[Request]], rows: "pl.DataFrame", method: str
) -> str:
    """Return the page that shows one draw: what changed, what follows, what is said now.

    It is the one, of the first few, from which the most follows.

    Args:
        graph: before the change.
        draws: the requests of each.
        rows: the trial's answers, before and after.
        method: who made the update.
    """
    few = range(min(len(draws), SHOWN))
    chosen = max(few, key=lambda index: (len(entail(graph, draws[index]).entailed), -index))
    requests = draws[chosen]
    title = f"{'Edit' if requests[0].kind == 'edit' else 'Unlearning'} by {method}"
    if len(draws) > 1:
        title += f", draw {chosen + 1} of {len(draws)}"
    return page(graph, requests, _said(rows, requests[0].draw), title)


def _said(rows: "pl.DataFrame", draw: int) -> dict[str, Said]:
    """Return fact -> what the model wrote at first and at last, asked in the same words."""
    import polars as pl

    wanted = (pl.col("draw") == draw) & pl.col("set").is_in(["target", "entailed"])
    texts = (
        rows.filter(wanted & (pl.col("probe") != "known"))
        .sort("step", maintain_order=True)
        .group_by("fact", "question", maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in ALIASES),
            before=pl.col("generated").first(),
            after=pl.col("generated").last(),
        )
        .group_by("fact", maintain_order=True)
        .first()
    )
    return {
        row["fact"]: Said(
            before=row["before"],
            after=row["after"],
            aliases=tuple(row["aliases"] or ()),
            aliases_before=tuple(row["aliases_before"] or ()),
        )
        for row in texts.iter_rows(named=True)
    }
