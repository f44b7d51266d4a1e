"""On a GPU methods, scores and second moments are what they are on a processor."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from ksmith.edit import EDITORS
from ksmith.lm import delta as deltas
from ksmith.lm.delta import applied
from ksmith.lm.moments import second_moments
from ksmith.lm.score import score
from ksmith.records import Question
from ksmith.settings import method as settings_of
from tests.lm.models import OBJECTS, SUBJECTS, TEMPLATES, tiny, tokenizer
from tests.methods import (
    EVERY,
    FEWER,
    assert_close,
    assert_untouched,
    assets,
    bits,
    run,
    two_draws,
)

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Multiply in float32, not in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def on_gpu(kind: str) -> Any:
    return tiny(kind).to("cuda")


def questions() -> list[Question]:
    prompts = [t.format(s) for t in TEMPLATES for s in SUBJECTS]
    return [
        Question(
            id=str(i),
            draw=0,
            request="",
            probe="efficacy",
            set="target",
            prompt=prompt,
            candidates=OBJECTS[i % 3 :],
            right=0,
            right_before=0,
            rival=1,
            subject=prompt,
            fact="",
        )
        for i, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_method_gives_what_it_gives_on_a_processor(name: str, kind: str) -> None:
    model = on_gpu(kind)
    before = bits(model)
    expected = run(name, kind, tiny(kind), two_draws())
    found = run(name, kind, model, two_draws())
    assert_untouched(model, before)
    for one, other in zip(expected, found, strict=True):
        here = {key: deltas.dense(block).cpu() for key, block in other.delta.items()}
        assert_close(one.delta, here, 1e-2)
    with applied(model, found[0].delta):
        assert any(not torch.equal(w, before[n]) for n, w in model.named_parameters())
    assert_untouched(model, before)


@pytest.mark.parametrize("name", EDITORS)
def test_a_sequence_goes_on_with_state_from_the_disk(name: str) -> None:
    model = on_gpu("llama")
    hp = settings_of(name, FEWER[name])
    first, second = two_draws()
    given = assets("llama")
    made = EDITORS[name](model, [first], hp, given)[0]
    kept = {key: tensor.cpu() for key, tensor in made.state.items()}
    with applied(model, made.delta):
        there = EDITORS[name](model, [second], hp, replace(given, state=made.state))[0]
        back = EDITORS[name](model, [second], hp, replace(given, state=kept))[0]
    assert there.delta.keys() == back.delta.keys()
    for key in there.delta:
        assert torch.equal(deltas.dense(there.delta[key]), deltas.dense(back.delta[key]))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text"])
def test_scores_are_those_of_a_processor(kind: str) -> None:
    there = score(on_gpu(kind), tokenizer(), questions())
    for one, other in zip(score(tiny(kind), tokenizer(), questions()), there, strict=True):
        assert one.logp == pytest.approx(other.logp, abs=1e-3, rel=1e-4)
        assert one.generated == other.generated


def test_second_moments_are_those_of_a_processor() -> None:
    said = [f"{t.format(s)} {o} ." for t in TEMPLATES for s in SUBJECTS for o in OBJECTS]
    model: Any = tiny("llama")
    here, count = second_moments(model, tokenizer(), said, 2000)
    there, other = second_moments(on_gpu("llama"), tokenizer(), said, 2000)
    assert count == other
    for layer, moment in here.items():
        assert torch.allclose(moment, there[layer].cpu(), rtol=1e-4, atol=1e-6)
