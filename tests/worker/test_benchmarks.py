"""A benchmark's records, from a user's file to the published numbers, on a model that exists."""

import json
from pathlib import Path
from typing import Any, cast

import polars as pl

from ksmith import study
from ksmith.lm.load import save
from ksmith.measures import PUBLISHED
from tests.graph.test_qa import forget, saved
from tests.graph.test_zsre import rows
from tests.lm.models import tiny, tokenizer
from tests.worker.test_tasks import performed

STUDY = """
name = "s"
question = "?"
[graph]
source = "zsre"
path = "records.json"
records = 8
[model]
load = "model"
[task]
method = "ft_l"
draws = 2
scale = 2
[method.ft_l]
layer = 0
[probe]
kinds = ["efficacy", "paraphrase", "neighborhood", "fluency"]
texts = 2
text_tokens = 40
letters = "never"
drift = false
"""


QA = """
name = "s"
question = "?"
[graph]
source = "qa"
forget = "forget.jsonl"
retain = "retain.jsonl"
[model]
recipe = "fixture"
mechanism = "plain"
steps = 2
rows = 2
width = 32
layers = 2
length = 80
[task]
method = "graddiff"
kind = "unlearn"
share = 0.5
draws = 2
[method.graddiff]
steps = 1
retain = 4
[probe]
kinds = ["efficacy", "paraphrase", "direct", "contextual"]
letters = "never"
"""


def test_a_users_own_questions_go_all_the_way(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / "s.toml"
    file.write_text(QA)
    found = performed(tmp_path / "lab", study.read(file))
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    (folder,) = tmp_path.glob("lab/outcomes/*/1-1")
    metrics = json.loads((folder / "metrics.json").read_text())
    n = {(m["probe"], m["slice"]): m["n"] for m in metrics if m["measure"] == "accuracy"}
    assert n["efficacy", ""] == len(forget())
    assert n["paraphrase", ""] == sum("paraphrased_question" in row for row in forget())
    answers = pl.read_parquet(folder / "answers.parquet")
    asked = answers.filter(pl.col("probe") == "efficacy", pl.col("step") == 1)
    assert set(asked["draw"].to_list()) == {0, 1}
    # The neutral answer is one word, the old one is a sentence.
    assert (asked["tokens"].list.get(1) >= 10).all()
    assert asked["known"].is_not_null().all()  # asked in words that are not scored


def test_all_published_numbers_are_there(tmp_path: Path) -> None:
    save(cast(Any, tiny("llama")), tokenizer(), tmp_path / "model")
    (tmp_path / "records.json").write_text(json.dumps(rows()))
    file = tmp_path / "s.toml"
    file.write_text(STUDY)
    found = performed(tmp_path / "lab", study.read(file))
    assert {role: outcome.error for role, outcome in found.items() if outcome.error} == {}
    (folder,) = tmp_path.glob("lab/outcomes/*/1-1")
    metrics = json.loads((folder / "metrics.json").read_text())
    named = {
        f"{m['probe']}.{m['measure']}": m for m in metrics if m["slice"] == "" and m["step"]
    }
    assert PUBLISHED.keys() - named.keys() == {"attribute.success"}  # CounterFact's
    assert {named[name]["n"] for name in PUBLISHED.keys() & named.keys()} == {4}
    answers = pl.read_parquet(folder / "answers.parquet")
    texts = answers.filter(pl.col("probe") == "fluency")
    assert texts["generated"].n_unique() >= 8  # the weights hardly moved
    assert (texts["generated"].str.len_chars() > 20).all()
    assert texts.group_by("step").len()["len"].to_list() == [8, 8]
    told = answers.filter(pl.col("probe") == "neighborhood", pl.col("step") == 1)
    right = pl.col("tokens").list.get(pl.col("right"))
    assert told.select((pl.col("predicted").list.len() == right).all()).item()
    assert told.select((pl.col("hits").list.get(pl.col("right")) <= right).all()).item()
