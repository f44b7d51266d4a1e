"""Tokens are counted without a model as they are with one."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.lm import lengths
from ksmith.lm.text import build_tokenizer, encode

TEXTS = st.text(st.sampled_from("ab1é東क्ि '.?!-_{}\u0301"), min_size=1).map(
    lambda text: " ".join(text.split())
)


TOKENIZER = build_tokenizer(["nothing of it"])


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=5))
def test_words_are_counted_as_the_tokenizer_of_a_recipe_cuts_them(texts: list[str]) -> None:
    counted = encode(TOKENIZER, texts).lengths.tolist()
    assert lengths.of_recipe()(texts) == counted


def test_a_folder_says_what_its_tokenizer_makes_of_a_text(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(["who is it ?", "he is"], length=33)
    tokenizer.save_pretrained(tmp_path)
    count = lengths.of_folder(tmp_path)
    assert count is not None
    texts = ["who is it ?", "it"]
    assert count(texts) == encode(tokenizer, texts).lengths.tolist()
    assert lengths.limit(tmp_path) == 33
    for name in ("n_positions", "max_position_embeddings"):
        (tmp_path / "config.json").write_text(json.dumps({name: 16}))
        assert lengths.limit(tmp_path) == 16


def test_a_folder_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert lengths.of_folder(tmp_path) is None and lengths.limit(tmp_path) is None
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "config.json").write_text('["n_positions"]')
    assert lengths.of_folder(tmp_path) is None and lengths.limit(tmp_path) is None
