"""Going on from a cache, by the name that each release of transformers has for it."""

import pytest
import torch
from torch import nn
from transformers import DynamicCache

from ksmith.lm.cache import after
from tests.lm.models import CONFIGS, tiny


class Old(nn.Module):
    def forward(self, input_ids: object, past_key_values: object = None) -> None: ...


class New(nn.Module):
    def forward(self, input_ids: object, cache: object = None) -> None: ...


def test_both_names() -> None:
    assert after(Old(), 1) == {"past_key_values": 1}
    assert after(New(), 1) == {"cache": 1}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", CONFIGS)
def test_no_model_warns_and_each_fills_the_cache(kind: str) -> None:
    model = tiny(kind)
    cache = DynamicCache(config=getattr(model, "config", None))
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=True, **after(model, cache))
    assert cache.get_seq_length() == 3
