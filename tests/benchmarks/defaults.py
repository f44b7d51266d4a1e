"""What the unlearners' defaults do on held-out draws: `python -m tests.benchmarks.defaults`.

    ksmith run tests/benchmarks/defaults.toml
    python -m tests.benchmarks.defaults HOME STUDY...   reads it, writes JSON and the page's table
    python -m tests.benchmarks.defaults                 writes the table again

Nearly all is what the trials measured. What a method trained on to keep is asked once more here,
in words that training never used for the fact: that it was practised says little in its own words.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

import ksmith
from ksmith import graph
from ksmith.cli.shell import Lab
from ksmith.cli.trial import spec_of
from ksmith.lm.delta import applied
from ksmith.lm.tokens import tokens
from ksmith.measures.means import means
from ksmith.records import Json, Statement, derived_seed
from ksmith.unlearn import UNLEARNERS
from ksmith.worker import opening
from ksmith.worker.job import Job
from ksmith.worker.opening import Base
from ksmith.worker.updates import updates
from tests.benchmarks.measured import RESULTS
from tests.conftest import ROOT

OUT = RESULTS / "defaults.json"
PAGE = ROOT / "studies" / "README.md"
BEGIN, END = "<!-- defaults -->\n", "<!-- /defaults -->"
CONTROL = "unedited"
ASKED = 100  # retained facts a draw
OTHER = "kept in other words"
# What the table shows, by the trial's own name for it.
SHOWN = {
    "efficacy.residual_generated": "old answers written",
    "paraphrase.residual_generated": "in unseen words",
    OTHER: OTHER,
    "memory.krr_exact.retain.near": "near, unpractised",
    "memory.krr_exact.retain.far": "far, unpractised",
    "memory.model_utility.retain": "utility",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of one method."""

    method: str
    name: str
    seed: int  # that drew the facts
    value: float
    low: float
    high: float
    n: int  # facts


def measured(home: Path, study: str) -> Iterator[Line]:
    """Yield what the trials of a study measured, of the model before any update once."""
    rows = ksmith.metrics(study, home)
    before = (pl.col("step") == 0) & (pl.col("method") == pl.col("method").first())
    name = pl.concat_str("probe", "measure", separator=".") + (
        pl.when(pl.col("slice") == "").then(pl.lit("")).otherwise(pl.lit(".") + pl.col("slice"))
    )
    found = rows.filter((pl.col("step") == 1) | before).with_columns(name=name)
    for row in found.filter(pl.col("name").is_in(list(SHOWN))).iter_rows(named=True):
        method = row["method"] if row["step"] else CONTROL
        yield _line(method, row["name"], int(row["seed"]), row)


def _line(method: str, name: str, seed: int, row: Mapping[str, Json]) -> Line:
    numbers = {key: round(float(row[key]), 4) for key in ("value", "low", "high")}
    return Line(method=method, name=name, seed=seed, n=int(row["n"]), **numbers)


def practised(home: Path, study: str) -> Iterator[Line]:
    """Yield how many retained facts each method leaves right in words that none was told in."""
    opened: dict[str, Json] = {}
    trials = ksmith.trials(study, home).filter(state="done").sort("method")
    with Lab(home).visit() as store:
        specs = [
            (row["method"], spec_of(store, store.find(row["trial"]), "cpu"))
            for row in trials.iter_rows(named=True)
        ]
    for number, (method, spec) in enumerate(specs):
        job = Job(spec=spec, folder=Path(spec.folder), warm=opened)
        base = opening.base(job)
        drawn = list(kept(base, spec.recipe))
        seed = spec.recipe["seed"]
        if not number:
            yield _rate(CONTROL, seed, drawn, [right(base, mine) for mine in drawn])
        hits: list[list[bool]] = []
        for mine, update in zip(drawn, updates(job, base), strict=True):
            with applied(base.model, update.until()):
                hits.append(right(base, mine))
        yield _rate(method, seed, drawn, hits)


def kept(base: Base, recipe: Mapping[str, Json]) -> Iterator[list[Statement]]:
    """Yield the first retained facts of each draw, in words that none of them was told in."""
    asked = graph.requests(base.graph, recipe["task"], recipe["seed"], covariates=False)
    for draw in range(recipe["task"]["draws"]):
        mine = [request for request in asked if request.draw == draw]
        some = graph.retain(
            base.graph, mine, ASKED, derived_seed(recipe["seed"], "retain", draw)
        )
        told = [
            graph.statement(base.graph, one.subject, one.relation, one.object, "unseen")
            for one in some
        ]
        yield [one for one in told if one.wording == "unseen"]


def right(base: Base, asked: Sequence[Statement]) -> list[bool]:
    """Return of each whether every token of its answer is the most probable one."""
    prompts, answers = [one.prompt for one in asked], [one.object for one in asked]
    found = tokens(base.model, base.tokenizer, prompts, answers)
    return [bool(hit.all()) for hit in found.hit.split(found.counts.tolist())]


def _rate(
    method: str,
    seed: int,
    drawn: Sequence[Sequence[Statement]],
    hits: Sequence[Sequence[bool]],
) -> Line:
    rows = [
        {"draw": draw, "cluster": one.subject, "value": float(hit)}
        for draw, both in enumerate(zip(drawn, hits, strict=True))
        for one, hit in zip(*both, strict=True)
    ]
    same = {"step": 1, "probe": "memory", "measure": OTHER, "slice": "", "hop": -1}
    facts = pl.DataFrame(rows).with_columns(**{key: pl.lit(v) for key, v in same.items()})
    _, found = means(facts, 0)
    low, high = found.interval(np.zeros(1), np.ones(1))
    row = {"value": found.value[0], "low": low[0], "high": high[0], "n": found.n[0]}
    return _line(method, OTHER, seed, row)


def table(lines: Sequence[Line]) -> str:
    """Return a row a method in Markdown; in each cell the value, its interval and n."""
    cells = {(line.method, line.name): _cell(line) for line in lines}
    head = [f"| method | {' | '.join(SHOWN.values())} |", "| --- |" + " --- |" * len(SHOWN)]
    rows = [
        f"| {method} | {' | '.join(cells.get((method, name), '-') for name in SHOWN)} |"
        for method in (CONTROL, *UNLEARNERS)
    ]
    return "\n".join([*head, *rows])


def _cell(line: Line) -> str:
    value, low, high = (f"{x:.2f}".removeprefix("0") for x in (line.value, line.low, line.high))
    return f"{value} [{low}, {high}] {line.n}"


def saved() -> list[Line]:
    """Return what was measured last."""
    return [Line(**row) for row in json.loads(OUT.read_text(encoding="utf-8"))]


def main(words: list[str]) -> None:
    """Measure, where a lab and studies are named; of two that have a method, the first counts."""
    if words:
        home, *studies = words
        found: dict[tuple[str, str], Line] = {}
        for study in studies:
            for line in (*measured(Path(home), study), *practised(Path(home), study)):
                found.setdefault((line.method, line.name), line)
        text = ",\n ".join(json.dumps(asdict(line)) for line in found.values())
        OUT.write_text(f"[\n {text}\n]\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:start]}{table(saved())}\n{page[end:]}", encoding="utf-8")
    print(table(saved()))


if __name__ == "__main__":
    main(sys.argv[1:])
