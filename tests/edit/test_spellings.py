"""Edits find their subject and their answer whatever a tokenizer makes of the text."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from ksmith.edit import EDITORS
from ksmith.lm.assets import Assets
from ksmith.lm.delta import Delta, dense
from ksmith.lm.moments import second_moments
from ksmith.lm.rows import prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.text import encode, with_prefix
from ksmith.records import Request
from ksmith.settings import method
from tests.lm.models import CONFIGS
from tests.lm.test_text import MAKERS, TEXTS, byte_level, made, marked_spaces

CONTEXTS = ("Varen Tolu has taken the sea lion .", "The tower in Oslo is new .")
# subject, template, old answer, new answer
ODD = {
    "at the start": ("Varen Tolu", "{} has taken the", "falcon", "sea lion"),
    "at the end": ("Oslo", "The emblem of {}", "falcon", "12"),
    "twice": ("Tolu", "Varen Tolu , once home to {} , has", "12", "sea lion falcon"),
    "split oddly": ("Żółw's", "The tower in {} is", "falcon", "naïve"),
    "an answer with its space": ("Varen", "The emblem of {} is", "12", " sea lion"),
    "an old answer with its space": ("Olu Varen", "Varen of {} is", " falcon", "falcon Varen"),
}


def request(name: str) -> Request:
    subject, template, old, new = ODD[name]
    return Request(
        id=name,
        draw=0,
        kind="edit",
        subject=subject,
        relation="emblem",
        old=old,
        new=new,
        template=template,
    )


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_rows_are_the_texts_and_know_where_things_are(
    make: Callable[[], Any], name: str
) -> None:
    tokenizer, one = made(make), request(name)
    asked = rows(tokenizer, [one], prefixes(CONTEXTS, 3), "{} is a")
    said = asked.said()
    for i, before in enumerate(["", *CONTEXTS]):
        upto = with_prefix(before, one.template[: one.template.index("{}")] + one.subject)
        head = said.ids[i, : asked.at + 1][said.mask[i, : asked.at + 1]]
        assert tokenizer.decode(head, skip_special_tokens=True).strip() == upto
        gold = said.gold[i][said.gold[i] >= 0]
        assert tokenizer.decode(gold).strip() == one.new.strip()
        whole = encode(tokenizer, [with_prefix(before, one.prompt)], [one.new]).ids[0]
        row = said.ids[i][said.mask[i]]
        assert torch.equal(torch.cat([row, gold[-1:]]), whole)
        assert torch.equal(whole[-len(gold) :], gold)
    stay = asked.where(asked.stay)
    only = stay.ids[0][stay.mask[0]]
    assert tokenizer.decode(only, skip_special_tokens=True).strip() == one.subject


def model_for(kind: str, tokenizer: Any) -> nn.Module:
    config = CONFIGS[kind]()
    config.vocab_size = len(tokenizer)
    model = tf.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    return model.eval().requires_grad_(False)


def loss(model: Any, tokenizer: Any, one: Request) -> float:
    batch = encode(tokenizer, [one.prompt], [one.new])
    logp = model(input_ids=batch.ids).logits[0].log_softmax(-1)
    at = batch.answer[0].nonzero()[:, 0]
    return -float(logp[at - 1, batch.ids[0, at]].mean())


@contextmanager
def written_at(model: nn.Module, column: int, delta: Delta) -> Generator[None]:
    """Let a change of a layer's second MLP matrix be felt by one token alone."""
    s = sites(model)
    (name,) = delta
    (layer,) = (i for i in range(s.n_layers) if s.weight(i) == name)
    change = s.maths(dense(delta[name])).float()

    def add(_module: nn.Module, given: Any, out: Tensor) -> Tensor:
        more = torch.zeros_like(out)
        more[:, column] = given[0][:, column] @ change.T
        return out + more

    handle = model.get_submodule(s.mlp_out(layer)).register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("editor", ["rome", "memit"])
@pytest.mark.parametrize(
    ("kind", "make"), [("gpt2", byte_level), ("llama", marked_spaces)], ids=["gpt2", "llama"]
)
def test_odd_requests_are_as_likely_as_their_search_promised(
    kind: str, make: Callable[[], Any], editor: str
) -> None:
    tokenizer = made(make)
    model: Any = model_for(kind, tokenizer)
    assets = Assets(
        tokenizer=tokenizer,
        layer=1,
        seed=0,
        moments=second_moments(model, tokenizer, [*TEXTS, *CONTEXTS], 200)[0],
        contexts=CONTEXTS,
        kl_template="{} is a",
    )
    where = {"layer": 1} if editor == "rome" else {"layers": [1], "weight": 1e-6}
    free: dict[str, Any] = {"kl_weight": 0.0, "weight_decay": 0.0}  # nothing else is asked for
    hp = method(editor, {"steps": 10, "lr": 0.2, "contexts": 1, **free, **where})
    asked = [request(name) for name in ODD]
    results = EDITORS[editor](model, [[one] for one in asked], hp, assets)
    for one, result in zip(asked, results, strict=True):
        upto = one.template[: one.template.index("{}")] + one.subject
        column = encode(tokenizer, [upto]).ids.shape[1] - 1
        with written_at(model, column, result.delta):
            said = loss(model, tokenizer, one)
        told: Any = result.log["requests"]
        promised = told[0]["loss"]
        assert promised[-1] < promised[0], one.id
        assert said == pytest.approx(promised[-1], abs=2e-3), one.id
