"""Whether a model's letters mean something, by scorers whose mind is known."""

import random
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ksmith.lm.score import score
from ksmith.lm.text import build_tokenizer
from ksmith.probe.letters import LETTERS, sampled
from ksmith.records import Answer, Question
from ksmith.worker.letters import Letters, check, entropy, judged
from tests.lm.models import tiny, tokenizer
from tests.probe.test_generated import known_graph

QUESTIONS = list(sampled(known_graph(), 24, seed=0))


def scorer(
    pick: Callable[[Question], int | None],
) -> Callable[[Sequence[Question]], list[Answer]]:
    """Return what answers with the letter at `pick`; None: all are level."""

    def answered(question: Question) -> Answer:
        best = pick(question)
        logp = tuple(-1.0 if i == best else -2.0 for i in range(len(LETTERS)))
        return Answer(
            question=question.id, logp=logp, tokens=(1,) * 4, argmax=(False,) * len(LETTERS)
        )

    return lambda questions: [answered(question) for question in questions]


def options(question: Question) -> list[str]:
    return [line[3:] for line in question.prompt.split("\n")[1:-1]]


def test_who_knows_the_answers_passes() -> None:
    found = judged(QUESTIONS, scorer(lambda question: question.right))
    assert found.passes and (found.rate, found.accuracy) == (1, 1)
    assert found.entropy == pytest.approx(2)


def test_who_is_wrong_but_means_it_passes() -> None:
    found = judged(
        QUESTIONS, scorer(lambda question: options(question).index(min(options(question))))
    )
    assert found.passes and found.rate == 1
    assert found.accuracy is not None and found.accuracy < 0.7


def test_who_likes_a_letter_fails_and_the_entropy_shows_it() -> None:
    found = judged(QUESTIONS, scorer(lambda _: 0))
    assert not found.passes
    assert (found.rate, found.entropy, found.accuracy) == (0, 0, 0.25)
    assert "0 of 24" in found.why and "80%" in found.why


def test_who_is_undecided_fails() -> None:
    found = judged(QUESTIONS, scorer(lambda _: None))
    assert not found.passes and (found.rate, found.entropy, found.accuracy) == (0, 0, 0)


def test_luck_is_not_enough() -> None:
    generator = random.Random(0)
    found = judged(QUESTIONS, scorer(lambda _: generator.randrange(4)))
    assert not found.passes and found.rate is not None and found.rate < 0.2


def test_a_tokenizer_without_letters_is_not_even_asked() -> None:
    def never(_: Sequence[Question]) -> list[Answer]:
        raise AssertionError("asked")

    found = check(QUESTIONS, tokenizer(), never)
    assert not found.passes and "does not tell A, B, C and D apart" in found.why
    assert found.metrics() == []


def test_a_random_model_with_letters_fails() -> None:
    forms = [line for q in QUESTIONS for line in (q.prompt, *q.candidates)]
    letters = build_tokenizer([*forms, "A . B . C . D . Answer :"], length=512)
    model = cast(Any, tiny("llama"))
    model.resize_token_embeddings(len(letters))
    model.config.max_position_embeddings = 512
    found = check(QUESTIONS[:6], letters, lambda questions: score(model, letters, questions))
    assert not found.passes and found.n == 6
    assert [m.measure for m in found.metrics()] == ["consistency", "letter_entropy", "accuracy"]


def test_a_prompt_that_is_too_long_is_a_reason() -> None:
    forms = [line for q in QUESTIONS for line in (q.prompt, *q.candidates)]
    letters = build_tokenizer([*forms, "A . B . C . D . Answer :"], length=9)
    found = check(
        QUESTIONS, letters, lambda questions: score(tiny("llama"), letters, questions)
    )
    assert not found.passes and "tokens" in found.why


def test_what_is_kept_is_read_again() -> None:
    found = judged(QUESTIONS, scorer(lambda question: question.right))
    assert Letters.of(found.to_json()) == found
    assert not Letters.of(None).passes


def test_entropy_by_hand() -> None:
    assert entropy([0, 0, 1, 1]) == pytest.approx(1)
    assert entropy([]) == 0
