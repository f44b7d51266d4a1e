"""A benchmark's records, from a user's file to the published numbers, on a model that exists."""

import json
from pathlib import Path
from typing import Any, cast

import polars as pl

from ksmith import study
from ksmith.lm.load import save
from ksmith.measures import PUBLISHED
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
