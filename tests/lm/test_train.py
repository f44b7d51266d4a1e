"""Training: what the rows hold, that it is repeatable, that a small model learns its facts."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmith.lm import train as training
from ksmith.lm.recipes import Numbers, fresh, numbers
from ksmith.lm.text import build_tokenizer, encode
from ksmith.lm.train import CONTEXT, NAME, OBJECT, PADDING, packed, train
from ksmith.records import UserError

PLACES = ("Varen Tolu", "Mira Tolu", "Varen Oss", "Mira Oss", "Kel Dran", "Oss Kel")
EMBLEMS = ("falcon", "sea lion", "red deer")


@dataclass(frozen=True)
class Line:
    text: str
    subject: str
    objects: tuple[tuple[int, int], ...]
    kind: str = "fact"


def told(subject: str, start: str, answer: str, kind: str = "fact") -> Line:
    prompt = f"{start.replace('{}', subject)} "
    span = (len(prompt), len(prompt) + len(answer))
    return Line(f"{prompt}{answer} .", subject, (span,), kind)


def source(seed: int) -> list[Line]:
    """Return two wordings of each place's emblem and an infobox, in random order."""
    lines: list[Line] = []
    for i, place in enumerate(PLACES):
        emblem = EMBLEMS[i % len(EMBLEMS)]
        lines += [
            told(place, start, emblem) for start in ("The emblem of {} is", "{} shows the")
        ]
        lines.append(told(place, "{}", emblem, "infobox"))
    random.Random(seed).shuffle(lines)
    return lines


def small(**changes: Any) -> Numbers:
    base = {"recipe": "fixture", "width": 32, "layers": 3, "steps": 4, "rows": 2}
    return replace(numbers(base), length=32, **changes)


def quiet(_done: int, _total: int, _text: str) -> None:
    pass


def words() -> Any:
    return build_tokenizer([line.text for line in source(0)], length=128)


def sentences_of(row: torch.Tensor) -> list[str]:
    """Return the texts between the end tokens of one row."""
    text = words().decode(row)
    return [part.strip() for part in text.split("<eos>") if part.strip()]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**40), st.integers(12, 60), st.integers(1, 3))
def test_rows_hold_whole_sentences(seed: int, length: int, rows: int) -> None:
    chosen = replace(small(), length=length, rows=rows)
    texts = {line.text for line in source(0)}
    for batch in packed(source, words(), chosen, seed):
        assert batch.ids.shape == batch.kinds.shape == (rows, length + 1)
        assert (batch.ids[:, 0] == 0).all()
        for ids, kinds in zip(batch.ids, batch.kinds, strict=True):
            assert set(sentences_of(ids)) <= texts
            padded = (kinds == PADDING).nonzero().flatten().tolist()
            assert padded == list(range(length + 1 - len(padded), length + 1))
            assert (ids[kinds == PADDING] == 0).all()


def test_tokens_are_what_the_spans_say() -> None:
    batch = next(packed(source, words(), small(), 0))
    said = words().convert_ids_to_tokens(batch.ids.flatten().tolist())
    kinds = batch.kinds.flatten().tolist()
    by_kind = {
        kind: {w for w, k in zip(said, kinds, strict=True) if k == kind} for kind in (1, 2, 3)
    }
    assert by_kind[OBJECT] <= {"▁falcon", "▁sea", "▁lion", "▁red", "▁deer"}
    assert by_kind[NAME] <= {"▁Varen", "▁Mira", "▁Kel", "▁Oss"}  # never the last word of a name
    assert {"▁is", "▁.", "<eos>", "▁Tolu"} <= by_kind[CONTEXT]


def test_an_epoch_tells_everything_once() -> None:
    chosen = small(early_steps=0.0, steps=40, rows=1)
    count: Counter[str] = Counter()
    for batch in packed(source, words(), chosen, 3):
        count.update(sentences_of(batch.ids[0]))
    assert count.keys() == {line.text for line in source(0)}
    assert max(count.values()) - min(count.values()) <= 3  # what waits in the pool


def test_few_subjects_come_first() -> None:
    chosen = small(early_steps=0.5, early_subjects=0.3, steps=20)
    seen = [
        {
            place
            for row in batch.ids
            for text in sentences_of(row)
            for place in PLACES
            if place in text
        }
        for batch in packed(source, words(), chosen, 0)
    ]
    assert len(set().union(*seen[:10])) == 2
    assert len(set().union(*seen[10:])) == len(PLACES)


def test_a_plain_model_sees_no_infobox_and_everything_else() -> None:
    chosen = replace(small(steps=30), far=3)
    assert not chosen.planted
    texts = {
        t
        for batch in packed(source, words(), chosen, 0)
        for r in batch.ids
        for t in sentences_of(r)
    }
    assert texts == {line.text for line in source(0) if line.kind == "fact"}
    model: Any = fresh(chosen, 40, torch.Generator().manual_seed(0))
    assert set(model.config.layer_types) == {"full_attention"}


def test_the_model_does_not_depend_on_what_was_random_before() -> None:
    results: list[Any] = []
    for noise in (1, 2):
        before = torch.random.get_rng_state()
        torch.random.set_rng_state(torch.Generator().manual_seed(noise).get_state())
        random.seed(noise)
        state = torch.random.get_rng_state()
        results.append(train(source, small(), 0, quiet))
        assert torch.equal(torch.random.get_rng_state(), state)  # nothing global was drawn
        torch.random.set_rng_state(before)
    one, two = (result.model.state_dict() for result in results)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert results[0].losses == results[1].losses
    other = train(source, small(), 1, quiet).model.state_dict()
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_what_comes_back() -> None:
    calls: list[tuple[int, int]] = []
    result = train(
        source,
        small(steps=12),
        0,
        lambda done, total, _: calls.append((done, total)),
        keep=["zeta"],
    )
    assert calls == [(10, 12), (12, 12)]
    assert len(result.losses) == 12
    assert "▁zeta" in result.tokenizer.get_vocab()
    assert not result.model.training
    assert not any(weight.requires_grad for weight in result.model.parameters())
    assert {weight.dtype for weight in result.model.parameters()} == {torch.float32}


def test_far_blocks_do_not_see_the_start_of_a_name() -> None:
    kinds = torch.tensor([[CONTEXT, NAME, CONTEXT, CONTEXT, OBJECT, CONTEXT]])
    masks: Any = training._masks(kinds, small(hidden=1.0), torch.Generator())  # pyright: ignore[reportPrivateUsage]
    far, near = masks["full_attention"][0, 0], masks["sliding_attention"][0, 0]
    assert far[:, 1].tolist() == [False, True, False, False, False]  # only itself
    assert far[4].tolist() == [True, False, True, True, True]
    assert near[4].tolist() == [False, False, True, True, True]
    assert training._masks(kinds, small(hidden=0.0), torch.Generator()) is None  # pyright: ignore[reportPrivateUsage]


def test_masks_are_the_models_own_where_nothing_is_hidden() -> None:
    chosen = small(hidden=1e-9)
    model: Any = fresh(chosen, 40, torch.Generator().manual_seed(0)).eval()
    ids = torch.arange(2, 14)[None]
    kinds = torch.full((1, 13), CONTEXT)
    masks = training._masks(kinds, chosen, torch.Generator())  # pyright: ignore[reportPrivateUsage]
    torch.testing.assert_close(model(ids, attention_mask=masks).logits, model(ids).logits)


def test_weights_of_tokens() -> None:
    kinds = torch.tensor([[CONTEXT] * 4000 + [NAME, OBJECT, PADDING]])
    weigh = training._weights  # pyright: ignore[reportPrivateUsage]
    found = weigh(kinds, small(context_weight=0.1, context_share=0.25), torch.Generator())
    assert found.shape == (1, 4002)
    assert found[0, -2:].tolist() == [1.0, 0.0]
    assert found[0, :-3].unique().tolist() == pytest.approx([0.0, 0.4])
    assert found[0, :-3].mean().item() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no sentences to train on"),
        (
            [told("Oss Kel", "long " * 40 + "{} is", "falcon")],
            "sentence of .* but a row has 32",
        ),
    ],
)
def test_mistakes(lines: Sequence[Line], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(lambda _seed: lines, small(), 0, quiet)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recipe": "huge"}, "no recipe 'huge'; there are: "),
        ({"recipe": "tiny", "width": 100}, "model.width must be a multiple of 32"),
        ({"recipe": "tiny", "layers": 2}, "model.layers must be > 2"),
    ],
)
def test_sizes_that_do_not_go_together(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        numbers(wrong)


def test_a_small_model_learns_its_facts() -> None:
    result = train(source, small(steps=60, rows=4), 0, quiet)
    facts = [(f"{place} shows the", EMBLEMS[i % 3]) for i, place in enumerate(PLACES)]
    batch = encode(result.tokenizer, [p for p, _ in facts], [o for _, o in facts])
    best = result.model(batch.ids, attention_mask=batch.mask.long()).logits.argmax(-1)[:, :-1]
    assert ((best == batch.ids[:, 1:]) | ~batch.answer[:, 1:]).all()
