"""Blocks run by hand say what transformers' modules say, and have the same gradient."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ksmith.lm.families import FAMILIES, by_hand
from ksmith.lm.hooks import Change
from ksmith.lm.rows import Rows, Wiring, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Above, Place, Suffix, Through, suffix
from tests.lm.models import CONFIGS, CONTEXTS, LAYERS, WIDTH, in_float64, tiny, tokenizer
from tests.methods import request

# Gemma 2's own attention is not finite in float64 where padding sees nothing; GPT-Neo's is in
# float32 whatever the model is in.
DTYPE = {"gemma2": torch.float32}
CLOSE = {"gemma2": 1e-4, "gpt_neo": 1e-5, "gptj": 1e-5}  # modules that round to float32
ASKED = [request(0, 0), request(0, 1), request(1, 0)]  # of three shapes


KEPT = (
    ("The emblem of {} is", "In {} one sees the"),  # the first is the request's own
    (),
    ("{} has the emblem", "The emblem of {} is"),
)


def asked_rows(kl: str | None = "{} is a", kept: Sequence[Sequence[str]] = ()) -> Rows:
    return rows(tokenizer(), ASKED, prefixes(CONTEXTS, 3), kl, kept)


def written(kind: str, layer: int) -> Wiring:
    """Return the wiring of a matrix that each request has had changed in its own way."""
    model = tiny(kind)
    s = sites(model)
    shape = s.maths(model.get_parameter(s.weight(layer))).shape
    generator = torch.Generator().manual_seed(1)
    more = torch.randn(len(ASKED), *shape, generator=generator) / 9
    more = more.to(DTYPE.get(kind, torch.float64))

    def wiring(owner: Tensor) -> dict[str, Change]:
        mine = more[owner]
        return {s.mlp_out(layer): lambda keys, values: values + keys @ mine.mT}

    return wiring


def unchanged(_owner: Tensor) -> dict[str, Change]:
    return {}


def both(kind: str, layer: int, asked: Rows, wiring: Wiring) -> tuple[Suffix, Suffix]:
    s = sites(tiny(kind))
    place = Place(s.mlp_out(layer), s.head, torch.ones(len(ASKED), dtype=torch.float64))
    hand = suffix(tiny(kind, DTYPE.get(kind, torch.float64)), asked, place, wiring)
    assert isinstance(hand, Above)
    modules = tiny(kind) if kind in DTYPE else in_float64(kind)
    return hand, Through(modules, asked, place, wiring)


def compare(hand: Suffix, modules: Suffix, requests: Tensor, close: float = 1e-11) -> Tensor:
    """Return the gradient; check it, and logits, twice: a pass leaves nothing behind."""
    one, other = hand.keep(requests), modules.keep(requests)
    assert torch.equal(one.gold, other.gold)
    assert torch.equal(one.at, other.at)
    gradient = torch.zeros(0)
    for seed in (2, 3):
        generator = torch.Generator().manual_seed(seed)
        delta = torch.randn(len(ASKED), WIDTH, generator=generator).double()
        said, expected = hand.said(delta), modules.said(delta)
        assert torch.allclose(said, expected, atol=close, rtol=close)
        of_logits = torch.randn(said.shape, generator=generator).to(said.dtype)
        gradient, right = hand.gradient(of_logits).double(), modules.gradient(of_logits)
        assert torch.allclose(gradient, right, atol=close, rtol=close)
        assert (gradient[~requests] == 0).all()
    return gradient


# Every architecture with all of its blocks; at every layer, those with blocks of two kinds.
PLACES = [
    (kind, layer, change)
    for kind in FAMILIES
    for layer in range(LAYERS)
    for change in ("unchanged", "written")
    if kind in ("gpt_neo", "gemma2") or (layer, change) == (0, "written")
]


@pytest.mark.parametrize(("kind", "layer", "change"), PLACES)
def test_by_hand_is_through_modules(kind: str, layer: int, change: str) -> None:
    """With padding at both ends, also after some requests have ended."""
    wiring = unchanged if change == "unchanged" else written(kind, layer)
    hand, modules = both(kind, layer, asked_rows(), wiring)
    for requests in ([True, True, True], [True, False, True], [False, True, False]):
        on = torch.tensor(requests)
        gradient = compare(hand, modules, on, CLOSE.get(kind, 1e-11))
        assert (gradient[on].norm(dim=1) > 1e-3).all()


@pytest.mark.parametrize("kl", [None, "The emblem of {} is", "{} is a"])
@pytest.mark.parametrize("layer", range(LAYERS))
def test_kl_rows(layer: int, kl: str | None) -> None:
    """Without them, where some are another row's start, and where only one is."""
    hand, modules = both("llama", layer, asked_rows(kl), unchanged)
    wanted = hand.keep(torch.ones(3, dtype=torch.bool))
    shared = {None: 0, "The emblem of {} is": 1, "{} is a": 1}[kl]
    assert len(wanted.number) == 9 + (3 - shared) * (kl is not None)
    assert len(wanted.stay_at) == 3 * (kl is not None)
    compare(hand, modules, torch.tensor([True, True, True]))


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("kind", ["llama", "gpt_neo", "gemma2"])
def test_kl_rows_that_go_on_after_their_subject(kind: str, layer: int) -> None:
    """Some do, some do not, also after a request with many has ended."""
    hand, modules = both(kind, layer, asked_rows(kept=KEPT), unchanged)
    for requests, n in (([True, True, True], 12), ([False, True, True], 8)):
        on = torch.tensor(requests)
        wanted = hand.keep(on)
        assert wanted.n == n
        compare(hand, modules, on, CLOSE.get(kind, 1e-11))


def test_all_supported_architectures_are_known_by_hand() -> None:
    for kind in CONFIGS:
        assert by_hand(tiny(kind)) is not None, kind


def test_what_is_not_known_goes_through_modules() -> None:
    model: Any = tiny("gpt2")
    model.transformer.h[1].mlp.act = torch.nn.Mish()
    assert by_hand(model) is None
    s = sites(model)
    place = Place(s.mlp_out(1), s.head, torch.ones(len(ASKED)))
    assert isinstance(suffix(model, asked_rows(), place, unchanged), Through)
