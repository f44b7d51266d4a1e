"""FT-L: one matrix, inside its box, with teacher forcing."""

import pytest
import torch

from ksmith.edit import ft_l
from ksmith.lm.delta import dense
from ksmith.lm.sites import sites
from ksmith.settings.ft_l import FtL
from tests.lm.models import tiny
from tests.test_methods import assets, request


@pytest.mark.parametrize("epsilon", [0.01, 0.3])
def test_no_weight_leaves_the_box(epsilon: float) -> None:
    model = tiny("gpt2")
    hp = FtL(layer=2, lr=0.2, epsilon=epsilon, steps=6, stop_loss=0.0)
    result = ft_l.edit(model, [[request(0, 0)]], hp, assets("gpt2"))[0]
    name = sites(model).weight(2)
    assert set(result.delta) == {name}
    most = float(dense(result.delta[name]).abs().max())
    size = float(model.get_parameter(name).square().mean().sqrt())
    assert most <= epsilon * size * (1 + 1e-5)
    assert most >= min(epsilon, 0.2) * size * 0.9  # the first step alone goes that far


def test_it_stops_when_it_has_learnt() -> None:
    hp = FtL(layer=1, lr=0.3, epsilon=10.0, steps=200, stop_loss=0.5)
    result = ft_l.edit(tiny("llama"), [[request(0, 0)]], hp, assets("llama"))[0]
    curve = result.log["curve"]["new"]
    assert curve[-1] < 0.5 <= min(curve[:-1])


def test_every_token_of_the_answer_is_learnt() -> None:
    """`amber stone`: scored from the prompt alone, the second word could not be told from the first."""
    asked = request(1, 1)  # its new answer has two words
    assert len(asked.new.split()) == 2
    hp = FtL(layer=1, lr=0.3, epsilon=10.0, steps=200, stop_loss=0.1)
    result = ft_l.edit(tiny("llama"), [[asked]], hp, assets("llama"))[0]
    assert result.log["curve"]["new"][-1] < 0.1  # of both words on average: so of each
    assert torch.isfinite(dense(next(iter(result.delta.values())))).all()
