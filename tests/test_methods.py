"""The contract of a method, for each method on a tiny random model of each architecture."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ksmith.edit import EDITORS
from ksmith.lm import delta as deltas
from ksmith.lm.adapters import linear
from ksmith.lm.assets import Result
from ksmith.lm.delta import Delta, applied
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from ksmith.records import Request
from ksmith.settings import METHODS
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from tests.lm.models import (
    CONFIGS,
    LAYERS,
    OBJECTS,
    tiny,
    tokenizer,
)
from tests.methods import (
    ALIKE_IN_KIND,
    EVERY,
    FEWER,
    ONE_BY_ONE,
    REPRESENTATIVE,
    SEARCHING,
    SHORT,
    assert_close,
    assert_untouched,
    assets,
    easy,
    knowing,
    lent,
    logp,
    long,
    request,
    run,
    serves,
    twins,
    two_draws,
)


def test_registries_are_complete() -> None:
    families = {"edit": EDITORS, "unlearn": UNLEARNERS}
    for name, settings in METHODS.items():
        assert name in families[settings.family]
        assert "unlearn" in settings.tasks and set(settings.tasks) <= {"edit", "unlearn"}
    assert set(EDITORS) | set(UNLEARNERS) == set(METHODS)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_contract(name: str, kind: str, tmp_path: Path) -> None:
    with lent(kind) as (model, before):
        task = serves(name)
        results = run(name, kind, model, [two_draws(task)[0], [long(task)]])
        assert_untouched(model, before)
        alone = _company_and_order_change_nothing(name, kind, model, results)
        if kind in REPRESENTATIVE:  # what is drawn depends on the method alone
            _same_seed_same_delta(alone, run_alone(name, kind, tiny(kind)))
        _only_named_parameters_move(model, before, results[0])
        _bits_come_back(model, before, results[0])
    _survives_the_disk(results, tmp_path / "delta.safetensors")


def run_alone(name: str, kind: str, model: nn.Module) -> list[Result]:
    """Return what the first draw gives alone, its requests the other way round where they may."""
    draw = two_draws(serves(name))[0]
    return run(name, kind, model, [draw if name in ONE_BY_ONE else draw[::-1]])


def _company_and_order_change_nothing(
    name: str, kind: str, model: nn.Module, together: list[Result]
) -> list[Result]:
    """A draw alone gives what it gives among others, whose rows are longer, in any order."""
    alone = run_alone(name, kind, model)
    assert_close(together[0].delta, alone[0].delta, 2e-3)
    return alone


def _same_seed_same_delta(results: list[Result], again: list[Result]) -> None:
    """To the last bit, on a model that nothing was done with before."""
    for one, other in zip(results, again, strict=True):
        assert one.delta.keys() == other.delta.keys()
        for name in one.delta:
            assert torch.equal(deltas.dense(one.delta[name]), deltas.dense(other.delta[name]))


def _only_named_parameters_move(
    model: nn.Module, before: dict[str, Tensor], result: Result
) -> None:
    matrices = [linear(model, i) for i in range(LAYERS)]
    assert result.delta
    assert result.delta.keys() <= {
        f"{name}.weight" for parts in matrices for names in parts.values() for name in names
    }
    with applied(model, result.delta):
        for name, weight in model.named_parameters():
            assert torch.equal(weight, before[name]) == (name not in result.delta), name


def _bits_come_back(model: nn.Module, before: dict[str, Tensor], result: Result) -> None:
    with pytest.raises(RuntimeError, match="in the block"), applied(model, result.delta):
        raise RuntimeError("in the block")
    assert_untouched(model, before)


def _survives_the_disk(results: list[Result], path: Path) -> None:
    deltas.save([result.delta for result in results], path, {"method": "x"})
    read, metadata = deltas.load(path)
    assert metadata["method"] == "x"
    for one, other in zip(results, read, strict=True):
        for name in one.delta:
            assert torch.equal(deltas.dense(one.delta[name]), deltas.dense(other[name]))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_what_is_asked_for_becomes_more_likely(name: str, kind: str) -> None:
    """The new object, or the neutral answer; an unlearner pushes the old one down, too.

    One fact is edited and the other unlearned; in every second architecture, the other way round.
    """
    turn = list(CONFIGS).index(kind) % 2
    asked = [request(turn, 0, serves(name)), request(1 - turn, 0, "unlearn")]
    known = knowing(kind, (0, 0), (1, 0)) if name in ALIKE_IN_KIND else {}
    with lent(kind) as (model, _), applied(model, known):
        results = run(name, kind, model, [[one] for one in asked], **easy(name, kind))
        for result, one in zip(results, asked, strict=True):
            old, new = logp(model, one, {})
            old_after, new_after = logp(model, one, result.delta)
            assert name in EDITORS or old_after < old, one
            assert (name in UNLEARNERS and one.kind == "unlearn") or new_after > new, one


def from_uniform(model: nn.Module, asked: Request, delta: Delta) -> tuple[float, float]:
    """Return KL(uniform || p) over the answers asked for: p of all texts, p among these."""
    with applied(model, delta):
        said = torch.tensor([logp(model, replace(asked, new=n), {})[1] for n in asked.targets])
    floor = math.log(len(said))
    return float(-said.mean() - floor), float(-said.log_softmax(0).mean() - floor)


# One of those that search for a value, and one of those that descend, in the other layout, too.
ALIKE = [*((name, "llama") for name in EDITORS), ("memit", "gpt2"), ("ft", "gpt2")]


@pytest.mark.parametrize(("name", "kind"), ALIKE)
def test_a_uniform_target_makes_answers_alike(name: str, kind: str) -> None:
    """On a model that knows the old answer.

    Abstaining makes them alike among themselves, too, for none is said any more, but not likely.
    """
    model = tiny(kind)
    abstain = request(0, 0, "unlearn")
    alike = replace(abstain, new=OBJECTS[1], others=(OBJECTS[2], abstain.old))
    old = replace(abstain, kind="edit", old=OBJECTS[1], new=abstain.old)
    more = {**easy(name, kind), "steps": 25}
    if name in SEARCHING:
        more |= {"clamp": 4.0, "lr": 0.2}
    with applied(model, run("ft_l", kind, model, [[old]], steps=6)[0].delta):
        after, instead = (
            run(name, kind, model, [[asked]], **more)[0].delta for asked in (alike, abstain)
        )
        before, now, then = (from_uniform(model, alike, d) for d in ({}, after, instead))
    assert now[0] < before[0] and now[0] < then[0]
    assert now[1] < before[1]


@pytest.mark.parametrize("name", SEARCHING)
def test_what_is_to_be_kept_is_changed_less(name: str) -> None:
    """Of a request's own prompts alone: those of another request make no difference."""
    model, asked, prompt = tiny("llama"), request(0, 0), "In {} one sees the"
    ids = encode(tokenizer(), [prompt.replace("{}", asked.subject)]).ids
    with torch.no_grad():
        before = model(input_ids=ids).logits[0, -1].log_softmax(-1)
    apart: list[float] = []
    for kept in ({}, {asked.fact: [prompt]}, {request(1, 0).fact: [prompt]}):
        given = replace(assets("llama"), kl_template=None, kept=kept)
        strong = {"kl_weight": 3000.0, "steps": 12}
        hp = settings_of(name, {**FEWER[name], **easy(name, "llama"), **strong})
        delta = EDITORS[name](model, [[asked]], hp, given)[0].delta
        with applied(model, delta), torch.no_grad():
            now = model(input_ids=ids).logits[0, -1].log_softmax(-1)
        apart.append(float((now.exp() * (now - before)).sum()))
    assert apart[1] < 0.5 * apart[0]
    assert apart[2] == apart[0]


@pytest.mark.parametrize("name", METHODS)
def test_no_requests_no_delta(name: str) -> None:
    model = tiny("llama")
    assert run(name, "llama", model, []) == []
    assert [result.delta for result in run(name, "llama", model, [[], []])] == [{}, {}]


@pytest.mark.parametrize("name", METHODS)
def test_both_layouts_give_the_same_edited_function(name: str) -> None:
    straight, conv = twins()
    ids = torch.arange(1, 9)[None]
    assert torch.allclose(straight(ids).logits, conv(ids).logits, atol=1e-4)
    # One holds queries, keys and values in one matrix, by whose size its step goes.
    more: dict[str, Any] = {"trainable": "mlp"} if name in UNLEARNERS else {}
    more = {"modules": ["mlp_in", "mlp_out"]} if name == "lora" else more
    one = run(name, "gpt_neo", straight, two_draws(serves(name)), **more)[0].delta
    other = run(name, "gpt_neo", conv, two_draws(serves(name)), **more)[0].delta
    for layer in range(LAYERS):
        key = sites(conv).weight(layer)
        assert (key in one) == (key in other)
        if key in one:
            a, b = deltas.dense(one[key]), deltas.dense(other[key]).T
            assert (a - b).norm() < 2e-3 * a.norm()


@pytest.mark.parametrize(("name", "kind"), SHORT)
def test_bfloat16(name: str, kind: str) -> None:
    with lent(kind, torch.bfloat16) as (model, before):
        results = run(name, kind, model, two_draws(serves(name))[1:])
        assert_untouched(model, before)
        assert results[0].delta
        for block in results[0].delta.values():
            assert deltas.dense(block).dtype == torch.float32
            assert deltas.dense(block).isfinite().all()
        with applied(model, results[0].delta):
            assert all(weight.dtype == torch.bfloat16 for weight in model.parameters())
