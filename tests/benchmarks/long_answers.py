"""What unlearners do to sentences: `python -m tests.benchmarks.long_answers FOLDER`.

Two worlds, each of people, a model that knows them and draws of its own: settings are tried on one
draw of the first and confirmed on three draws of the second. Files and models are kept in FOLDER;
what stands in the JSON already is not measured again. Without FOLDER the page's table is written.

Sets are the tool's own for these files: a draw is of facts to forget, one in four of all others is
only asked about, the rest may be trained on. Near are those about people of whom something is
forgotten. Of people whom the model never met it says what "never told" shows: all that the
sentences of a question have in common.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from ksmith import graph
from ksmith.graph.knowledge import aside
from ksmith.lm import prefill, template, write
from ksmith.lm.assets import Assets
from ksmith.lm.delta import applied
from ksmith.lm.load import load, save
from ksmith.lm.recipes import numbers
from ksmith.lm.train import train
from ksmith.measures import recalled
from ksmith.measures.means import means
from ksmith.measures.rouge import rouge_l
from ksmith.records import Request, derived_seed
from ksmith.settings import METHODS
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from ksmith.worker.reads import ended, ends
from ksmith.worker.retained import retained
from tests.benchmarks import people
from tests.benchmarks.measured import RESULTS
from tests.conftest import ROOT

OUT = RESULTS / "long_answers.json"
PAGE = ROOT / "studies" / "README.md"
BEGIN, END = "<!-- long answers -->\n", "<!-- /long answers -->"
RECIPE = {"recipe": "tiny", "mechanism": "plain", "layers": 3, "width": 96, "steps": 600}
FACTS = 21  # to forget in a draw, of 324
FAR = 40  # facts asked about a draw
MOST = 60  # tokens written
UNEDITED, NEVER = "unedited", "never told"
STAGES = {"tried": (1, 1), "confirmed": (2, 3)}  # seed of everything, draws

KEPT = 0.95  # of the probability of what is to stay, at least

Own = Mapping[str, Any]  # settings that are not the defaults

TRIED: Sequence[tuple[str, Own]] = (
    *((method, {}) for method in UNLEARNERS),
    ("npo", {"beta": 0.1}),
    ("npo", {"beta": 0.3}),
    ("npo", {"beta": 0.1, "retain_weight": 5.0}),
    ("npo", {"beta": 0.3, "retain_weight": 10.0}),
    ("npo", {"beta": 0.1, "retain_weight": 20.0}),
    ("graddiff", {"retain_weight": 10.0}),
    ("ga", {"lr": 0.01}),
    ("dpo", {"steps": 30}),
    ("dpo", {"steps": 30, "retain_weight": 5.0}),
    ("undial", {"retain_weight": 1.0}),
    ("undial", {"retain_weight": 5.0}),
    ("ce_u", {"retain_weight": 1.0}),
    ("ce_u", {"retain_weight": 5.0}),
    ("rmu", {"lr": 0.1}),
)


@dataclass(frozen=True, slots=True)
class World:
    """What is measured on."""

    known: graph.KnowledgeGraph
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    draws: list[list[Request]]
    seed: int


@dataclass(frozen=True, slots=True)
class Item:
    """One question of one draw."""

    draw: int
    set: str  # forget, reworded, near, far; holdout
    person: str
    prompt: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of one method with some settings."""

    stage: str
    method: str
    own: Own
    name: str
    value: float
    low: float
    high: float
    n: int  # facts


def world(folder: Path, seed: int, draws: int) -> World:
    """Return people, a model that was trained on them (it is in `folder`, or is put there)."""
    place = folder / f"world{seed}"
    files = people.written(place, seed)
    known = graph.build({"source": "qa", "seed": seed}, files)
    if not (place / "model").is_dir():
        twice = graph.build({"source": "qa", "seed": seed}, people.twice(place, seed))
        made = train(
            lambda epoch: [*graph.sentences(known, epoch), *graph.sentences(twice, epoch)],
            numbers(RECIPE),
            seed,
            lambda done, total, text: None if done % 100 else print(done, total, text),
            keep=[name for pool in known.types.values() for name in pool],
        )
        save(made.model, made.tokenizer, place / "model")
    model, tokenizer = load(place / "model")
    template.put(tokenizer, {}, ends(model), ended=ended(known))
    task = {"kind": "unlearn", "scale": FACTS, "draws": draws}
    asked = graph.requests(known, task, seed, covariates=False)
    mine = [[one for one in asked if one.draw == draw] for draw in range(draws)]
    return World(known, model, tokenizer, mine, seed)


def items(here: World) -> Iterator[Item]:
    """Yield what is asked, of each draw."""
    known = here.known
    for number, draw in enumerate(here.draws):
        gone = {request.fact for request in draw}
        about = {known.whose(request.fact, request.subject) for request in draw}
        for one in draw:
            whose = known.whose(one.fact, one.subject)
            yield Item(number, "forget", whose, one.prompt, one.old)
            for other in graph.paraphrases(known, one):
                yield Item(number, "reworded", whose, other.prompt, one.old)
        stays = [fact for fact in known.facts if aside(fact) and fact.name not in gone]
        chosen = torch.Generator().manual_seed(derived_seed(here.seed, "asked", number))
        far = 0
        for i in torch.randperm(len(stays), generator=chosen).tolist():
            fact = stays[i]
            whose = known.whose(fact.name, fact.subject)
            near = whose in about
            far += not near
            if near or far <= FAR:
                name = "near" if near else "far"
                yield Item(number, name, whose, fact.subject, fact.object)


def unseen(here: World) -> list[Item]:
    """Return the same about people whom the model never met."""
    known = here.known
    return [
        Item(0, "holdout", known.whose(fact.name, fact.subject), fact.subject, fact.object)
        for fact in known.holdout
    ]


def asked(here: World, mine: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """Yield what the model as it is makes of them: a row a number."""
    prompts, answers = [one.prompt for one in mine], [one.answer for one in mine]
    nothing: list[list[str]] = [[] for _ in mine]
    wanted = prefill.Asked(prompts, answers, nothing)
    found = prefill.look(here.model, here.tokenizer, wanted).tokens
    counts = found.counts.tolist()
    said = write.greedy(here.model, here.tokenizer, prompts, most=MOST)
    each = zip(mine, found.logp.split(counts), found.hit.split(counts), said, strict=True)
    for one, logp, hit, text in each:
        values = {
            "probability": recalled.probability(logp.double().numpy()),
            "extraction": recalled.extraction_strength(hit[:-1].tolist()),  # not its end token
            "rouge": rouge_l(text, one.answer)[0],
        }
        for measure, value in values.items():
            yield {
                "draw": one.draw,
                "cluster": one.person,
                "name": f"{one.set} {measure}",
                "value": value,
            }


def measured(here: World, method: str, own: Own) -> list[dict[str, Any]]:
    """Return the numbers of all draws, each after its own update."""
    hp = settings_of(method, dict(own))
    requests = [request for draw in here.draws for request in draw]
    assets = Assets(
        tokenizer=here.tokenizer,
        layer=0,  # of three layers the last is steered, wherever the trace peaks
        seed=derived_seed(here.seed, "method", method),
        instead=graph.instead(here.known, requests, hp.variants) if method == "relearn" else {},
    )
    keep = retained(here.known, hp, here.draws, here.seed)
    results = UNLEARNERS[method](here.model, here.draws, keep, hp, assets)
    every, rows = list(items(here)), list[dict[str, Any]]()
    for number, result in enumerate(results):
        with applied(here.model, result.delta):
            rows += asked(here, [one for one in every if one.draw == number])
    return rows


def lines(stage: str, method: str, own: Own, rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return means and their intervals over draws and people."""
    same = {"step": 1, "probe": "long", "slice": "", "hop": -1}
    table = pl.DataFrame(list(rows)).rename({"name": "measure"})
    keys, found = means(table.with_columns(**{key: pl.lit(v) for key, v in same.items()}), 0)
    ends = np.zeros(len(keys)), np.ones(len(keys))
    low, high = found.interval(*ends)
    return [
        Line(
            stage=stage,
            method=method,
            own=dict(own),
            name=name,
            value=round(float(found.value[i]), 4),
            low=round(float(low[i] or 0), 4),
            high=round(float(high[i] or 1), 4),
            n=int(found.n[i]),
        )
        for i, name in enumerate(keys["measure"])
    ]


def saved() -> list[Line]:
    """Return what was measured."""
    text = OUT.read_text(encoding="utf-8") if OUT.exists() else "[]"
    return [Line(**row) for row in json.loads(text)]


def keep(found: Sequence[Line]) -> None:
    """Write what was measured."""
    text = ",\n ".join(json.dumps(asdict(line)) for line in found)
    OUT.write_text(f"[\n {text}\n]\n", encoding="utf-8")


def measure(folder: Path, stage: str, settings: Sequence[tuple[str, Own]]) -> None:
    """Measure what is not in the JSON yet; it is written after each."""
    seed, draws = STAGES[stage]
    here: World | None = None
    for method, own in ((UNEDITED, {}), *settings):
        if of(saved(), stage, method, own):
            continue
        here = here or world(folder, seed, draws)
        found: list[Line] = []
        if method == UNEDITED:
            rows = list(asked(here, list(items(here))))
            found += lines(stage, NEVER, {}, list(asked(here, unseen(here))))
        else:
            rows = measured(here, method, own)
        found += lines(stage, method, own, rows)
        keep([*saved(), *found])
        print(table(found, stage).splitlines()[-1], flush=True)


def of(found: Sequence[Line], stage: str, method: str, own: Own) -> dict[str, Line]:
    """Return the numbers of a method with some settings, by name."""
    asked = stage, method, dict(own)
    return {line.name: line for line in found if (line.stage, line.method, line.own) == asked}


def left(found: Sequence[Line], stage: str, method: str, own: Own) -> tuple[float, float]:
    """Return the probability of old answers, and that of what is to stay as a share of before.

    Of old answers the mean of both wordings; what stays is near and far, each fact alike.
    """
    mine, before = (of(found, stage, *one) for one in ((method, own), (UNEDITED, {})))
    forgotten = [mine[f"{name} probability"].value for name in ("forget", "reworded")]

    def stays(row: Mapping[str, Line]) -> float:
        parts = [row[f"{name} probability"] for name in ("near", "far")]
        return sum(part.value * part.n for part in parts) / sum(part.n for part in parts)

    return sum(forgotten) / 2, stays(mine) / stays(before)


def chosen(found: Sequence[Line], method: str, tried: Sequence[tuple[str, Own]] = TRIED) -> Own:
    """Return which of the tried settings forgets most, of those that keep 95 %, if any does.

    If none does, the one that keeps most.
    """
    each = {
        json.dumps(own): left(found, "tried", method, own)
        for name, own in tried
        if name == method
    }
    able = {own: old for own, (old, stays) in each.items() if stays >= KEPT}
    if able:
        return json.loads(min(able, key=lambda own: able[own]))
    return json.loads(max(each, key=lambda own: each[own][1]))


# What the table shows, by name: of the old answers, then of what is to stay.
SHOWN = {
    "forget probability": "old answers: p",
    "forget extraction": "extraction strength",
    "forget rouge": "ROUGE",
    "reworded probability": "in other words: p",
    "reworded rouge": "ROUGE",
    "far probability": "far: p",
    "far rouge": "ROUGE",
    "near probability": "near: p",
    "near rouge": "ROUGE",
}


def table(found: Sequence[Line], stage: str = "confirmed") -> str:
    """Return a row in Markdown for each method with some settings.

    One that was not measured on fresh draws is shown as it was tried, on one draw.
    """
    shown = [line for line in found if line.stage == stage]
    there = {line.method for line in shown}
    shown += [line for line in found if line.method not in there and not line.own]
    rows: dict[str, dict[str, Line]] = {}
    for line in shown:
        own = ", ".join(f"{name} {value:g}" for name, value in line.own.items())
        where = "" if line.stage == stage else "one draw"
        name = ", ".join(filter(None, (line.method, own, where)))
        rows.setdefault(name, {})[line.name] = line
    head = [f"| method | {' | '.join(SHOWN.values())} |", "| --- |" + " --- |" * len(SHOWN)]
    return "\n".join([*head, *(_row(name, row) for name, row in rows.items())])


def _row(name: str, row: Mapping[str, Line]) -> str:
    if name == NEVER:
        row = {f"forget {key.removeprefix('holdout ')}": line for key, line in row.items()}
    return f"| {name} | {' | '.join(_cell(row.get(key)) for key in SHOWN)} |"


def _cell(line: Line | None) -> str:
    if line is None:
        return "-"
    value, low, high = (f"{x:.2f}".removeprefix("0") for x in (line.value, line.low, line.high))
    return f"{value} [{low}, {high}] {line.n}"


def main(words: Sequence[str]) -> None:
    """Measure, where a folder is named; write the page's table."""
    if words:
        torch.set_num_threads(1)
        folder = Path(words[0])
        measure(folder, "tried", TRIED)
        advised = {name: getattr(METHODS[name], "sentences", {}) for name in UNLEARNERS}
        measure(folder, "confirmed", [(method, {}) for method in UNLEARNERS])
        measure(folder, "confirmed", [(method, own) for method, own in advised.items() if own])
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:start]}{table(saved())}\n{page[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
