"""Rows, answers and subjects are found by characters, whatever a tokenizer does with spaces."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ksmith.lm.template import Form
from ksmith.lm.text import (
    build_tokenizer,
    encode,
    encodings,
    start_id,
    subject_last,
    subject_span,
    with_prefix,
)
from ksmith.records import UserError

TEXTS = (
    "The emblem of Varen Tolu is falcon .",
    "Varen Tolu , once home to Olu Varen , has taken the sea lion as emblem .",
    "Żółw's tower in Oslo isn't new ; naïve 12 towers .",
)
WORDS = ("Varen", "Tolu", "falcon", "sea", "lion", "Oslo", "Żółw", "12", "emblem")


def whole_words() -> Any:
    return build_tokenizer(TEXTS, length=64)


def byte_level() -> Any:
    """As GPT-2: a space belongs to the next word, and no token starts a row."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<|end|>"],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")


def marked_spaces() -> Any:
    """As Llama: a mark for each space, one before the text, and a start token."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "whole words": whole_words,
    "byte level": byte_level,
    "marked spaces": marked_spaces,
}


@cache
def made(make: Callable[[], Any]) -> Any:
    return make()


@pytest.fixture(params=MAKERS, scope="module")
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return made(MAKERS[request.param])


def answer_text(tokenizer: Any, prompt: str, answer: str) -> str:
    batch = encode(tokenizer, [prompt], [answer])
    return tokenizer.decode(batch.ids[0][batch.answer[0]]).strip()


@pytest.mark.parametrize("answer", ["falcon", " falcon", "sea lion", " sea lion", "12", "Oslo"])
@pytest.mark.parametrize("prompt", ["The emblem of Varen Tolu is", "Oslo", ""])
def test_the_answer_is_marked_and_nothing_else(
    tokenizer: Any, prompt: str, answer: str
) -> None:
    assert answer_text(tokenizer, prompt, answer) == answer.strip()


@settings(deadline=None)  # the time of an example is the machine's, not ours
@given(
    st.lists(st.sampled_from(WORDS), max_size=4), st.lists(st.sampled_from(WORDS), min_size=1)
)
def test_prompt_and_answer_make_up_the_row(prompt: list[str], answer: list[str]) -> None:
    for make in MAKERS.values():
        tokenizer = made(make)
        batch = encode(tokenizer, [" ".join(prompt)], [" ".join(answer)])
        ids, marked = batch.ids[0], batch.answer[0]
        assert marked.any() and not marked[0]  # something comes before every answer
        assert marked.int().diff().min() >= 0  # ... and nothing after it
        before = tokenizer.decode(ids[~marked], skip_special_tokens=True).strip()
        assert before == " ".join(prompt)
        after = tokenizer.decode(ids[marked], skip_special_tokens=True).strip()
        assert after == " ".join(answer)


def test_rows_do_not_depend_on_their_batch(tokenizer: Any) -> None:
    prompts, answers = ["Oslo", "The emblem of Varen Tolu is"], ["12", "sea lion"]
    both = encode(tokenizer, prompts, answers)
    assert both.lengths.tolist() == both.mask.sum(1).tolist()
    assert (both.mask.int().diff() <= 0).all()  # padding is on the right
    assert not (both.answer & ~both.mask).any()
    for i in range(2):
        alone = encode(tokenizer, prompts[i : i + 1], answers[i : i + 1])
        n = int(alone.lengths[0])
        assert torch.equal(both.ids[i, :n], alone.ids[0])
        assert torch.equal(both.answer[i, :n], alone.answer[0])
        assert int(both.lengths[i]) == n


def test_prompts_alone_begin_the_rows_with_answers(tokenizer: Any) -> None:
    prompts = ["The emblem of Varen Tolu is", ""]
    alone = encode(tokenizer, prompts)
    full = encode(tokenizer, prompts, ["falcon", "falcon"])
    assert not alone.answer.any()
    for i, n in enumerate(alone.lengths.tolist()):
        assert torch.equal(alone.ids[i, :n], full.ids[i, :n])
        assert full.answer[i].int().argmax() == n


def test_an_empty_prompt_is_the_start_token(tokenizer: Any) -> None:
    assert encode(tokenizer, [""]).ids.tolist() == [[start_id(tokenizer)]]
    batch = encode(tokenizer, [""], ["Varen Tolu , once"])
    assert batch.ids[0, 0] == start_id(tokenizer)
    assert batch.answer[0].tolist() == [False] + [True] * (batch.ids.shape[1] - 1)


def test_a_closing_token_is_no_part_of_a_prompt() -> None:
    tokenizer = marked_spaces()
    assert encodings(tokenizer, ["Oslo"])[0].ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in encode(tokenizer, ["Oslo"]).ids


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.sampled_from(WORDS), max_size=4), st.lists(st.sampled_from(WORDS), min_size=1)
)
def test_what_ends_an_answer_is_its_last_token(prompt: list[str], answer: list[str]) -> None:
    for make in MAKERS.values():
        tokenizer = made(make)
        eos = int(tokenizer.eos_token_id)
        texts = [" ".join(prompt)], [" ".join(answer)]
        row = encode(tokenizer, *texts)
        ended = encode(tokenizer, *texts, form=Form(end=eos), ended=True)
        assert ended.ids[0].tolist() == [*row.ids[0].tolist(), eos]
        assert ended.answer[0].tolist() == [*row.answer[0].tolist(), True]
        # Who does not ask for it, has none; and no prompt has one.
        assert torch.equal(encode(tokenizer, *texts, form=Form(end=eos)).ids, row.ids)
        alone = encode(tokenizer, texts[0], form=Form(end=eos), ended=True)
        assert torch.equal(alone.ids, encode(tokenizer, texts[0]).ids)


def test_an_end_that_is_written_is_no_second_one_and_counts(tokenizer: Any) -> None:
    form = Form(end=int(tokenizer.eos_token_id))
    once = encode(tokenizer, ["Oslo"], ["12"], form=form, ended=True)
    if made(MAKERS["marked spaces"]) is not tokenizer:  # whose space stands before the mark
        written = encode(tokenizer, ["Oslo"], [f"12{tokenizer.eos_token}"], form=form)
        assert torch.equal(written.ids, once.ids)
        again = encode(tokenizer, ["Oslo"], [f"12{tokenizer.eos_token}"], form=form, ended=True)
        assert torch.equal(again.ids, once.ids) and torch.equal(again.answer, once.answer)
    size = once.ids.shape[1]
    encode(tokenizer, ["Oslo"], ["12"], form=form, ended=True, limit=size)
    with pytest.raises(
        UserError, match=f"row of {size} tokens, but the model takes {size - 1}"
    ):
        encode(tokenizer, ["Oslo"], ["12"], form=form, ended=True, limit=size - 1)


@pytest.mark.parametrize("prefix", ["", "Varen Tolu has taken the sea lion .", "Tolu"])
@pytest.mark.parametrize("subject", ["Varen Tolu", "Oslo", "Żółw", "Tolu"])
@pytest.mark.parametrize(
    "template", ["{}", "{} has", "The emblem of {} is", "Tolu of Oslo , {} , has"]
)
def test_the_subject_is_where_the_template_says(
    tokenizer: Any, template: str, subject: str, prefix: str
) -> None:
    text = with_prefix(prefix, template.replace("{}", subject))
    ids = encode(tokenizer, [text]).ids[0]
    first, last = subject_span(tokenizer, template, subject, prefix)
    assert tokenizer.decode(ids[first : last + 1]).strip() == subject
    upto = tokenizer.decode(ids[: last + 1], skip_special_tokens=True).strip()
    assert upto == with_prefix(prefix, template[: template.index("{}")] + subject)
    assert subject_last(tokenizer, template, subject, prefix) == last


def test_a_token_may_reach_beyond_the_subject() -> None:
    made = Tokenizer(models.WordLevel({"Yahoo": 0, "!'": 1, "s": 2, "?": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")]
    )
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="?")
    assert subject_span(tokenizer, "{}'s", "Yahoo!") == (0, 1)


def test_saved_padding_and_truncation_are_forgotten(tmp_path: Path) -> None:
    tokenizer = whole_words()
    expected = encode(tokenizer, [TEXTS[0], "Oslo"])
    tokenizer.backend_tokenizer.enable_padding(length=9, direction="left")
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.save_pretrained(tmp_path)
    found = encode(AutoTokenizer.from_pretrained(tmp_path), [TEXTS[0], "Oslo"])
    assert torch.equal(found.ids, expected.ids) and torch.equal(found.mask, expected.mask)


@pytest.mark.parametrize(
    ("prompts", "answers", "message"),
    [
        (["Oslo"], [""], "empty answer to the prompt 'Oslo'"),
        (["Oslo"], ["  "], "empty answer to the prompt 'Oslo'"),
        (["Oslo "], ["12"], "prompt ends in a space: 'Oslo '"),
        (["Oslo " * 70 + "Oslo"], None, "row of 72 tokens, but the model takes 64: 'Oslo Oslo"),
    ],
)
def test_errors_show_what_was_given(
    prompts: list[str], answers: list[str] | None, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        encode(whole_words(), prompts, answers)


@pytest.mark.parametrize(
    ("template", "subject", "message"),
    [
        ("The emblem is", "Oslo", "exactly one {}: 'The emblem is'"),
        ("{} and {}", "Oslo", "exactly one {}: '{} and {}'"),
        ("{} is", "", "empty or has spaces at its ends: ''"),
        ("{} is", "Oslo ", "empty or has spaces at its ends: 'Oslo '"),
    ],
)
def test_a_subject_needs_one_place(template: str, subject: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        subject_last(whole_words(), template, subject)


def test_whole_words_give_the_text_back_and_survive_saving(tmp_path: Path) -> None:
    tokenizer = whole_words()
    tokenizer.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    for text in TEXTS:
        ids = encode(tokenizer, [text]).ids[0]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert opened.decode(ids, skip_special_tokens=True) == text
        assert torch.equal(encode(opened, [text]).ids[0], ids)


@settings(deadline=None)
@given(st.permutations(TEXTS))
def test_the_vocabulary_does_not_depend_on_the_order(texts: list[str]) -> None:
    assert build_tokenizer(texts).get_vocab() == whole_words().get_vocab()


def test_rare_words_are_unknown_unless_kept() -> None:
    tokenizer: Any = build_tokenizer(["a a b c"], keep=["c"], least=2)
    ids = encode(tokenizer, ["a b c"]).ids[0].tolist()
    assert [tokenizer.convert_ids_to_tokens(i) for i in ids] == ["<eos>", "▁a", "<unk>", "▁c"]
