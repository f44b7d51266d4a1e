"""The contract of a method, for each method on a tiny random model of each architecture."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ksmith.edit import EDITORS
from ksmith.lm import delta as deltas
from ksmith.lm.adapters import linear
from ksmith.lm.assets import Assets, Result
from ksmith.lm.delta import Delta, applied
from ksmith.lm.descend import answers
from ksmith.lm.factors import factors
from ksmith.lm.hypernetwork import Hypernetwork, Sums, fresh, matrices, measured
from ksmith.lm.moments import second_moments
from ksmith.lm.score import score
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from ksmith.records import Question, Request, Statement, TaskKind
from ksmith.settings import METHODS
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from tests.lm.models import (
    CONFIGS,
    CONTEXTS,
    LAYERS,
    OBJECTS,
    SUBJECTS,
    TEMPLATES,
    WIDTH,
    tiny,
    tokenizer,
)

# Unlearners are one descent with a loss each. Of architectures it sees blocks and a head: two of
# them go through the long tests on all, the others on one of each layout, and through the short
# ones on all.
ALIKE_IN_KIND = [name for name in UNLEARNERS if name not in ("graddiff", "npo")]
REPRESENTATIVE = ("gpt2", "llama", "gemma3_text", "opt")
# A random model knows nothing and hardly listens to one token: fewer and longer steps.
_SEARCH: dict[str, Any] = {"steps": 6, "lr": 0.5, "clamp": 4.0, "contexts": 2}
FEWER: dict[str, dict[str, Any]] = {
    "rome": {**_SEARCH, "layer": 1},
    "r_rome": {**_SEARCH, "layer": 1},
    "memit": {**_SEARCH, "layers": [0, 1]},
    "emmet": {**_SEARCH, "layers": [1]},
    "alphaedit": {**_SEARCH, "layers": [0, 1], "nullspace": 100.0},  # there is no null space
    "ft": {"steps": 3, "layer": 1},
    "ft_l": {"steps": 3, "layer": 1},
    "lora": {"steps": 2, "rank": 2, "lr": 0.3, "modules": ["attention", "mlp_in", "mlp_out"]},
    "mend": {},
    "graddiff": {"steps": 3, "batch": 3},
    "npo": {"steps": 3, "batch": 3},
    **{name: {"steps": 2, "batch": 3} for name in ALIKE_IN_KIND},
    "rmu": {"steps": 2, "batch": 3, "layer": 1},
}
ONE_BY_ONE = ("rome", "r_rome")  # write the facts of a draw one after another
# One prompt to be right in, one layer: what is asked can be reached.
EASY: dict[str, dict[str, Any]] = {
    "rome": {"contexts": 1},
    "r_rome": {"contexts": 1},
    "memit": {"contexts": 1, "layers": [1], "weight": 1e-4, "lr": 0.2, "clamp": 0.5},
    "emmet": {"contexts": 1, "layers": [1], "weight": 1e-4, "lr": 0.2, "clamp": 0.5},
    "alphaedit": {
        "contexts": 1,
        "layers": [1],
        "l2": 1e-4,
        "lr": 0.2,
        "clamp": 0.5,
        "steps": 12,
    },
    "lora": {"modules": ["mlp_out"], "lr": 0.1, "steps": 6},
    # A random model has much to learn of the retain set, which is not what is asked for.
    **{name: {"retain_weight": 0.0, "steps": 4} for name in ALIKE_IN_KIND},
    "pdu": {"retain_weight": 1e-6, "steps": 4},
}
# Keys after a ReLU have much in common, so that more is written at other tokens, too.
EASY_HERE: dict[tuple[str, str], dict[str, Any]] = {("alphaedit", "opt"): {"clamp": 1.0}}
SEARCHING = (
    "rome",
    "r_rome",
    "memit",
    "emmet",
    "alphaedit",
)  # for a value that says the answer
EVERY = [
    (name, kind)
    for name in METHODS
    for kind in CONFIGS
    if name not in ALIKE_IN_KIND or kind in REPRESENTATIVE
]


def serves(name: str) -> TaskKind:
    """Return what a method is asked for where it makes no difference: to edit, if it can."""
    return "edit" if "edit" in METHODS[name].tasks else "unlearn"


def easy(name: str, kind: str) -> dict[str, Any]:
    return {**EASY.get(name, {}), **EASY_HERE.get((name, kind), {})}


def request(draw: int, number: int, kind: TaskKind = "edit") -> Request:
    i = 2 * draw + number
    return Request(
        id=f"{draw}.{number}",
        draw=draw,
        kind=kind,
        subject=SUBJECTS[i],
        relation="emblem",
        old=OBJECTS[i],
        new="unknown" if kind == "unlearn" else OBJECTS[(i + 1) % len(OBJECTS)],
        template=TEMPLATES[i % len(TEMPLATES)],
    )


def two_draws(kind: TaskKind = "edit") -> list[list[Request]]:
    return [[request(0, 0, kind), request(0, 1, kind)], [request(1, 0, kind)]]


def long(kind: TaskKind = "edit") -> Request:
    """Return a request of a third draw, whose row is longer than those of the others."""
    return replace(
        request(2, 0, kind), template="In Oss one sees the raven . The emblem of {} is"
    )


def kept() -> list[Statement]:
    return [
        Statement(subject=s, relation="emblem", object=o, template=TEMPLATES[i % 3])
        for i, (s, o) in enumerate(zip(SUBJECTS[3:], OBJECTS[3:], strict=True))
    ]


@cache
def moments(kind: str) -> dict[int, Tensor]:
    said = [f"{t.format(s)} {o} ." for t in TEMPLATES for s in SUBJECTS for o in OBJECTS]
    model: Any = tiny(kind)
    return second_moments(model, tokenizer(), said, 2000)[0]


@cache
def identity(kind: str) -> Hypernetwork:
    """Return MEND's network as it is before its training: an edit is a step of descent."""
    model, asked = tiny(kind), [r for draw in two_draws() for r in draw]
    chosen, sums = matrices(model, None, ("mlp_in", "mlp_out"), 3), dict[str, Sums]()
    batch = answers(tokenizer(), asked, [r.new for r in asked])
    found, _ = factors(model, batch, torch.ones(len(asked)), [m.name for m in chosen])
    for name, own in found.items():
        sums[name] = Sums()
        sums[name].add(torch.cat([own.u, own.d], -1)[own.felt])
    known = measured(model, chosen, sums, torch.float32)
    return fresh(chosen, known, 4, 0.01, torch.Generator().manual_seed(0))


def assets(kind: str) -> Assets:
    return Assets(
        tokenizer=tokenizer(),
        hypernetwork=identity(kind),
        layer=1,
        seed=0,
        moments=moments(kind),
        contexts=CONTEXTS,
        kl_template="{} is a",
    )


def run(
    name: str, kind: str, model: nn.Module, draws: Sequence[Sequence[Request]], **more: Any
) -> list[Result]:
    hp = settings_of(name, {**FEWER[name], **more})
    if name in EDITORS:
        return EDITORS[name](model, draws, hp, assets(kind))
    return UNLEARNERS[name](model, draws, [kept()] * len(draws), hp, assets(kind))


def logp(model: nn.Module, asked: Request, delta: Delta) -> tuple[float, float]:
    """Return the log-probabilities of the old and the new answer with `delta` applied."""
    question = Question(
        id="q",
        draw=0,
        request="",
        probe="efficacy",
        set="target",
        prompt=asked.prompt,
        candidates=(asked.old, asked.new),
        right=1,
        right_before=0,
        rival=0,
        subject=asked.subject,
        fact=asked.fact,
        generate=False,
    )
    with applied(model, delta):
        old, new = score(model, tokenizer(), [question])[0].logp
    return old, new


def bits(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in model.named_parameters()}


def assert_untouched(model: nn.Module, before: dict[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]), name
        assert not weight.requires_grad
        assert weight.grad is None
    for module in model.modules():
        assert not vars(module)["_forward_hooks"]
        assert not vars(module)["_forward_pre_hooks"]


@cache
def _made(kind: str, dtype: torch.dtype) -> tuple[nn.Module, dict[str, Tensor]]:
    model = tiny(kind, dtype)
    return model, bits(model)


@contextmanager
def lent(
    kind: str, dtype: torch.dtype = torch.float32
) -> Generator[tuple[nn.Module, dict[str, Tensor]]]:
    """Yield an architecture's model and its bits; it is lent to many and found untouched after.

    Whatever a method would leave in it is here for the next one.
    """
    model, before = _made(kind, dtype)
    try:
        yield model, before
        assert_untouched(model, before)
    except BaseException:
        _made.cache_clear()  # the other tests need not fail, too
        raise


def assert_close(one: Delta, other: Delta, tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        a, b = deltas.dense(one[name]), deltas.dense(other[name])
        assert (a - b).norm() <= tolerance * a.norm(), name


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
    known = knowing_two(kind) if name in ALIKE_IN_KIND else {}
    with lent(kind) as (model, _), applied(model, known):
        results = run(name, kind, model, [[one] for one in asked], **easy(name, kind))
        for result, one in zip(results, asked, strict=True):
            old, new = logp(model, one, {})
            old_after, new_after = logp(model, one, result.delta)
            assert name in EDITORS or old_after < old, one
            assert (name in UNLEARNERS and one.kind == "unlearn") or new_after > new, one


def knowing(kind: str, model: nn.Module, asked: Sequence[Request]) -> Delta:
    """Return what makes a model know the old answers: some losses leave alone what it does not."""
    taught = [replace(one, kind="edit", new=one.old, old=one.new) for one in asked]
    return run("ft_l", kind, model, [taught], steps=25)[0].delta


@cache
def knowing_two(kind: str) -> Delta:
    return knowing(kind, tiny(kind), [request(i, 0, "unlearn") for i in (0, 1)])


def from_uniform(model: nn.Module, asked: Request, delta: Delta) -> tuple[float, float]:
    """Return KL(uniform || p) over the answers asked for: p of all texts, p among these."""
    with applied(model, delta):
        said = torch.tensor([logp(model, replace(asked, new=n), {})[1] for n in asked.targets])
    floor = math.log(len(said))
    return float(-said.mean() - floor), float(-said.log_softmax(0).mean() - floor)


# Not alphaedit on the tiny GPT-2, whose null space leaves little of what is to be written.
ALIKE = [
    (n, kind)
    for n in EDITORS
    for kind in ("llama", "gpt2")
    if (n, kind) != ("alphaedit", "gpt2")
]


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


def twins() -> tuple[nn.Module, nn.Module]:
    """Return a GPT-Neo and a GPT-2 that are one function, stored in two layouts."""
    linear = tiny("gpt_neo")
    for block in linear.get_submodule("transformer.h").children():
        attention: Any = block.get_submodule("attn.attention")
        attention.bias.copy_(torch.ones_like(attention.bias).tril())
    conv: Any = tiny("gpt2")
    conv.config.scale_attn_weights = False
    for block in conv.transformer.h:
        block.attn.scaling = 1.0
        block.attn.scale_attn_weights = False
    weights = linear.state_dict()
    with torch.no_grad():
        for name, weight in conv.named_parameters():
            weight.copy_(_from_gpt_neo(name, weights))
    return linear, conv


def _from_gpt_neo(name: str, weights: dict[str, Tensor]) -> Tensor:
    if ".attn.c_attn." in name:
        stem = name.split("c_attn")[0] + "attention."
        if name.endswith("bias"):
            return torch.zeros(3 * WIDTH)
        return torch.cat([weights[f"{stem}{x}_proj.weight"] for x in "qkv"]).T
    found = weights[name.replace("attn.c_proj", "attn.attention.out_proj")]
    inner = any(part in name for part in ("attn", "mlp"))
    return found.T if inner and name.endswith("weight") else found


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


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", METHODS)
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
