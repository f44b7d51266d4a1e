"""Causal tracing: what must be zero is, what must be all is, and nothing is left behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ksmith.lm.text import encode
from ksmith.locate import Effect, Trace, figure, trace
from ksmith.locate.trace import POSITIONS, SITES
from ksmith.records import Statement, UserError
from tests.lm.models import CONFIGS, LAYERS, SUBJECTS, TEMPLATES, tiny, tokenizer


def speaker(kind: str) -> Any:
    """Return a random model that says words: tokens that stand for nothing have logit 0."""
    model: Any = tiny(kind)
    rows = model.get_output_embeddings().weight
    rows[:2] = 0
    rows[len(tokenizer()) :] = 0
    return model


def said(model: Any) -> list[Statement]:
    """Return statements whose object is what the model says anyway: facts that it knows."""
    facts: list[Statement] = []
    for template in TEMPLATES:
        for subject in SUBJECTS:
            prompt = template.replace("{}", subject)
            best = int(
                model(input_ids=encode(tokenizer(), [prompt]).ids).logits[0, -1].argmax()
            )
            word = tokenizer().decode([best], skip_special_tokens=True).strip()
            fact = Statement(subject=subject, relation="r", object=word, template=template)
            if word and encode(tokenizer(), [prompt], [word]).ids[0, -1] == best:
                facts.append(fact)
    assert len(facts) > 2
    return facts[:8]


def effects(found: Trace) -> dict[tuple[str, int, str], Effect]:
    return {(effect.site, effect.layer, effect.position): effect for effect in found.effects}


@pytest.fixture(scope="module")
def traced() -> Trace:
    model: Any = speaker("qwen3")
    return trace(model, tokenizer(), said(model), 0)


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_site_of_every_architecture(kind: str) -> None:
    model: Any = speaker(kind)
    facts = said(model)
    ids = encode(tokenizer(), [facts[0].prompt]).ids
    before = model(input_ids=ids).logits
    found = trace(model, tokenizer(), facts, 0, draws=2)
    assert len(found.effects) == len(SITES) * LAYERS * len(POSITIONS)
    assert {effect.n for effect in found.effects} == {found.n} == {len(facts)}
    assert all(effect.low <= effect.value <= effect.high for effect in found.effects)
    # The last block's output at the last token decides everything.
    whole = effects(found)["block", LAYERS - 1, "last"].value
    assert whole == pytest.approx(found.clean - found.corrupted, abs=1e-5)
    assert torch.equal(model(input_ids=ids).logits, before)  # no hook is left behind


def test_the_last_block_of_the_subject_is_too_late(traced: Trace) -> None:
    by_place = effects(traced)
    for site in SITES:
        assert by_place[site, LAYERS - 1, "subject_last"].value == pytest.approx(0, abs=1e-6)


def test_a_dead_mlp_carries_nothing(traced: Trace) -> None:
    model: Any = speaker("qwen3")
    model.model.layers[1].mlp.down_proj.weight.zero_()
    by_place = effects(trace(model, tokenizer(), said(model), 0))
    assert all(by_place["mlp", 1, position].value == 0 for position in POSITIONS)
    assert any(effects(traced)["mlp", 1, position].value != 0 for position in POSITIONS)


def test_without_attention_the_subjects_tokens_carry_nothing() -> None:
    model: Any = speaker("qwen3")
    for block in model.model.layers:
        block.self_attn.o_proj.weight.zero_()
    facts = [fact for fact in said(model) if not fact.template.endswith("{}")]
    found = trace(model, tokenizer(), facts, 0)
    assert found.clean == pytest.approx(found.corrupted, abs=1e-6)
    assert all(abs(effect.value) < 1e-6 for effect in found.effects)
    assert found.flat


@pytest.mark.parametrize(("best", "flat"), [(0.049, True), (0.051, False)])
def test_the_peak_is_an_mlp_at_the_subjects_last_token(best: float, flat: bool) -> None:
    def effect(site: Any, layer: int, position: Any, value: float) -> Effect:
        return Effect(
            site=site, layer=layer, position=position, value=value, low=0.01, high=0.09, n=60
        )

    found = Trace(
        effects=(
            effect("mlp", 0, "subject_last", 0.02),
            effect("mlp", 1, "subject_last", best),
            effect("mlp", 2, "last", 0.9),
            effect("block", 3, "subject_last", 0.8),
        ),
        clean=0.9,
        corrupted=0.1,
        n=60,
        asked=60,
        noise=1.0,
        draws=3,
    )
    assert found.peak.layer == 1
    assert found.flat == flat
    assert (found.warning() is not None) == flat
    if flat:
        assert "layer 1 adds most, 0.049 [0.010, 0.090] over 60 facts" in (
            found.warning() or ""
        )


def test_unknown_facts_are_left_out() -> None:
    model: Any = speaker("gpt2")
    facts = said(model)
    other = ["falcon", "raven"]
    wrong = [
        Statement(
            subject=fact.subject,
            relation="r",
            object=other[fact.object == other[0]],
            template=fact.template,
        )
        for fact in facts
    ]
    found = trace(model, tokenizer(), [*facts, *wrong], 0)
    assert (found.n, found.asked) == (len(facts), 2 * len(facts))
    with pytest.raises(UserError, match=f"the model knows 0 of {len(wrong)} facts"):
        trace(model, tokenizer(), wrong, 0)


def test_the_seed_decides_and_nothing_else(traced: Trace) -> None:
    model: Any = speaker("qwen3")
    facts = said(model)
    state = torch.random.get_rng_state()
    assert trace(model, tokenizer(), facts, 0) == traced
    assert trace(model, tokenizer(), facts, 1) != traced
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_survives_json(traced: Trace) -> None:
    assert Trace.from_dict(json.loads(json.dumps(traced.to_dict()))) == traced


def test_the_figure_is_a_picture(traced: Trace, tmp_path: Path) -> None:
    figure(traced, tmp_path / "trace.png")
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")
