"""What is met on the way up is what a pass from the start meets, with the layers below written."""

from typing import Any

import pytest
import torch
from torch import nn

from ksmith.lm.delta import Block, applied
from ksmith.lm.rows import at_subject
from ksmith.lm.sites import sites
from ksmith.lm.way import Way
from tests.lm.models import CONFIGS, LAYERS, tiny
from tests.lm.test_suffix import DTYPE, asked_rows


def same(model: nn.Module, layers: list[int]) -> None:
    asked = asked_rows().said()
    mixed = asked.take(
        torch.randperm(len(asked.ids), generator=torch.Generator().manual_seed(0))
    )
    s, way = sites(model), Way(model, mixed)
    last = s.block(layers[-1])
    delta: dict[str, Block] = {}
    generator = torch.Generator().manual_seed(1)
    for layer in layers:
        site = s.mlp_out(layer)
        with applied(model, delta):
            keys, values, stream = way.met(layer, layers[-1])
            seen = at_subject(model, mixed, [site, last], [site])
        expected = (seen[f"{site} in"], seen[site][mixed.bare], seen[last][mixed.bare])
        for found, right in zip((keys, values, stream), expected, strict=True):
            close = 1e-4 if right.dtype == torch.float32 else 1e-11
            assert torch.allclose(found, right, atol=close, rtol=close)
        shape = model.get_parameter(s.weight(layer)).shape
        delta[s.weight(layer)] = torch.randn(shape, generator=generator) / 9


@pytest.mark.parametrize("layers", [[0, 1, LAYERS - 1], [1, LAYERS - 1], [0, LAYERS - 1]])
@pytest.mark.parametrize("kind", CONFIGS)
def test_each_layer_is_met_with_those_below_it_written(kind: str, layers: list[int]) -> None:
    same(tiny(kind, DTYPE.get(kind, torch.float64)), layers)


def test_a_model_that_is_not_known_by_hand() -> None:
    model: Any = tiny("gpt2", torch.float64)
    model.transformer.h[1].mlp.act = nn.Mish()
    same(model, [0, 1])
