"""FT and FT-L: one matrix, outside and inside its box, with teacher forcing."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from ksmith.edit import ft, ft_l
from ksmith.lm.delta import Delta, applied, dense
from ksmith.lm.descend import Pace, descend, taught, units
from ksmith.lm.sites import sites
from ksmith.lm.tune import learning
from ksmith.settings.ft import Ft
from ksmith.settings.ft_l import FtL
from tests.lm.models import LAYERS, OBJECTS, WIDTH, tiny, tokenizer
from tests.methods import assets, logp, long, request


@pytest.mark.parametrize("epsilon", [0.1, 3.0])
def test_no_weight_leaves_the_box(epsilon: float) -> None:
    model = tiny("gpt2")
    hp = FtL(layer=2, lr=2.0, epsilon=epsilon, steps=6, stop_loss=0.0)
    result = ft_l.edit(model, [[request(0, 0)]], hp, assets("gpt2"))[0]
    name = sites(model).weight(2)
    assert set(result.delta) == {name}
    most = float(dense(result.delta[name]).abs().max())
    unit = units(model, [2])[name]
    assert most <= epsilon * unit * (1 + 1e-5)
    assert most >= min(epsilon, 2.0) * unit * 0.9  # the first step alone goes that far


def test_the_box_stands_around_the_base_weights_in_a_sequence() -> None:
    model, given = tiny("gpt2"), assets("gpt2")
    name, unit = sites(model).weight(2), units(model, [2])[sites(model).weight(2)]
    hp = FtL(layer=2, lr=2.0, epsilon=3.0, steps=4, stop_loss=0.0)
    (first,) = ft_l.edit(model, [[request(0, 0)]], hp, given)
    with applied(model, first.delta):
        told = replace(given, state=first.state)
        (second,) = ft_l.edit(model, [[request(1, 0)]], hp, told)
        (parity,) = ft_l.edit(model, [[request(1, 0)]], hp, given)
    box = 3.0 * unit * (1 + 1e-5)
    both = dense(first.delta[name]) + dense(second.delta[name])
    assert both.abs().max() <= box
    assert (dense(first.delta[name]) + dense(parity.delta[name])).abs().max() > box
    assert torch.equal(second.state["tune.change"], both)


def test_without_a_box_it_goes_further() -> None:
    """FT is FT-L with a box that no weight reaches."""
    model, draw = tiny("gpt2"), [request(0, 0)]
    few: dict[str, Any] = {"layer": 2, "lr": 2.0, "steps": 4, "stop_loss": 0.0}
    (free,) = ft.edit(model, [draw], Ft(**few), assets("gpt2"))
    (wide,) = ft_l.edit(model, [draw], FtL(**few, epsilon=1e6), assets("gpt2"))
    (held,) = ft_l.edit(model, [draw], FtL(**few, epsilon=1.0), assets("gpt2"))
    name = sites(model).weight(2)
    assert torch.equal(dense(free.delta[name]), dense(wide.delta[name]))
    assert dense(free.delta[name]).norm() > 2 * dense(held.delta[name]).norm()
    assert not free.state, "nothing is to be remembered of it"


def test_it_stops_when_it_has_learnt() -> None:
    hp = FtL(layer=1, lr=1.5, epsilon=50.0, steps=50, stop_loss=2.0)
    result = ft_l.edit(tiny("llama"), [[request(0, 0)]], hp, assets("llama"))[0]
    curve = result.log["curve"]["new"]
    assert len(curve) < 50
    assert curve[-1] < 2.0 <= min(curve[:-1])


def test_every_token_of_the_answer_is_learnt() -> None:
    """Scored from the prompt alone, the second word would not be learnt in its place."""
    model = tiny("llama")
    asked = request(1, 0)
    assert len(asked.new.split()) == 2
    hp = FtL(layer=1, lr=0.5, epsilon=50.0, steps=40, stop_loss=0.0)
    result = ft_l.edit(model, [[asked]], hp, assets("llama"))[0]
    word = asked.new.split()[0]
    first = replace(asked, old=word, new=asked.new)

    def words(delta: Delta) -> tuple[float, float]:
        one, both = logp(model, first, delta)
        return one, both - one

    before, after = words({}), words(result.delta)
    assert after[0] > before[0] + 1
    assert after[1] > before[1] + 1


def test_a_uniform_target_s_loss_is_its_divergence_from_what_is_said() -> None:
    """The mean over requests of sum q log(q / p), whole answers, q = 1 / m."""
    asked = [request(0, 0, "unlearn"), request(0, 1, "unlearn")]
    asked = [
        replace(asked[0], new=OBJECTS[1], others=OBJECTS[2:4]),
        replace(asked[1], new=OBJECTS[0], others=(OBJECTS[1],)),
    ]
    model, new = tiny("llama"), taught(tokenizer(), asked)
    wanted, found = 0.0, list[float]()
    for one in asked:
        m = len(one.targets)
        for target in one.targets:
            _, said = logp(model, replace(one, new=target), {})
            wanted += (math.log(1 / m) - said) / m / len(asked)
            found.append(said)
    assert float(new.loss(torch.tensor(found, dtype=torch.float64))) == pytest.approx(wanted)
    hp = FtL(layer=1, lr=0.5, epsilon=50.0, steps=30, stop_loss=wanted / 2)
    curve = ft_l.edit(model, [asked], hp, assets("llama"))[0].log["curve"]["new"]
    assert curve[0] == pytest.approx(wanted, rel=1e-4)
    assert len(curve) < 30 and 0 <= curve[-1] < wanted / 2


def test_one_answer_each_is_a_mean_over_all_tokens() -> None:
    asked = [request(0, 0), request(1, 0)]  # of one token, of two
    new = taught(tokenizer(), asked)
    tokens = int(new.batch.answer.sum())
    assert tokens > 2
    loss = new.loss(torch.tensor([-3.0, -5.0], dtype=torch.float64))
    assert float(loss) == pytest.approx(8 / tokens)


@pytest.mark.parametrize("most", [1, 20, 40])
def test_what_is_learnt_in_pieces_is_what_is_learnt_at_once(most: int) -> None:
    """Rows of several lengths, of which some share a request."""
    asked = [request(0, 0), long(), replace(request(1, 0), others=OBJECTS[2:4])]
    model, new = tiny("llama"), taught(tokenizer(), asked)
    pieces = new.pieces(most)
    assert len(pieces) > 1
    for piece in pieces:
        assert piece.batch.ids.numel() <= most or len(piece.batch.ids) == 1
        assert piece.batch.mask.any(0).all(), "no column is padding alone"
    sizes = [piece.batch.ids.shape[0] for piece in pieces]
    assert sum(sizes) == len(new.batch.ids) == 5
    assert new.pieces(new.batch.ids.numel()) == [new], "the same bits where all fits"
    name, each = sites(model).weight(1), LAYERS * WIDTH  # numbers of a token
    lengths, pace = units(model, [1]), Pace(lr=1.0, steps=3)
    whole = descend(model, lengths, learning(model, new), pace)
    parted = descend(model, lengths, learning(model, new, most * each), pace)
    assert len(learning(model, new)) == 1
    assert len(learning(model, new, most * each)) == len(pieces)
    assert parted.curve["new"] == pytest.approx(whole.curve["new"], rel=1e-5)
    torch.testing.assert_close(
        parted.delta[name], whole.delta[name], rtol=1e-3, atol=1e-3 * lengths[name]
    )
