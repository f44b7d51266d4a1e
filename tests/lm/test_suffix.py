"""Blocks run by hand say what transformers' modules say, and have the same gradient."""

import pytest
import torch
from torch import Tensor

from ksmith.lm.blocks import FAMILIES, by_hand
from ksmith.lm.hooks import Change
from ksmith.lm.rows import Rows, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Above, Place, Suffix, Through, suffix
from tests.lm.models import CONFIGS, CONTEXTS, KEYS, LAYERS, WIDTH, tiny, tokenizer
from tests.test_methods import request

ASKED = [request(0, 0), request(0, 1), request(1, 0)]  # of three shapes


def asked_rows() -> Rows:
    return rows(tokenizer(), ASKED, prefixes(CONTEXTS, 3), "{} is a")


def written(owner: Tensor) -> Tensor:
    """Return what each row's own matrix has already been given, (n, d, d_ff)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(ASKED), WIDTH, 4 * WIDTH, generator=generator).double()[owner] / 9


def both(kind: str, layer: int) -> tuple[Suffix, Suffix]:
    model = tiny(kind, torch.float64)
    s = sites(model)
    site = s.mlp_out(layer)

    def wiring(owner: Tensor) -> dict[str, Change]:
        more = written(owner)[..., : 4 * WIDTH if kind == "gpt2" else KEYS]
        return {site: lambda keys, values: values + keys @ more.mT}

    place = Place(site, s.head, torch.ones(len(ASKED), dtype=torch.float64))
    hand = suffix(model, asked_rows(), place, wiring)
    assert isinstance(hand, Above)
    return hand, Through(model, asked_rows(), place, wiring)


def said(run: Suffix, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of everything asked about, and the gradient of their sum."""
    gold = run.asked.gold
    row, column = (gold >= 0).nonzero(as_tuple=True)
    leaf = delta.clone().requires_grad_()
    logp = run.logp(leaf, row, column)
    chosen = logp.gather(1, gold[row, column][:, None]).sum()
    return logp.detach(), torch.autograd.grad(chosen, leaf)[0]


@pytest.mark.parametrize("layer", range(LAYERS))
@pytest.mark.parametrize("kind", FAMILIES)
def test_by_hand_is_through_modules(kind: str, layer: int) -> None:
    """With a matrix that was changed before, padding at both ends, also after some have ended."""
    delta = torch.randn(len(ASKED), WIDTH, generator=torch.Generator().manual_seed(2)).double()
    hand, modules = both(kind, layer)
    for _ in range(2):
        for one, other in zip(said(hand, delta), said(modules, delta), strict=True):
            assert torch.allclose(one, other, atol=1e-11, rtol=1e-11)
        on = torch.tensor([True, False, True])
        stay = torch.zeros(int(hand.asked.stay.sum()), 3)
        assert torch.equal(hand.keep(on, stay), modules.keep(on, stay))


def test_other_architectures_go_through_modules() -> None:
    for kind in CONFIGS:
        model = tiny(kind)
        assert (by_hand(model, 1) is None) == (kind not in FAMILIES), kind
