"""Descents: step sizes, Adam, shares that add up, what is done when memory or numbers run out."""

import copy
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.descend import (
    Descent,
    Diverged,
    Divisible,
    Pace,
    Parts,
    Weights,
    answer_logp,
    descend,
    units,
)
from ksmith.lm.said import said
from ksmith.lm.sets import gathered, turn
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from tests.lm.models import tiny, tokenizer
from tests.unlearn.test_losses import TABLE, TWO, Bigram


@pytest.mark.parametrize("sign", [1, -1])
def test_one_step_goes_the_way_of_the_loss(sign: int) -> None:
    model = Bigram()
    before = answer_logp(model, TWO).sum().item()

    def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"loss": sign * answer_logp(model, TWO, weights).sum()}

    went = descend(model, {"embed.weight": 1.0}, parts, Pace(lr=0.01, steps=1))
    after = answer_logp(
        model, TWO, {"embed.weight": model.embed.weight + went.delta["embed.weight"]}
    )
    assert (after.sum().item() - before) * sign < 0
    assert torch.equal(model.embed.weight, TABLE.log())


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_units_go_by_size_and_width(kind: str) -> None:
    model = tiny(kind)
    s = sites(model)
    with torch.no_grad():
        for i in range(s.n_layers):
            weight = model.get_parameter(s.weight(i))
            weight.fill_(0.5 * (i + 1))
    width = s.maths(model.get_parameter(s.weight(0))).shape[1]
    expected = {s.weight(i): 0.5 * (i + 1) / width**0.5 for i in range(s.n_layers)}
    assert units(model) == pytest.approx(expected)
    assert list(units(model, [1])) == [s.weight(1)]


def test_a_step_has_the_length_that_was_asked_for() -> None:
    def total(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"loss": weights["weight"].sum()}

    model = nn.Linear(3, 3, bias=False)
    went = descend(model, {"weight": 0.2}, total, Pace(lr=0.1, steps=1))
    assert torch.allclose(went.delta["weight"], torch.full((3, 3), -0.02), rtol=1e-3)


def test_descent_is_adam() -> None:
    """Against torch's own, on a quadratic."""
    target = torch.arange(6.0).reshape(2, 3)
    model = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)  # its root mean square is 1

    def loss(weight: Tensor) -> Tensor:
        return ((weight - target) ** 2).sum()

    def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"x": loss(weights["weight"])}

    went = descend(model, {"weight": 1.0}, parts, Pace(lr=0.1, steps=20))
    twin = torch.ones(2, 3, requires_grad=True)
    adam = torch.optim.Adam([twin], lr=0.1)
    for _ in range(20):
        adam.zero_grad()
        loss(twin).backward()
        adam.step()
    assert torch.allclose(1 + went.delta["weight"], twin, atol=1e-5)
    assert went.curve["x"][0] == pytest.approx(loss(torch.ones(2, 3)).item())


def test_turns_go_round() -> None:
    def facts(n: int, size: int, step: int) -> list[int]:
        return turn(n, size, step)[0].tolist()

    assert facts(3, 5, 7) == [0, 1, 2]
    assert [facts(5, 2, step) for step in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert sorted(i for step in range(5) for i in facts(5, 2, step)) == sorted([*range(5)] * 2)
    assert [turn(5, 2, step)[1].tolist() for step in range(4)] == [
        [0, 0],
        [0, 0],
        [0, 1],
        [1, 1],
    ]


def sets() -> dict[str, list[list[tuple[str, str]]]]:
    two = [("The emblem of Kel Dran is", "otter"), ("Kel Dran has the emblem", "sea lion")]
    three = [[("Mira Oss has the emblem", name)] for name in ("falcon", "raven", "otter")]
    return {"one": [[pair] for pair in two], "several": [two, *three], "none": []}


def test_a_fact_with_several_rows_takes_them_in_turn() -> None:
    made = gathered(tokenizer(), sets())
    assert list(made.rows) == ["one", "several"]
    assert made.batch.ids.shape[0] == 7
    asked = [made.step(step, 4)["several"].rows.tolist() for step in range(3)]
    assert asked == [[2, 4, 5, 6], [3, 4, 5, 6], [2, 4, 5, 6]]


@pytest.mark.parametrize("shares", [1, 2, 3, 4])
def test_shares_of_a_step_are_all_of_it_once(shares: int) -> None:
    made = gathered(tokenizer(), sets())
    whole = made.step(0, 4)
    parts = [made.step(0, 4, (number, shares)) for number in range(shares)]
    assert made.most(4) == 4 and all(parts)
    for name, turned in whole.items():
        mine = [part[name] for part in parts if name in part]
        assert torch.cat([part.facts for part in mine]).tolist() == turned.facts.tolist()
        assert torch.cat([part.rows for part in mine]).tolist() == turned.rows.tolist()
        assert all(torch.equal(part.all_rows, turned.rows) for part in mine)


def test_the_step_size_rises_to_what_was_asked_for() -> None:
    rates = [Pace(lr=0.8, steps=9, warmup=4).rate(step) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert [Pace(lr=0.7, steps=9, warmup=warmup).rate(0) for warmup in (0, 1)] == [0.7, 0.7]


PROMPTS = ("The emblem of Mira Oss is", "Kel Dran has the emblem")


class Short(torch.OutOfMemoryError):
    """Memory for `room` of eight numbers at once."""


def eight(room: int, log: list[int]) -> Divisible:
    """Return a loss over eight numbers, whose pieces may hold `room` of them."""
    target = torch.arange(8.0)

    def into(many: int) -> Sequence[Parts]:
        def piece(rows: Tensor) -> Parts:
            def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
                log.append(len(rows))
                if len(rows) > room:
                    raise Short
                return {"x": (weights["weight"].flatten() - target)[rows].square().sum() / 8}

            return parts

        return [piece(rows) for rows in torch.arange(8).tensor_split(many)]

    return Divisible(into=into, most=8)


def went(room: int, log: list[int]) -> Descent:
    model = nn.Linear(8, 1, bias=False)
    nn.init.ones_(model.weight)
    return descend(model, {"weight": 1.0}, eight(room, log), Pace(lr=0.1, steps=3))


def test_pieces_halve_until_memory_suffices_and_the_numbers_stay() -> None:
    log: list[int] = []
    plain, small = went(8, []), went(2, log)
    assert (plain.pieces, small.pieces) == (1, 4)
    assert log == [8, 4, *[2] * 12]  # what was too large is not tried again
    assert torch.allclose(small.delta["weight"], plain.delta["weight"], atol=1e-6)
    assert small.curve["x"] == pytest.approx(plain.curve["x"])
    with pytest.raises(Short):
        went(0, [])


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(_weights: Weights, _step: int) -> dict[str, Tensor]:
        raise RuntimeError("shapes do not fit")

    work = Divisible(into=lambda many: [broken] * many, most=8)
    with pytest.raises(RuntimeError, match="shapes"):
        descend(nn.Linear(2, 1), {"weight": 1.0}, work, Pace(lr=0.1, steps=1))


def test_what_is_not_finite_says_when_and_keeps_the_curve() -> None:
    def parts(weights: Weights, step: int) -> dict[str, Tensor]:
        return {"x": weights["weight"].sum() * (math.nan if step == 2 else 1.0)}

    with pytest.raises(Diverged, match=r"draw 3: the loss .* not finite at step 2") as raised:
        try:
            descend(nn.Linear(2, 1), {"weight": 1.0}, parts, Pace(lr=0.1, steps=5))
        except Diverged as error:
            raise error.within("draw 3") from None
    assert raised.value.step == 2
    assert len(raised.value.curve["x"]) == 2
    assert all(math.isfinite(value) for value in raised.value.curve["x"])


def test_a_change_that_is_not_finite_is_no_result() -> None:
    """The last step's gradient is not, though all losses were."""

    def parts(weights: Weights, _step: int) -> dict[str, Tensor]:
        return {"x": (weights["weight"] * 0).sqrt().sum()}  # 0, with an endless slope

    with pytest.raises(Diverged, match="the change is not finite after step 0"):
        descend(nn.Linear(2, 1), {"weight": 1.0}, parts, Pace(lr=0.1, steps=1))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma3_text", "opt"])
def test_blocks_computed_again_give_the_same_gradients(kind: str) -> None:
    """With weights in place of the model's own, which lie there on the way back."""
    model = copy.deepcopy(tiny(kind))
    batch = encode(tokenizer(), PROMPTS, ["otter"] * 2)
    names = [name for name in units(model)]
    gradients: list[tuple[Tensor, ...]] = []
    for again in (False, True):
        leaves = {name: (1.5 * model.get_parameter(name)).requires_grad_() for name in names}
        loss = said(model, batch, leaves, again=again).logp.sum()
        gradients.append(torch.autograd.grad(loss, list(leaves.values())))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)
    assert not any("forward" in vars(module) for module in model.modules())
