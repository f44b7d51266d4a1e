"""What is looked at of a model before and after an update."""

from typing import Any

import pytest
import torch

from ksmith.lm import drift
from ksmith.lm.delta import Delta, LowRank, applied
from ksmith.lm.geometry import Spectrum
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from ksmith.records import Question, Set
from tests.lm.models import CONFIGS, LAYERS, SUBJECTS, TEMPLATES, WIDTH, tiny, tokenizer


def question(draw: int, number: int, of: Set, fact: str = "") -> Question:
    subject = SUBJECTS[number % len(SUBJECTS)]
    return Question(
        id=f"{draw}.{of}.{number}",
        draw=draw,
        request=f"{draw}.0",
        probe="efficacy",
        set=of,
        prompt=TEMPLATES[number % len(TEMPLATES)].replace("{}", subject),
        candidates=("falcon",),
        right=0,
        right_before=0,
        rival=None,
        subject=subject,
        fact=fact or f"{subject} {draw} {number}",
    )


def asked() -> list[Question]:
    sets: tuple[Set, ...] = ("target", "neighbour")
    return [question(draw, i, of) for draw in range(3) for of in sets for i in range(4)]


def change(model: Any, scale: float = 0.3) -> Delta:
    """Return a rank-one change of one matrix, in its own layout."""
    name = sites(model).weight(1)
    out, into = model.get_parameter(name).shape
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(n, 1, generator=generator) for n in (out, into))
    return {name: LowRank(scale * left, right.T)}


# --- what is looked at ------------------------------------------------------------------------


def test_half_of_the_facts_should_change_and_all_draws_have_their_turn() -> None:
    found = drift.chosen(asked(), 6, seed=0)
    assert [q.set for q in found] == ["target"] * 3 + ["neighbour"] * 3
    assert sorted(q.draw for q in found) == [0, 0, 1, 1, 2, 2]
    assert found == drift.chosen(asked(), 6, seed=0)
    assert found != drift.chosen(asked(), 6, seed=1)


def test_a_fact_is_looked_at_once_and_texts_and_open_questions_never() -> None:
    mine = [question(0, 0, "target", "one"), question(0, 1, "target", "one")]
    assert len(drift.chosen([*mine, question(0, 2, "open")], 10, seed=0)) == 1


@pytest.mark.parametrize("kind", CONFIGS)
def test_prompts_of_many_lengths_are_seen_as_one_by_one(kind: str) -> None:
    model: Any = tiny(kind)
    prompts = [q.prompt for q in asked()[:8]] + ["In Mira Tolu one sees the raven . In Oss"]
    together = drift.look(model, encode(tokenizer(), prompts), batch_tokens=30)
    assert together.hidden.shape == (LAYERS, len(prompts), WIDTH)
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([tokenizer()(prompt)["input_ids"]])
        out = model(input_ids=ids, output_hidden_states=True, use_cache=False)
        textbook = out.logits[0, -1].double().log_softmax(-1)
        torch.testing.assert_close(together.logp[i].double(), textbook, rtol=1e-4, atol=1e-5)
        # Block 0 goes into block 1 as it is; the last is seen before the final norm.
        torch.testing.assert_close(
            together.hidden[0, i], out.hidden_states[1][0, -1], rtol=1e-4, atol=1e-5
        )


def test_no_prompts() -> None:
    model: Any = tiny("llama")
    was = drift.before(model, tokenizer(), [])
    assert list(drift.behaviour(model, was, 0)) == []


# --- behaviour --------------------------------------------------------------------------------


def test_nothing_moves_without_an_update() -> None:
    model: Any = tiny("llama")
    was = drift.before(model, tokenizer(), drift.chosen(asked(), 12, seed=0))
    rows = list(drift.behaviour(model, was, 0))
    assert {row.value for row in rows if row.measure == "kl"} == {0.0}
    assert [row.value for row in rows if row.measure == "cka"] == pytest.approx([1] * LAYERS)


def test_an_update_moves_what_lies_above_it_and_counts_its_own_questions() -> None:
    model: Any = tiny("llama")
    was = drift.before(model, tokenizer(), drift.chosen(asked(), 12, seed=0))
    with applied(model, change(model)):
        rows = list(drift.behaviour(model, was, 1))
    apart = [row for row in rows if row.measure == "kl"]
    assert {row.question for row in apart} == {q.id for q in was.questions if q.draw == 1}
    assert min(row.value for row in apart) > 0
    below, at, above = (row.value for row in rows if row.measure == "cka")
    assert below == pytest.approx(1)  # layer 0 lies below the matrix that was changed
    assert max(at, above) < 0.999


def test_states_are_looked_at_after_few_draws_and_divergence_after_all() -> None:
    model: Any = tiny("llama")
    every = [question(draw, i, "target") for draw in range(12) for i in range(2)]
    was = drift.before(model, tokenizer(), every)
    assert len(was.states) <= drift.STATES
    with applied(model, change(model)):
        rows = [row for draw in range(12) for row in drift.behaviour(model, was, draw)]
    assert {row.draw for row in rows if row.measure == "cka"} == was.states
    found = {row.question: row.value for row in rows if row.measure == "kl"}
    assert set(found) == {q.id for q in every}
    # Two questions of one prompt, looked at in a full pass and in one of a draw alone.
    assert found["0.target.0"] == pytest.approx(found["1.target.0"], rel=1e-4)


# --- matrices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_left_is_what_a_matrix_writes_in_any_layout(kind: str) -> None:
    """The output is turned alone: W becomes T W, in GPT-2's layout W^T T^T."""
    model: Any = tiny(kind)
    s, name = sites(model), sites(model).weight(0)
    W = s.maths(model.get_parameter(name)).double()
    turn, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=W.dtype, generator=generator()))
    update: Delta = {name: s.maths(turn @ W - W).float()}
    rows = {row.measure: row for row in drift.matrices(model, [update], {})}
    assert rows["rotation_right"].value < 1e-2
    assert rows["scaling"].value == pytest.approx(1, abs=1e-3)
    assert (rows["scaling"].layer, rows["scaling"].parameter) == (0, name)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_base_weights_are_decomposed_once() -> None:
    model: Any = tiny("llama")
    known: dict[str, Spectrum] = {}
    first = list(drift.matrices(model, [change(model)], known))
    (kept,) = known.values()
    assert list(drift.matrices(model, [change(model)], known)) == first
    assert next(iter(known.values())) is kept


def test_sizes_and_vectors() -> None:
    model: Any = tiny("gpt2")
    name = "transformer.h.0.ln_1.bias"
    update: Delta = {name: torch.ones(WIDTH)}
    found = {row.measure: row.value for row in drift.sizes(model, update, draw=0)}
    weight = float(model.get_parameter(name).double().norm())
    assert found == {"norm": pytest.approx(4), "relative": pytest.approx(4 / weight)}
    assert list(drift.matrices(model, [update], {})) == []  # a vector has no directions
