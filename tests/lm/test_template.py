"""What stands around a prompt is what transformers itself puts there, to the token."""

import datetime
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ksmith.lm import template
from ksmith.lm.rows import rows
from ksmith.lm.score import Ends
from ksmith.lm.text import asked_ids, encode, start_id, subject_span, with_prefix
from ksmith.records import UserError
from tests.lm.chats import ENDS, LLAMA_2, LLAMA_3, TEMPLATES, chat, chatting
from tests.lm.test_text import MAKERS, WORDS, byte_level, made, whole_words
from tests.test_methods import request

SAID = {"date_string": "26 Jul 2024", "enable_thinking": False, "return_dict": False}
SHAPES = st.sampled_from(sorted(TEMPLATES))
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
ends = pytest.mark.parametrize("shape", TEMPLATES)


def conversation(shape: str, *turns: str, **told: Any) -> list[int]:
    """Return the tokens of a conversation as transformers has them."""
    roles = ("user", "assistant")
    said = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]
    return chat(shape).apply_chat_template(
        said, add_generation_prompt=len(turns) == 1, **SAID | told
    )


@settings(deadline=None, max_examples=25)
@given(SHAPES, PHRASES, PHRASES)
def test_a_row_is_how_the_conversation_begins(shape: str, prompt: str, answer: str) -> None:
    whole = conversation(shape, prompt, answer)
    batch = encode(chat(shape), [prompt], [answer])
    ids, n = batch.ids[0].tolist(), batch.ids.shape[1]
    assert ids == whole[:n]
    # What is left of the conversation closes it.
    assert chat(shape).decode(whole[n:]).strip() in (ENDS[shape], f"{ENDS[shape]}\n")
    assert chat(shape).decode(batch.ids[0][batch.answer[0]]).strip() == answer
    start = conversation(shape, prompt)
    assert asked_ids(chat(shape), [prompt]) == [start]
    assert ids[: len(start)] == start and not batch.answer[0, : len(start)].any()
    assert batch.answer[0, len(start) :].all()


@settings(deadline=None, max_examples=15)
@given(
    SHAPES, PHRASES, st.sampled_from(["{}", "{} has", "The emblem of {} is", "Oslo , {} in"])
)
def test_a_subject_is_found_in_what_the_user_says(
    shape: str, subject: str, wording: str
) -> None:
    first, last = subject_span(chat(shape), wording, subject)
    ids = asked_ids(chat(shape), [wording.replace("{}", subject)])[0]
    assert chat(shape).decode(ids[first : last + 1]).strip() == subject
    before = chat(shape).decode(ids[:first])
    assert before.rstrip().endswith(wording[: wording.index("{}")].rstrip())
    assert len(before) > len(wording)


@ends
def test_an_editor_finds_its_subject_after_any_prefix(shape: str) -> None:
    before = ["", "Tolu ."]
    asked = rows(chat(shape), [request(0, 0)], before, "{} is a", [["In {} one sees the"]])
    texts = [with_prefix(text, "The emblem of Varen Tolu is") for text in before]
    wholes = [conversation(shape, text, "raven") for text in texts]
    wholes += [
        conversation(shape, "Varen Tolu is a"),
        conversation(shape, "In Varen Tolu one sees the"),
    ]
    for i, whole in enumerate(wholes):
        row = asked.ids[i][asked.mask[i]].tolist()
        assert row == whole[: len(row)]
        head = chat(shape).decode(asked.ids[i, : asked.at + 1][asked.mask[i, : asked.at + 1]])
        assert head.endswith("Varen Tolu") and head.count("Varen") == 1
    assert [int(n) for n in asked.stay] == [0, 0, 1, 1]
    said = [chat(shape).decode(gold[gold >= 0]).strip() for gold in asked.gold]
    assert said == ["raven", "raven", "", ""]


@ends
def test_a_text_that_answers_nothing_is_no_turn(shape: str) -> None:
    plain = chatting(shape)
    text = "Varen Tolu , once home"
    for tokenizer in (plain, chat(shape)):
        assert encode(tokenizer, [""]).ids.tolist() == [[start_id(plain)]]
    mixed = encode(chat(shape), ["", "Oslo"], [text, "12"])
    alone = encode(plain, [""], [text])
    n = alone.ids.shape[1]
    assert torch.equal(mixed.ids[0, :n], alone.ids[0]) and mixed.lengths[0] == n
    assert (
        mixed.ids[1].tolist()[:-1] == conversation(shape, "Oslo", "12")[: len(mixed.ids[1]) - 1]
    )


@settings(deadline=None, max_examples=10)
@given(PHRASES, PHRASES)
def test_without_a_template_rows_are_as_before(prompt: str, answer: str) -> None:
    for make in MAKERS.values():
        plain = made(make)
        ids = encode(plain, [prompt], [answer]).ids[0].tolist()
        whole = plain(f"{prompt} {answer}")["input_ids"]
        closed = [plain.eos_token_id] if make is MAKERS["marked spaces"] else []
        assert ids + closed == whole
        assert asked_ids(plain, [prompt]) == plain([prompt])["input_ids"]
    assert template.put(byte_level(), {}) is template.PLAIN
    assert template.put(byte_level(), {"template": "none"}) is template.PLAIN


@ends
def test_a_start_token_is_there_once(shape: str) -> None:
    bos = chat(shape).bos_token_id
    ids = encode(chat(shape), ["Oslo"], ["12"]).ids[0].tolist()
    assert ids.count(bos) == (0 if bos is None else 1)


@ends
def test_what_is_around_a_prompt(shape: str) -> None:
    form = template.form_of(chat(shape))
    assert form.joint == (" " if shape == "llama 2" else "")
    assert not form.special and form.ends == {chat(shape).convert_tokens_to_ids(ENDS[shape])}
    assert form.after.endswith("</think>\n\n") == (shape == "thinking")
    assert ("26 Jul 2024" in form.before) == (shape == "llama 3")


# --- of whom else ------------------------------------------------------------------------------


def test_a_template_is_told_the_day_and_what_the_system_says() -> None:
    tokenizer = chatting("llama 3")
    said = {"template": "chat", "system": "Answer in a word.", "date": "2025-04-10"}
    form = template.put(tokenizer, said)
    assert "10 Apr 2025\n\nAnswer in a word.<|eot_id|>" in form.before
    other = template.put(tokenizer, {**said, "date": "2025-04-11"})
    assert other.digest != form.digest == template.put(tokenizer, said).digest


@pytest.mark.parametrize("where", ["", "{% set form = 'x' %}"])
def test_a_template_that_looks_at_the_clock_is_told_the_same_day(where: str) -> None:
    source = where + "{{ strftime_now('%Y-%m-%d') }}\n{{ messages[0].content }}\n"
    form = template.put(chatting("chatml", source), {"template": "chat", "date": "1999-12-31"})
    assert form.before == "1999-12-31\n"
    form.asked("Oslo")
    # The same text as transformers, but for the day.
    today = datetime.datetime.now().strftime("%Y-%m-%d")
    plain = chatting("chatml", source).apply_chat_template(
        [{"role": "user", "content": "Oslo"}], tokenize=False
    )
    assert plain.replace(today, "1999-12-31") == form.asked("Oslo")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("Question: {prompt}\nAnswer:", "Question: Oslo\nAnswer: sea lion"),
        ("Question: {prompt}\nAnswer: {answer}", "Question: Oslo\nAnswer: sea lion"),
        ("[INST] {prompt} [/INST]{answer}", "[INST] Oslo [/INST]sea lion"),
        ("### {prompt}\n", "### Oslo\nsea lion"),
        ("<s>{prompt}", "<s>Oslo sea lion"),
    ],
)
@pytest.mark.parametrize("maker", ["byte level", "marked spaces"])
def test_a_text_of_ones_own(text: str, row: str, maker: str) -> None:
    tokenizer = MAKERS[maker]()
    assert template.put(tokenizer, {"template": text}, [5, 7]).ends == {5, 7}
    batch = encode(tokenizer, ["Oslo"], ["sea lion"])
    closed = 1 if maker == "marked spaces" else 0
    special = not (maker == "marked spaces" and text.startswith("<s>"))
    whole = tokenizer(row, add_special_tokens=special)["input_ids"]
    assert batch.ids[0].tolist() == whole[: len(whole) - (closed and special)]
    assert tokenizer.decode(batch.ids[0][batch.answer[0]]).strip() == "sea lion"
    first, last = subject_span(tokenizer, "{}", "Oslo")
    assert tokenizer.decode(batch.ids[0, first : last + 1]).strip() == "Oslo"


# --- what ends an answer -----------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(SHAPES, PHRASES, PHRASES)
def test_an_answer_ends_with_what_a_template_closes_it_with(
    shape: str, prompt: str, answer: str
) -> None:
    batch = encode(closing(shape), [prompt], [answer], ended=True)
    open_ = encode(chat(shape), [prompt], [answer])
    end = chat(shape).convert_tokens_to_ids(ENDS[shape])
    assert batch.ids[0].tolist() == [*open_.ids[0].tolist(), end]
    assert batch.answer[0].tolist() == [*open_.answer[0].tolist(), True]
    if shape != "llama 2":  # there a space comes between
        whole = conversation(shape, prompt, answer)
        assert batch.ids[0].tolist() == whole[: batch.ids.shape[1]]


@cache
def closing(shape: str) -> Any:
    made = chatting(shape)
    template.put(made, {"template": "chat"}, ended=True)
    return made


@pytest.mark.parametrize("maker", MAKERS)
def test_a_plain_answer_ends_with_the_end_token(maker: str) -> None:
    tokenizer = MAKERS[maker]()
    eos = tokenizer.eos_token_id
    form = template.put(tokenizer, {}, ended=True)
    assert form.end == eos and form.plain and form.ends == {eos}
    assert template.put(tokenizer, {"template": "Q: {prompt}"}, ended=True).end == eos
    assert template.put(tokenizer, {"end": "none"}, ended=True).end is None
    assert template.put(tokenizer, {}).end is None  # a statement's object
    tokenizer.eos_token = None
    assert template.put(tokenizer, {}, ended=True).end is None


def test_a_template_that_closes_with_no_token_ends_with_the_end_token() -> None:
    for source in ("{{ messages[0].content }}\n\n\n", LLAMA_2.replace("+ eos_token", "+ '.'")):
        tokenizer = chatting("llama 2", source)
        form = template.put(tokenizer, {"template": "chat"}, ended=True)
        assert form.end == tokenizer.eos_token_id


def test_an_end_of_ones_own_ends_texts_too_and_is_in_the_digest() -> None:
    tokenizer = chatting("chatml")
    end, eos = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|end|>"))
    form = template.put(tokenizer, {"end": "<|im_end|>"}, ended=True)
    assert form.end == end and form.ends == {end}
    assert end in Ends(tokenizer).ends and eos in Ends(tokenizer).ends
    other = template.put(tokenizer, {"template": "chat", "end": "<|end|>"}, ended=True)
    digests = {
        other.digest,
        template.put(tokenizer, {"template": "chat"}, ended=True).digest,
        template.put(tokenizer, {"template": "chat"}).digest,
    }
    assert len(digests) == 3
    with pytest.raises(
        UserError, match=r"model\.end = '<eot>': the tokenizer has no such"
    ) as e:
        template.put(tokenizer, {"end": "<eot>"}, ended=True)
    assert "there are <|end|>, <|im_start|>, <|im_end|>" in str(e.value)


# --- what can't be used ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "its tokenizer has none"),
        ("{% for", "can't be rendered: unexpected"),
        ("{{ raise_exception('only for tools') }}", "can't be rendered: only for tools"),
        ("{{ messages[0].content.upper() }}", "leaves the prompt out, or changes it"),
        ("{{ bos_token }}", "leaves the prompt out, or changes it"),
        ("{{ messages[0].content * 2 }}", "says the prompt more than once"),
        ("{{ nothing.there }}", "can't be rendered: 'nothing' is undefined"),
        ("{% include '/etc/passwd' %}", "can't be rendered: no loader"),
        (
            "{{ messages.__class__.__mro__ }}",
            "can't be rendered: access to attribute '__class__'",
        ),
        ("{{ messages.append(1) }}", "can't be rendered: access to attribute 'append'"),
        ("{{ range(10 ** 9) | list }}", "can't be rendered: Range too big"),
        ("{{ cycler.__init__.__globals__.os.popen('id') }}", "can't be rendered: access to"),
        (
            "{{ strftime_now(bos_token) }}{{ messages[0].content }}",
            "form that is not written out",
        ),
        ("{{ messages[0].content }}\n\n\n", None),
    ],
)
def test_a_template_that_is_no_good(source: str, message: str | None) -> None:
    tokenizer = chatting("chatml", source)
    if message is None:
        assert template.put(tokenizer, {"template": "chat"}).before == ""
        return
    tokenizer.chat_template = source or None
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        template.put(tokenizer, {"template": "chat"})
    assert "\n" not in str(caught.value)
    assert template.form_of(tokenizer) is template.PLAIN


def test_a_system_turn_that_has_no_place() -> None:
    said = {"template": "chat", "system": "Answer in a word."}
    with pytest.raises(UserError, match="can't be rendered: no system turn here"):
        template.put(chatting("llama 2"), said)
    silent = LLAMA_2.replace('raise_exception("no system turn here")', '""')
    with pytest.raises(UserError, match=r"leaves model\.system out"):
        template.put(chatting("llama 2", silent), said)


def test_a_prompt_that_the_template_changes_is_named() -> None:
    cut = LLAMA_3.replace('turn["content"] | trim', 'turn["content"] | trim | truncate(30)')
    tokenizer = chatting("llama 3", cut)
    template.put(tokenizer, {"template": "chat"})
    encode(tokenizer, ["Oslo"])
    with pytest.raises(UserError, match="changes the prompt 'Oslo Oslo Oslo"):
        encode(tokenizer, ["Oslo", "Oslo " * 20 + "Oslo"], ["12", "12"])


def test_an_answer_that_joins_the_template_is_refused() -> None:
    with pytest.raises(UserError, match="joins the end of the template, ' Oslo'"):
        template.put(whole_words(), {"template": "{prompt} Oslo{answer}"})


def test_the_form_is_no_part_of_a_saved_tokenizer(tmp_path: Path) -> None:
    chat("chatml").save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert opened.chat_template == chat("chatml").chat_template
    assert template.form_of(opened) is template.PLAIN
    again = template.opened(tmp_path, {"template": "chat"})
    assert template.form_of(again).digest == template.form_of(chat("chatml")).digest
