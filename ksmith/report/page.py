"""The report of one study as one HTML file: no network, no script, every text escaped."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from ksmith.report import plates, tables
from ksmith.report.content import Content, Failure
from ksmith.report.findings import findings
from ksmith.report.html import Child, Html, join, tag
from ksmith.report.results import results
from ksmith.report.verdicts import LOOK

NAMED = 3  # of the trials that one cause hit, by their keys
NODE = re.compile(r"\b[a-z]+-\d+-[0-9a-f]{4,}\b")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def render(content: Content) -> Html:
    """Return the whole page."""
    main = tag("main", *results(content), *_background(content))
    body = tag(
        "body",
        _head(content, look=f'id="{LOOK}"' in main),
        main,
        _foot(content),
    )
    style = Html(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{content.study}: a ksmith report"),
        tag("style", style),
    )
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang="en")])


# --- what stands above the results ------------------------------------------------------------


def _head(content: Content, *, look: bool) -> Html:
    trials = content.trials
    counts = {"trials": trials.height}
    for state in ("done", "failed", "blocked", "cancelled", "running", "ready"):
        if number := trials.filter(pl.col("state") == state).height:
            counts[state] = number
    links = {"results": "Results", "methods": "Methods", "model": "Model and graph"}
    links |= {"trials": "Trials", "file": "Study file", "provenance": "Provenance"}
    if look:
        links = {LOOK: "At one look", **links}
    if content.findings.height:
        links = {"findings": "Findings", **links}
    if content.failures:
        links = {"failed": "What failed", **links}
    return tag(
        "header",
        tag("h1", content.study),
        tag("p", content.question or "No question was written down.", class_="question"),
        tag(
            "ul",
            [
                tag("li", tag("b", number), name, class_="bad" if name == "failed" else None)
                for name, number in counts.items()
            ],
            class_="counts",
        ),
        tag("nav", [tag("a", text, href=f"#{name}") for name, text in links.items()]),
        _grid(trials),
        _failed(content.failures),
        findings(content),
    )


def _grid(trials: pl.DataFrame) -> Html:
    rows = [[tag("code", name), ", ".join(values)] for name, values in tables.axes(trials)]
    if not rows:
        return tag("p", "Every trial has the same settings.", class_="note")
    return tag(
        "section",
        tag("h2", "The grid"),
        tables.plain(["axis", "values"], rows),
        id="grid",
    )


def _failed(failures: Sequence[Failure]) -> Html | None:
    if not failures:
        return None
    return tag(
        "section",
        tag("h2", "What failed, and why"),
        tag(
            "div",
            tables.plain(
                ["what", "state", "reason", "error", "log of the first"],
                [_cause(group) for group in causes(failures)],
            ),
            class_="wide",
        ),
        tag(
            "p",
            "Trials without a result are in no mean below. ",
            tag("code", "ksmith run --retry-failed"),
            " tries them again.",
            class_="note",
        ),
        id="failed",
    )


def causes(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Return the failures by cause, each in the order given, the most frequent cause first.

    Messages that differ only in numbers and in names of trials or assets are one cause.
    """
    groups: dict[tuple[str, ...], list[Failure]] = {}
    for item in failures:
        error = NUMBER.sub("#", NODE.sub("#", item.error))
        kind = item.key.partition("-")[0]
        groups.setdefault((kind, item.state, item.reason, error), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def _cause(group: Sequence[Failure]) -> list[Child]:
    first, kind = group[0], group[0].key.partition("-")[0]
    keys = [[tag("code", item.key), tag("br")] for item in group[:NAMED]]
    more = f"and {len(group) - NAMED} more" if len(group) > NAMED else None
    counted = tag("b", f"{len(group)} {kind}s") if len(group) > 1 else None
    tries = sorted({item.attempts for item in group})
    times = f" in {'-'.join(map(str, dict.fromkeys((tries[0], tries[-1]))))} attempts"
    return [
        [counted, tag("br") if counted else None, keys, more],
        first.state,
        first.reason + (times if tries[-1] > 1 else ""),
        first.error,
        tag("code", first.log) if first.log else None,
    ]


# --- what stands below ------------------------------------------------------------------------


def _background(content: Content) -> Iterable[Child]:
    if content.assets:
        yield tag("h2", "The model and its graph", id="model")
        yield from (plates.plate(asset) for asset in content.assets)
    yield tag("h2", "Trials", id="trials")
    yield tag(
        "details",
        tag("summary", f"{content.trials.height} trials and their MLflow runs"),
        tag("div", tables.trials(content.trials, content.runs), class_="wide"),
        tag(
            "p",
            "Links to runs open while ",
            tag("code", "ksmith ui"),
            " is running.",
            class_="note",
        ),
    )
    yield tag("h2", "Study file", id="file")
    yield tag("details", tag("summary", "The file as it was stored"), tag("pre", content.text))


def _foot(content: Content) -> Html:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = {"written": now, "home": content.home, **content.provenance}
    return tag(
        "footer",
        tag("h2", "Provenance", id="provenance"),
        tag(
            "dl",
            [[tag("dt", name), tag("dd", value)] for name, value in facts.items() if value],
        ),
    )
