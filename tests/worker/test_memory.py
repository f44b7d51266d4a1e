"""What stands under retain.trained is what unlearners train on; a retain set of none is refused."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from ksmith import graph, settings
from ksmith.measures import memory as measures
from ksmith.probe.memory import Item, items
from ksmith.records import Statement, UserError
from ksmith.worker import memory
from ksmith.worker.asking import by_draw
from ksmith.worker.retained import retained
from tests.graph.test_qa import task
from tests.lm.models import ended, tokenizer
from tests.lm.test_score import DEER, END, IS, PROMPT, RED, STOP, talker
from tests.probe.test_generated import known_graph


@pytest.mark.parametrize("method", ["npo", "rmu"])
def test_what_is_asked_about_as_trained_has_its_turn_in_training(method: str) -> None:
    known, seed = known_graph(), 3
    requests = graph.requests(known, task(share=0.1, draws=3), seed, covariates=False)
    found = items(known, requests, {"memory_facts": 90}, seed)
    asked = [
        {i.statement.fact for i in found if i.draw == draw and i.set == "trained"}
        for draw in range(3)
    ]
    hp = settings.method(method, {})
    kept = [{s.fact for s in s_of} for s_of in retained(known, hp, by_draw(requests), seed)]
    assert all(
        len(mine) == 30 and mine <= every for mine, every in zip(asked, kept, strict=True)
    )


def test_a_draw_that_leaves_nothing_to_retain_is_refused_where_something_is_to_be() -> None:
    known = known_graph()
    draws = by_draw(graph.requests(known, task(), 0, covariates=False))
    hp = settings.method("npo", {"retain_near": False})
    with pytest.raises(
        UserError, match=r"draw 0 of \d+ facts leaves none that may be trained on"
    ):
        retained(known, hp, draws, 0)
    assert all(retained(known, replace(hp, retain_near=True), draws, 0))
    assert retained(known, replace(hp, retain_weight=0.0), draws, 0) == [[]]
    assert retained(known, replace(hp, retain=0), draws, 0) == [[]]


def test_rows_that_an_earlier_version_wrote_are_of_answers_without_an_end(
    tmp_path: Path,
) -> None:
    columns = {name: [None] for name in ("fact", "subject", "prompt", "answer")}
    rows = measures.frame({**columns, "draw": [0], "set": ["forget"]}, step=1)
    rows.drop("ended").with_columns(step=pl.lit(0, pl.Int32)).write_parquet(
        tmp_path / memory.FILE
    )

    def need(_role: str) -> Path:
        return tmp_path

    job = SimpleNamespace(
        need=need,
        folder=tmp_path,
        spec=SimpleNamespace(needs={}, recipe={"probe": {}}),
    )
    found, _ = memory.gathered(cast(Any, job), cast(Any, None), [rows], [])
    assert found is not None and found["step"].to_list() == [0, 1]
    assert found["ended"].to_list() == [None, None] and found.columns[-1] == "ended"


@pytest.mark.parametrize(("hits", "said"), [([False, True], ""), ([False] * 11, "only 0%")])
def test_a_model_that_was_not_tuned_with_an_end_is_named(hits: list[bool], said: str) -> None:
    many = len(hits)
    rows = pl.DataFrame(
        {
            "set": ["forget", *["retain"] * (many - 1), "holdout"],
            "wording": ["seen"] * (many + 1),
            "ended": [True] * (many + 1),
            "hit": [[True, hit] for hit in hits] + [[True, True]],
        }
    )
    base = cast(Any, SimpleNamespace(tokenizer=ended()))
    text = memory.unended(base, rows)
    assert text.startswith(said) and bool(text) == bool(said)
    assert not said or "followed by '<eos>'" in text
    assert not memory.unended(base, rows.with_columns(ended=pl.lit(None, pl.Boolean)))


CHAIN = (IS, RED, DEER, "\u2581sea", "\u2581lion", STOP, "\u2581stone", END)


@pytest.mark.parametrize(
    ("source", "more", "text"),
    [
        ("qa", {"by_itself": 1}, "red deer sea lion . stone"),
        ("qa", {"by_itself": 1, "memory_tokens": 5}, "red deer sea lion ."),
        ("triples", {"by_itself": 1}, "red deer sea lion"),  # a statement, of any length
        ("synthetic", {}, "red deer sea"),  # of a model trained on these: two tokens more
    ],
)
def test_texts_go_on_to_their_natural_stop(source: str, more: Any, text: str) -> None:
    model = talker(dict(pairwise(CHAIN)))
    one = Item(
        0,
        "forget",
        Statement("Mira Oss", "emblem", "otter", PROMPT),
        "Mira Oss",
        ("otter",),
        (),
    )
    base = SimpleNamespace(
        graph=SimpleNamespace(source=source), model=model, tokenizer=tokenizer()
    )
    job = SimpleNamespace(spec=SimpleNamespace(recipe={"probe": {"memory": True, **more}}))
    rows, _ = memory.look(cast(Any, job), cast(Any, base), model, [one], step=0)
    assert rows["generated"].to_list() == [text]
