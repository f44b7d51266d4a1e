"""Scores are those of the plainest possible loop, however questions are ordered and batched."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ksmith import measures
from ksmith.lm.score import score
from ksmith.lm.text import encode
from ksmith.records import Answer, Question, UserError
from tests.lm.models import CONFIGS, OBJECTS, SUBJECTS, TEMPLATES, tiny, tokenizer


def question(
    number: int,
    prompt: str,
    candidates: tuple[str, ...],
    generate: bool = True,
    aliases: tuple[str, ...] = (),
) -> Question:
    return Question(
        id=f"0.0/efficacy/{number}",
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
        aliases=aliases,
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
    logp, tokens, argmax, hits, predicted = [], [], [], [], []
    for candidate in asked.candidates:
        batch = encode(tokenizer(), [asked.prompt], [candidate])
        with torch.no_grad():
            told = model(input_ids=batch.ids).logits[0].float().log_softmax(-1)
        at = batch.answer[0].nonzero()[:, 0]
        gold = batch.ids[0, at]
        logp.append(told[at - 1, gold].sum().item())
        tokens.append(len(at))
        best = told[at - 1].argmax(-1)
        argmax.append(bool((best == gold).all()))
        hits.append(int((best == gold).sum()))
        predicted.append(tuple(best.tolist()))
    return Answer(
        question=asked.id,
        logp=tuple(logp),
        tokens=tuple(tokens),
        argmax=tuple(argmax),
        hits=tuple(hits),
        predicted=predicted[asked.right or 0],
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
    names = ("question", "tokens", "argmax", "hits", "predicted")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert one.logp == pytest.approx(other.logp, abs=1e-4, rel=1e-5)
    assert one.generated == other.generated


@pytest.mark.parametrize("kind", CONFIGS)
def test_equals_the_plain_loop(kind: str) -> None:
    model = tiny(kind)
    asked = questions() if kind in ("gpt2", "llama", "gemma3_text") else questions()[::3]
    for answer, one in zip(score(model, tokenizer(), asked), asked, strict=True):
        same(answer, plain(model, one))


@pytest.fixture(scope="module")
def answered() -> tuple[nn.Module, dict[str, Answer]]:
    model = tiny("qwen3")
    return model, {answer.question: answer for answer in score(model, tokenizer(), questions())}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), batch_tokens=st.integers(1, 300))
def test_neither_order_nor_batch_size_matters(
    answered: tuple[nn.Module, dict[str, Answer]], seed: int, batch_tokens: int
) -> None:
    (model, expected), asked = answered, questions()
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


def talker(after: dict[str, str]) -> nn.Module:
    """Return a real model that says the value of `after` behind its key, whatever was before."""
    model = tiny("llama")
    vocabulary = tokenizer().get_vocab()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.zero_()  # blocks add nothing: the last norm sees the last word's embedding
            elif "norm" in name:
                weight.fill_(1.0)
        embedding = model.get_parameter("model.embed_tokens.weight")
        head = model.get_parameter("lm_head.weight")
        for i, (word, following) in enumerate(after.items()):
            embedding[vocabulary[word], i] = 1.0
            head[vocabulary[following], i] += 1.0
    return model


IS, RED, STOP, DEER, END = "\u2581is", "\u2581red", "\u2581.", "\u2581deer", "<eos>"
PROMPT = "The emblem of Mira Oss is"


def generated(model: nn.Module, *candidates: tuple[str, ...]) -> list[str | None]:
    asked = [question(i, PROMPT, of_one) for i, of_one in enumerate(candidates)]
    return [answer.generated for answer in score(model, tokenizer(), asked)]


def test_text_stops_at_a_full_stop_that_no_candidate_has() -> None:
    model = talker({IS: RED, RED: STOP, STOP: DEER, DEER: STOP})
    found = generated(
        model, ("raven",), ("red . deer", "raven"), ("red . otter",), ("otter .",)
    )
    assert found == ["red", "red . deer", "red . deer", "red"]


def test_text_stops_at_the_end_token() -> None:
    assert generated(talker({IS: RED, RED: END, END: RED}), ("a red deer",)) == ["red"]


def test_text_is_two_tokens_longer_than_the_longest_candidate_at_most() -> None:
    model = talker({IS: RED, RED: DEER, DEER: RED})
    found = generated(model, ("raven",), ("red deer", "raven"))
    assert found == ["red deer red", "red deer red deer"]


def test_an_alias_is_written_to_its_end_and_counts() -> None:
    model = talker({IS: RED, RED: STOP, STOP: DEER, DEER: END})
    alias = "red . deer . deer . deer"
    asked = [
        question(0, PROMPT, ("raven", "otter"), aliases=("red . deer", alias)),
        question(1, PROMPT, ("raven", "otter")),
    ]
    first, second = score(model, tokenizer(), asked)
    assert (first.generated, second.generated) == ("red . deer", "red")
    assert (first.logp, first.tokens) == (second.logp, second.tokens)
    rows = measures.frame(asked, [first, second], step=1)
    assert [m.value for m in measures.metrics(rows, 0) if m.name == "efficacy.generated"] == [
        0.5
    ]

    talks = talker({IS: RED, RED: DEER, DEER: RED})
    long = question(0, PROMPT, ("raven",), aliases=("red deer red deer red",))
    (answer,) = score(talks, tokenizer(), [long])
    assert answer.generated == "red deer red deer red deer red"  # two tokens more


def test_argmax_needs_every_token() -> None:
    model = talker({IS: RED, RED: DEER, DEER: STOP})
    asked = question(0, PROMPT, ("red", "red deer", "red otter", "deer", "red deer red"))
    (answer,) = score(model, tokenizer(), [asked])
    assert answer.argmax == (True, True, False, False, False)
    assert answer.tokens == (1, 2, 2, 1, 3)
    # "otter" after "red" is no hit, nor is the second "red": after "deer" comes a full stop.
    assert answer.hits == (1, 2, 1, 0, 2)


def test_what_was_predicted_is_of_the_right_answers_places() -> None:
    model = talker({IS: RED, RED: DEER, DEER: STOP})
    asked = question(0, PROMPT, ("red", "otter red deer"))._replace(right=1)
    (answer,) = score(model, tokenizer(), [asked])
    words = tokenizer().convert_ids_to_tokens(list(answer.predicted))
    assert words[0] == RED and words[2] == DEER  # whatever comes after "otter"
    assert len(words) == 3
    (none,) = score(model, tokenizer(), [asked._replace(right=None)])
    assert none.predicted == ()


def test_nothing_asked() -> None:
    assert score(tiny("gpt2"), tokenizer(), []) == []


def test_too_long_for_the_model() -> None:
    long = question(0, " ".join(["raven"] * 70), ("otter",))
    with pytest.raises(UserError, match="but the model takes 64"):
        score(tiny("gpt2"), tokenizer(), [long])
