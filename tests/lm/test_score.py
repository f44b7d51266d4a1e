"""Scores are those of the plainest possible loop, however questions are ordered and batched."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ksmith.lm.score import score
from ksmith.lm.text import encode
from ksmith.records import Answer, Question, UserError
from tests.lm.models import CONFIGS, OBJECTS, SUBJECTS, TEMPLATES, tiny, tokenizer


def question(
    number: int, prompt: str, candidates: tuple[str, ...], generate: bool = True
) -> Question:
    return Question(
        id=f"q{number}",
        draw=0,
        request="",
        probe="efficacy",
        set="target",
        prompt=prompt,
        candidates=candidates,
        right=0,
        right_before=0,
        rival=None,
        subject="",
        fact="",
        generate=generate,
    )


def questions() -> list[Question]:
    prompts = [t.format(s) for t in TEMPLATES for s in SUBJECTS]
    asked = [question(i, p, OBJECTS[i % 3 :]) for i, p in enumerate(prompts)]
    text = "The emblem of Mira Oss is sea lion ."
    return [
        *asked,
        question(98, "", (text,), generate=False),
        question(99, prompts[3], ("otter",)),
    ]


def plain(model: nn.Module, asked: Question) -> Answer:
    """Each candidate as a row of its own; greedy text by running all of it for each token."""
    logp, tokens, argmax = [], [], []
    for candidate in asked.candidates:
        batch = encode(tokenizer(), [asked.prompt], [candidate])
        with torch.no_grad():
            told = model(input_ids=batch.ids).logits[0].float().log_softmax(-1)
        at = batch.answer[0].nonzero()[:, 0]
        gold = batch.ids[0, at]
        logp.append(told[at - 1, gold].sum().item())
        tokens.append(len(at))
        argmax.append(bool((told[at - 1].argmax(-1) == gold).all()))
    return Answer(
        question=asked.id,
        logp=tuple(logp),
        tokens=tuple(tokens),
        argmax=tuple(argmax),
        generated=greedy(model, asked, max(tokens) + 2) if asked.generate else None,
    )


def greedy(model: nn.Module, asked: Question, steps: int) -> str:
    ids = encode(tokenizer(), [asked.prompt]).ids
    start = ids.shape[1]
    with torch.no_grad():
        for _ in range(steps):
            token = model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
            if token.item() == tokenizer().eos_token_id:
                break
            ids = torch.cat([ids, token], 1)
    text = tokenizer().decode(ids[0, start:])
    return text.split(".")[0].strip()


def same(one: Answer, other: Answer) -> None:
    assert (one.question, one.tokens, one.argmax) == (
        other.question,
        other.tokens,
        other.argmax,
    )
    assert one.logp == pytest.approx(other.logp, abs=1e-4, rel=1e-5)
    assert one.generated == other.generated


@pytest.mark.parametrize("kind", CONFIGS)
def test_equals_the_plain_loop(kind: str) -> None:
    model = tiny(kind)
    asked = questions()
    for answer, one in zip(score(model, tokenizer(), asked), asked, strict=True):
        same(answer, plain(model, one))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), batch_tokens=st.integers(1, 300))
def test_neither_order_nor_batch_size_matters(seed: int, batch_tokens: int) -> None:
    model, asked = tiny("qwen3"), questions()
    expected = {answer.question: answer for answer in score(model, tokenizer(), asked)}
    random.Random(seed).shuffle(asked)
    answers = score(model, tokenizer(), asked, batch_tokens=batch_tokens)
    assert [answer.question for answer in answers] == [one.id for one in asked]
    for answer in answers:
        one = expected[answer.question]
        assert answer.logp == pytest.approx(one.logp, abs=1e-5, rel=1e-5)
        assert (answer.argmax, answer.generated) == (one.argmax, one.generated)


def test_probabilities_of_all_next_words_sum_to_one() -> None:
    words = [
        w.removeprefix("\u2581") for w in tokenizer().get_vocab() if w.startswith("\u2581")
    ]
    rest = len(tokenizer()) - len(words)
    asked = question(0, "The emblem of Mira Oss is", tuple(words), generate=False)
    (answer,) = score(tiny("llama"), tokenizer(), [asked])
    total = sum(torch.tensor(answer.logp).exp().tolist())
    assert 0.5 < total < 1  # the other `rest` tokens, and unused ids, have the remainder
    assert rest < len(words)


def test_a_full_stop_inside_a_candidate_does_not_end_the_text() -> None:
    model = tiny("llama")
    prompt = "The emblem of Mira Oss is"
    with torch.no_grad():  # a model that says "red . red . red" for ever
        ids = encode(tokenizer(), [prompt], ["red . deer"]).ids[0]
        red, stop = int(ids[-3]), int(ids[-2])
        head = model.get_parameter("lm_head.weight")
        hidden = model.get_submodule("model")(input_ids=ids[None, :-3]).last_hidden_state[0, -1]
        head.zero_()
        head[red] = hidden
        model.get_parameter("model.embed_tokens.weight")[red] = 0
    plainly = question(0, prompt, ("raven",))
    dotted = question(1, prompt, ("red . deer", "raven"))
    texts = [answer.generated for answer in score(model, tokenizer(), [plainly, dotted])]
    assert stop != red
    assert texts[0] is not None and texts[0].startswith("red")


def test_nothing_asked() -> None:
    assert score(tiny("gpt2"), tokenizer(), []) == []


def test_too_long_for_the_model() -> None:
    long = question(0, " ".join(["raven"] * 70), ("otter",))
    with pytest.raises(UserError, match="but the model takes 64"):
        score(tiny("gpt2"), tokenizer(), [long])
