"""MEND: what a draw gets is the sum of what its tokens add, whatever the network does."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from ksmith.edit import mend
from ksmith.graph.practice import practised
from ksmith.lm.assets import Assets
from ksmith.lm.delta import LowRank, dense
from ksmith.lm.sites import sites
from ksmith.records import UserError
from ksmith.settings.mend import Mend
from tests.lm.models import OBJECTS, WIDTH, tiny
from tests.lm.test_hypernetwork import moved
from tests.methods import assert_close, assets, identity, long, request, twins


def other(kind: str) -> Assets:
    """Return surroundings with a network that is no identity."""
    return replace(assets(kind), hypernetwork=moved(identity(kind)))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_requests_of_a_draw_add_up(kind: str) -> None:
    model, asked = tiny(kind), [request(0, 0), request(1, 0), long()]
    together, *alone = mend.edit(model, [asked, *([one] for one in asked)], Mend(), other(kind))
    for name, block in together.delta.items():
        total = sum((dense(one.delta[name]) for one in alone), torch.zeros(block.shape))
        torch.testing.assert_close(dense(block), total, rtol=1e-4, atol=1e-6)
    assert together.log["tokens"] == sum(one.log["tokens"] for one in alone)
    assert together.log["loss"] == pytest.approx(sum(one.log["loss"] for one in alone) / 3)


def test_an_update_is_a_pair_while_that_is_smaller() -> None:
    model = tiny("llama")
    (one, many) = mend.edit(
        model,
        [[request(0, 0)], [request(i, j) for i in range(3) for j in (0, 1)]],
        Mend(),
        other("llama"),
    )
    name = sites(model).weight(2)
    block = one.delta[name]
    assert isinstance(block, LowRank)
    assert block.left.shape[1] <= one.log["tokens"] < WIDTH
    # At the last layer only the tokens before answers count, below it the others, too.
    assert isinstance(many.delta[sites(model).weight(1)], torch.Tensor)


def test_pieces_of_a_draw_are_the_draw() -> None:
    """As of a model so large that its rows go through it in several passes."""
    model, draws = tiny("llama"), [[request(0, 0), long()], [request(1, 0), request(0, 1)]]
    whole = mend.edit(model, draws, Mend(), other("llama"))
    parts = mend.written(model, draws, other("llama"), most=20)
    for one, part in zip(whole, parts, strict=True):
        assert_close(one.delta, part.delta, 1e-4)
        assert one.log["tokens"] == part.log["tokens"]


def test_both_layouts_give_the_same_change() -> None:
    straight, conv = twins()
    (one,) = mend.edit(straight, [[request(0, 0)]], Mend(), other("gpt_neo"))
    (two,) = mend.edit(conv, [[request(0, 0)]], Mend(), other("gpt_neo"))
    assert one.delta.keys() == two.delta.keys()
    for name, block in one.delta.items():
        a, b = dense(block), dense(two.delta[name]).T
        assert (a - b).norm() < 2e-3 * a.norm()


def test_the_log_says_of_how_many_subjects_the_network_saw_nothing() -> None:
    draw = [replace(request(0, 0), subject=f"Varen {name}") for name in ("Oss", "Tolu", "Kel")]
    (result,) = mend.edit(tiny("llama"), [draw], Mend(), other("llama"))
    unseen = [one for one in draw if not practised(one.subject)]
    assert (result.log["facts"], result.log["unseen"]) == (3, len(unseen))


def test_a_request_with_several_answers_is_the_mean_over_them() -> None:
    model = tiny("llama")
    one = replace(request(0, 0, "unlearn"), new=OBJECTS[1], others=(OBJECTS[2],))
    (both,) = mend.edit(model, [[one]], Mend(), assets("llama"))
    singles = [replace(one, new=name, others=()) for name in one.targets]
    halves = mend.edit(model, [[single] for single in singles], Mend(), assets("llama"))
    for name, block in both.delta.items():  # at identity: gradients add up
        mean = (dense(halves[0].delta[name]) + dense(halves[1].delta[name])) / 2
        torch.testing.assert_close(dense(block), mean, rtol=1e-4, atol=1e-6)


def test_without_a_network_there_is_no_edit() -> None:
    none = replace(assets("llama"), hypernetwork=None)
    assert mend.edit(tiny("llama"), [[]], Mend(), none)[0].delta == {}
    with pytest.raises(UserError, match="no hypernetwork: it is trained before mend can edit"):
        mend.edit(tiny("llama"), [[request(0, 0)]], Mend(), none)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modules": ()}, "modules is empty; name mlp_in or mlp_out"),
        ({"edits": ()}, "edits is empty; name how many facts are edited at once"),
        ({"layers": (2, 1)}, "layers must rise"),
    ],
)
def test_settings_that_say_nothing(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mend(**values)
