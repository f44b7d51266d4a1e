"""Models that read texts: against transformers' own calls, by hand, cut, and refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from ksmith.lm import judges
from ksmith.lm.judges import Judge
from ksmith.records import UserError
from tests.lm.judges import NLI, ROOM, TAGS, judge, reader, tokenizer

TEXTS = ("Oslo is old", "Bergen is the old town", "", "Ada Byron of Oslo .", "the the ?")
PAIRS = [(a, b) for a in TEXTS for b in TEXTS]


def made(role: str, room: int = ROOM, **more: Any) -> Judge:
    """Return a judge that was never in a folder."""
    names = {"judge_nli": NLI, "judge_entities": TAGS}.get(role, ())
    return Judge(reader(role, room=room, **more), tokenizer(room=room), room, names)


def alone(one: Judge, text: str, other: str | None = None) -> Any:
    """Return what transformers makes of one text or pair, in a batch of its own."""
    given: Any = [text if other is None else (text, other)]
    with torch.inference_mode():
        return one.model(**one.tokenizer(given, return_tensors="pt"))


# --- contradiction ----------------------------------------------------------------------------


def test_a_pair_is_read_premise_first_whatever_is_read_with_it() -> None:
    one = made("judge_nli")
    said = judges.classified(one, PAIRS).said
    assert said == [NLI[int(alone(one, *pair).logits.argmax())] for pair in PAIRS]
    assert said != judges.classified(one, [(b, a) for a, b in PAIRS]).said
    assert judges.classified(one, PAIRS[3:5]).said == said[3:5]


def test_what_is_too_long_is_cut_at_its_end_and_told() -> None:
    one = made("judge_nli", room=8)  # [CLS] 5 [SEP] [SEP]
    read = judges.classified(one, [("oslo " * 9, "old"), ("oslo " * 4, "old"), ("is", "old")])
    assert read.cut == [True, False, False]
    assert read.said[0] == read.said[1]
    texts = made("judge_similarity", room=8)
    vectors = judges.vectors(texts, ["oslo " * 6 + "bergen", "oslo " * 6])
    assert vectors.cut == [True, False]
    assert torch.equal(vectors.said[0], vectors.said[1])
    names = judges.entities(made("judge_entities", room=4, said="LOC"), ["Oslo is old town"])
    assert (names.said, names.cut) == ([["Oslo is"]], [True])


def test_each_row_goes_through_once_in_groups_of_bounded_size() -> None:
    assert list(judges.groups([3, 9, 4000, 4000, 300])) == [[2, 3], [4, 1, 0]]
    assert list(judges.groups([9000, 9000])) == [[0], [1]]  # a row is a pass however long
    done: list[tuple[int, int]] = []
    judges.classified(made("judge_nli"), PAIRS, lambda at, of: done.append((at, of)))
    assert done == [(25, 25)]
    assert judges.classified(made("judge_nli"), []).said == []


# --- similarity -------------------------------------------------------------------------------


def test_a_vector_is_the_mean_of_states_without_padding_of_length_one() -> None:
    one = made("judge_similarity")
    found = judges.vectors(one, TEXTS).said
    for row, text in zip(found, TEXTS, strict=True):
        mean = alone(one, text).last_hidden_state[0].double().mean(0)
        assert torch.allclose(row.double(), mean / mean.norm(), atol=1e-6)
    assert judges.vectors(one, []).said.shape == (0, 0)


# --- entities ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tags", "found"),
    [
        # Types that follow each other, a beginning in the middle, one without a prefix.
        ("ada byron is old", ["B-PER", "I-PER", "O", "O"], ["ada byron"]),
        ("ada byron is old", ["B-PER", "B-PER", "O", "LOC"], ["ada", "byron", "old"]),
        ("ada byron is old", ["I-PER", "LOC", "LOC", "O"], ["ada", "byron is"]),
        ("ada byron is old", ["O", "O", "O", "O"], []),
        # A word has the label of its first token; marks are words of their own.
        ("Oslos old", ["LOC", "O", "O"], ["Oslos"]),
        ("Oslos old", ["O", "LOC", "O"], []),
        ("the town. Oslo", ["O", "LOC", "O", "LOC"], ["town", "Oslo"]),
    ],
)
def test_words_of_one_type_are_an_entity(
    text: str, tags: Sequence[str], found: Sequence[str]
) -> None:
    (row,) = judges.encoded(made("judge_entities"), [text])
    assert judges.named(text, row, ["LOC", *tags, "LOC"]) == found  # specials say nothing


def test_labels_are_those_of_the_tokens_themselves() -> None:
    one = made("judge_entities")
    found = judges.entities(one, TEXTS).said
    assert found[2] == []
    for text, names in zip(TEXTS, found, strict=True):
        tags = [TAGS[i] for i in alone(one, text).logits[0].argmax(-1).tolist()]
        (row,) = judges.encoded(one, [text])
        assert names == judges.named(text, row, tags)


# --- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["judge_nli", "judge_similarity", "judge_entities"])
def test_a_folder_opens_as_it_was_saved(role: str, tmp_path: Path) -> None:
    opened = judges.open_judge(role, judge(tmp_path, role))
    assert opened.limit == ROOM and not opened.model.training
    assert opened.labels == made(role).labels
    for name, weight in reader(role).state_dict().items():
        assert torch.equal(opened.model.state_dict()[name], weight), name


def test_a_judge_takes_as_much_as_all_of_its_files_allow(tmp_path: Path) -> None:
    judge(tmp_path, "judge_similarity")
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    assert judges.open_judge("judge_similarity", tmp_path).limit == 5
    words = tokenizer(room=10**30)
    assert judges.room(tmp_path / "none", {"max_position_embeddings": 9}, words) == 9
    roberta = {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}
    assert judges.room(tmp_path / "none", roberta, words) == 512
    assert judges.room(tmp_path / "none", {}, words) == judges.LONGEST


def test_a_head_that_is_not_there_is_never_drawn(tmp_path: Path) -> None:
    judge(tmp_path, "judge_nli")
    file = tmp_path / "model.safetensors"
    rest = {k: v for k, v in load_file(file).items() if not k.startswith("classifier")}
    save_file(rest, file, {"format": "pt"})
    with pytest.raises(UserError, match=r"lacks weights of a Bert.*: classifier.bias"):
        judges.open_judge("judge_nli", tmp_path)


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    judge(tmp_path, "judge_nli", labels=("yes", "no"))
    assert BertForSequenceClassification.from_pretrained(tmp_path).num_labels == 2
    with pytest.raises(UserError, match=r"labels .* are yes, no; one must be contradiction"):
        judges.open_judge("judge_nli", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x"}}))
    with pytest.raises(UserError, match="brings its own code"):
        judges.open_judge("judge_nli", tmp_path)
