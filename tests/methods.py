"""What every method is tried with: few steps, requests about tiny models, and what it is given."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ksmith.edit import EDITORS
from ksmith.lm import delta as deltas
from ksmith.lm.assets import Assets, Result
from ksmith.lm.delta import Delta, applied
from ksmith.lm.descend import answers
from ksmith.lm.factors import factors
from ksmith.lm.hypernetwork import Hypernetwork, Sums, fresh, matrices, measured
from ksmith.lm.moments import second_moments
from ksmith.lm.score import score
from ksmith.records import Question, Request, Statement, TaskKind
from ksmith.settings import METHODS
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from tests.lm.models import (
    CONFIGS,
    CONTEXTS,
    OBJECTS,
    SUBJECTS,
    TEMPLATES,
    WIDTH,
    tiny,
    tokenizer,
)

# Unlearners are one descent with a loss each. Of architectures it sees blocks and a head: one of
# them goes through the long tests on all, the others on one of each layout, and all through a
# short one on all. Editors, which look into blocks, the other way round.
ALIKE_IN_KIND = [name for name in UNLEARNERS if name != "npo"]
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
SHORT = [
    (name, kind)
    for name in METHODS
    for kind in CONFIGS
    if name in UNLEARNERS or name == "rome" or kind in REPRESENTATIVE
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


@cache
def knowing(kind: str, *asked: tuple[int, int]) -> Delta:
    """Return what makes a model know the old answers of requests, by draw and number.

    Some losses leave alone what a model does not know.
    """
    known = [request(draw, number, "unlearn") for draw, number in asked]
    taught = [replace(one, kind="edit", new=one.old, old=one.new) for one in known]
    return run("ft_l", kind, tiny(kind), [taught], steps=25)[0].delta


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
