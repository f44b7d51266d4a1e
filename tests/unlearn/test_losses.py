"""The equations of unlearning by hand: three answer tokens, a vocabulary of five words."""

import math

import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.descend import Pace, Weights, answer_logp, descend, nll, turn, units
from ksmith.lm.sites import sites
from ksmith.lm.text import Batch
from ksmith.unlearn import graddiff, npo
from tests.lm.models import tiny

# Probabilities of five words after each of four tokens; rows sum to one.
TABLE = torch.tensor(
    [
        [0.10, 0.20, 0.30, 0.20, 0.20],
        [0.50, 0.20, 0.10, 0.10, 0.10],
        [0.20, 0.20, 0.20, 0.20, 0.20],
        [0.05, 0.05, 0.10, 0.40, 0.40],
    ]
)


class Bigram(nn.Module):
    """A language model that looks at one token: its logits are a row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"model_type": "llama", "num_hidden_layers": 1})()
        self.embed = nn.Embedding(4, 5, _weight=TABLE.log())
        self.lm_head = nn.Identity()

    def forward(self, input_ids: Tensor, use_cache: bool) -> object:
        assert not use_cache
        return type("Output", (), {"logits": self.lm_head(self.embed(input_ids))})()


def batch(*rows: tuple[list[int], int]) -> Batch:
    """Return rows of tokens and the lengths of their answers, padded with zeros."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[j < len(r) for j in range(width)] for r, _ in rows])
    answer = torch.tensor([[len(r) - n <= j < len(r) for j in range(width)] for r, n in rows])
    return Batch(ids, mask, answer)


# Row one: prompt 0, answer 1 2: p = .2 * .1. Row two: prompt 2 3, answer 3: p = .4.
TWO = batch(([0, 1, 2], 2), ([2, 3, 3], 1))
LOGP = [math.log(0.2 * 0.1), math.log(0.4)]


def test_log_probabilities_by_hand() -> None:
    with torch.no_grad():
        assert answer_logp(Bigram(), TWO).tolist() == pytest.approx(LOGP)


def test_nll_is_the_mean_over_tokens_not_over_answers() -> None:
    by_hand = -(math.log(0.2) + math.log(0.1) + math.log(0.4)) / 3
    assert nll(torch.tensor(LOGP), torch.tensor([2, 1])).item() == pytest.approx(by_hand)


def test_graddiff_is_the_negative_nll() -> None:
    by_hand = (math.log(0.2) + math.log(0.1) + math.log(0.4)) / 3
    loss = graddiff.loss(torch.tensor(LOGP), torch.tensor([2.0, 1.0]))
    assert loss.item() == pytest.approx(by_hand)


def test_npo_by_hand() -> None:
    reference = torch.tensor([math.log(0.01), math.log(0.8)])
    beta = 0.5

    def one(ratio: float) -> float:
        return 2 / beta * math.log(1 + ratio**beta)  # -2/beta log sigmoid(-beta log ratio)

    by_hand = (one(0.02 / 0.01) + one(0.4 / 0.8)) / 2
    assert npo.loss(torch.tensor(LOGP), reference, beta).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("beta", [0.05, 0.1, 2.0])
def test_npo_starts_at_two_log_two_by_beta(beta: float) -> None:
    logp = torch.tensor(LOGP)
    assert npo.loss(logp, logp, beta).item() == pytest.approx(2 / beta * math.log(2))


def test_npo_tends_to_gradient_ascent_as_beta_goes_to_zero() -> None:
    logp = torch.tensor(LOGP, dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-2.0, -3.0], dtype=torch.float64)
    (npo_gradient,) = torch.autograd.grad(npo.loss(logp, reference, 1e-6), logp)
    (ascent,) = torch.autograd.grad(logp.mean(), logp)
    assert torch.allclose(npo_gradient, ascent, rtol=1e-5)


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_padding_is_asked_nothing(extra: int) -> None:
    long = ([0] * (3 + extra) + [1], 1)
    together = batch(([0, 1, 2], 2), ([2, 3, 3], 1), long)
    with torch.no_grad():
        assert answer_logp(Bigram(), together)[:2].tolist() == pytest.approx(LOGP)


def test_padding_of_a_real_model_changes_nothing() -> None:
    model = tiny("qwen3")
    row = batch(([0, 9, 11, 12], 2))
    padded = batch(([0, 9, 11, 12], 2), ([0, 5, 6, 7, 8, 9, 10, 11], 3))
    with torch.no_grad():
        alone, together = answer_logp(model, row), answer_logp(model, padded)
    assert together[0].item() == pytest.approx(alone[0].item(), abs=1e-5)


def test_a_split_batch_has_the_same_sums() -> None:
    with torch.no_grad():
        whole = answer_logp(Bigram(), TWO)
        parts = [answer_logp(Bigram(), batch(r)) for r in (([0, 1, 2], 2), ([2, 3, 3], 1))]
    assert torch.cat(parts).tolist() == pytest.approx(whole.tolist())


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
    assert turn(3, 5, 7).tolist() == [0, 1, 2]
    assert [turn(5, 2, step).tolist() for step in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert sorted(i for step in range(5) for i in turn(5, 2, step).tolist()) == sorted(
        [*range(5)] * 2
    )
