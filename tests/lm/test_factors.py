"""A gradient in two factors is the gradient, at every matrix of every architecture."""

import pytest
import torch

from ksmith.lm.adapters import linear
from ksmith.lm.descend import answer_logp, taught
from ksmith.lm.factors import factors
from ksmith.lm.sites import sites
from tests.lm.models import CONFIGS, LAYERS, in_float64, tokenizer
from tests.methods import assert_untouched, bits, long, request

MLP = ("mlp_in", "mlp_out")


@pytest.mark.parametrize("kind", CONFIGS)
def test_products_of_factors_add_up_to_the_gradient(kind: str) -> None:
    """Of rows of two lengths with shares of their own; fused matrices (Phi-3) are one."""
    model, shares = in_float64(kind), torch.tensor([1.0, 0.5, 2.0])
    batch = taught(tokenizer(), [request(0, 0), request(1, 0), long()]).batch
    names = [n for i in range(1, LAYERS) for part in MLP for n in linear(model, i)[part]]
    before = bits(model)
    found, said = factors(model, batch, shares, names)
    assert_untouched(model, before)
    weights = {f"{n}.weight": model.get_parameter(f"{n}.weight") for n in names}
    leaves = {n: weight.clone().requires_grad_() for n, weight in weights.items()}
    logp = answer_logp(model, batch, leaves)
    gradients = torch.autograd.grad(-(shares * logp).sum(), list(leaves.values()))
    torch.testing.assert_close(said, logp.detach())
    for name, gradient in zip(names, gradients, strict=True):
        own = found[name]
        product = torch.einsum("nto,nti->oi", own.d, own.u)
        assert own.u.dtype == own.d.dtype == torch.float64
        torch.testing.assert_close(product, sites(model).maths(gradient), rtol=1e-9, atol=1e-12)
        assert not own.felt[~batch.mask[:, :-1]].any(), "padding is felt nowhere"
        assert own.felt[batch.answer[:, 1:]].all()
