"""The equations of unlearning by hand: three answer tokens, a vocabulary of five words."""

import math

import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.descend import answer_logp
from ksmith.lm.said import Said, kl, nll, said
from ksmith.lm.text import Batch
from ksmith.unlearn import ce_u, dpo, graddiff, npo, pdu, rmu, satimp, simnpo, undial, wga
from tests.lm.models import tiny

# Probabilities of five words after each of four tokens; rows sum to one.
EXACT = torch.tensor(
    [
        [0.10, 0.20, 0.30, 0.20, 0.20],
        [0.50, 0.20, 0.10, 0.10, 0.10],
        [0.20, 0.20, 0.20, 0.20, 0.20],
        [0.05, 0.05, 0.10, 0.40, 0.40],
    ],
    dtype=torch.float64,
)
TABLE = EXACT.float()


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


# The same three tokens, 1 2 and 3, as the losses see them.
ROWS = EXACT[[0, 1, 3]]
THREE = Said(ROWS.log(), torch.tensor([1, 2, 3]), torch.tensor([0, 0, 1]), 2)
P = [0.2, 0.1, 0.4]
TOKENS = torch.tensor([2, 1])


def exactly(value: Tensor, by_hand: float) -> None:
    assert value.item() == pytest.approx(by_hand, rel=1e-12)


def test_log_probabilities_by_hand() -> None:
    with torch.no_grad():
        assert answer_logp(Bigram(), TWO).tolist() == pytest.approx(LOGP)


def test_what_is_said_by_hand() -> None:
    with torch.no_grad():
        found = said(Bigram(), TWO)
    assert torch.allclose(found.logits.double(), THREE.logits)
    for name in ("gold", "row", "tokens", "place"):
        assert torch.equal(getattr(found, name), getattr(THREE, name)), name
    assert found.place.tolist() == [0, 1, 0]
    assert found.summed(found.logp).tolist() == pytest.approx(LOGP)


def test_parts_of_what_is_said_are_what_is_said_of_parts() -> None:
    for counts in ([2], [1, 1]):
        found = THREE.split(counts)
        assert torch.cat([part.summed(part.logp) for part in found]).tolist() == pytest.approx(
            LOGP
        )
        assert [part.n for part in found] == counts
        assert all(int(part.row.max()) == part.n - 1 for part in found)


def test_nll_is_the_mean_over_tokens_not_over_answers() -> None:
    by_hand = -(math.log(0.2) + math.log(0.1) + math.log(0.4)) / 3
    assert nll(torch.tensor(LOGP), TOKENS).item() == pytest.approx(by_hand)


def test_kl_by_hand() -> None:
    """Of the reference against the model, and zero where they agree."""
    other = EXACT[[2, 2, 2]]
    by_hand = sum(
        q * math.log(q / p)
        for row, now in zip(other.tolist(), ROWS.tolist(), strict=True)
        for q, p in zip(row, now, strict=True)
    )
    exactly(kl(other.log(), ROWS.log(), TOKENS), by_hand / 3)
    exactly(kl(ROWS.log() + 7, ROWS.log(), TOKENS) + 1, 1.0)


def test_graddiff_is_the_negative_nll() -> None:
    by_hand = (math.log(0.2) + math.log(0.1) + math.log(0.4)) / 3
    exactly(graddiff.loss(THREE.summed(THREE.logp), TOKENS), by_hand)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_npo_by_hand() -> None:
    reference = torch.tensor([math.log(0.01), math.log(0.8)], dtype=torch.float64)
    beta = 0.5

    def one(ratio: float) -> float:
        return 2 / beta * math.log(1 + ratio**beta)  # -2/beta log sigmoid(-beta log ratio)

    by_hand = (one(0.02 / 0.01) + one(0.4 / 0.8)) / 2
    exactly(npo.loss(THREE.summed(THREE.logp), reference, beta, 2), by_hand)


@pytest.mark.parametrize("beta", [0.05, 0.1, 2.0])
def test_npo_and_dpo_start_at_two_log_two_by_beta(beta: float) -> None:
    logp = THREE.summed(THREE.logp)
    exactly(npo.loss(logp, logp, beta, 2), 2 / beta * math.log(2))
    exactly(dpo.loss(logp - logp, logp - logp, beta, 2), 2 / beta * math.log(2))


def test_npo_tends_to_gradient_ascent_as_beta_goes_to_zero() -> None:
    logp = torch.tensor(LOGP, dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-2.0, -3.0], dtype=torch.float64)
    (npo_gradient,) = torch.autograd.grad(npo.loss(logp, reference, 1e-6, 2), logp)
    (ascent,) = torch.autograd.grad(logp.mean(), logp)
    assert torch.allclose(npo_gradient, ascent, rtol=1e-5)


def test_simnpo_by_hand() -> None:
    """The mean over an answer's tokens: of the first .1505 nats less than of its sum."""
    beta, delta = 4.5, 0.25
    means = [-(math.log(0.2) + math.log(0.1)) / 2, -math.log(0.4)]
    by_hand = sum(2 / beta * softplus(-beta * (mean - delta)) for mean in means) / 2
    exactly(simnpo.loss(THREE.summed(THREE.logp), THREE.tokens, beta, delta, 2), by_hand)


def test_dpo_by_hand() -> None:
    """A preferred answer twice as likely as before, a rejected one half: ratios of 4."""
    up, down = (torch.tensor([math.log(x)], dtype=torch.float64) for x in (2.0, 0.5))
    exactly(dpo.loss(up, down, 0.5, 1), 2 / 0.5 * softplus(-0.5 * math.log(4)))


def test_undial_by_hand() -> None:
    """The true token's logit is lowered by beta; with beta = log 2 its probability halves."""
    wanted = undial.target(ROWS.log(), THREE.gold, math.log(2))
    by_hand = 0.0
    for i, (gold, p) in enumerate(zip(THREE.gold.tolist(), P, strict=True)):
        weights = [q / 2 if k == gold else q for k, q in enumerate(ROWS[i].tolist())]
        target = [w / (1 - p / 2) for w in weights]
        assert wanted[i].tolist() == pytest.approx(target, rel=1e-12)
        by_hand -= sum(q * math.log(r) for q, r in zip(target, ROWS[i].tolist(), strict=True))
    exactly(undial.loss(THREE.logits, wanted, TOKENS), by_hand / 3)


def test_undial_lowers_no_other_word() -> None:
    """Not the last of the vocabulary either, where a masked label of -100 would point."""
    ratio = undial.target(ROWS.log(), THREE.gold, 10.0) / ROWS
    for i, gold in enumerate(THREE.gold.tolist()):
        others = [k for k in range(5) if k != gold]
        assert torch.allclose(ratio[i, others], ratio[i, others[0]].expand(4))
        assert ratio[i, gold] < 1e-3 * ratio[i, 4 if gold != 4 else 0]


def test_ce_u_by_hand() -> None:
    by_hand = 0.0
    for i, (gold, p) in enumerate(zip(THREE.gold.tolist(), P, strict=True)):
        rest = [q for k, q in enumerate(ROWS[i].tolist()) if k != gold]
        by_hand -= sum(q / (1 - p) * math.log(q) for q in rest)
    exactly(ce_u.loss(THREE.logits, THREE.gold, 3), by_hand / 3)


def test_no_gradient_goes_through_ce_us_target() -> None:
    """p - q, with q the target: what is true is lowered, all else raised in proportion."""
    logits = ROWS.log().requires_grad_()
    (gradient,) = torch.autograd.grad(ce_u.loss(logits, THREE.gold, 1), logits)
    for i, (gold, p) in enumerate(zip(THREE.gold.tolist(), P, strict=True)):
        wanted = [q - (0 if k == gold else q / (1 - p)) for k, q in enumerate(ROWS[i].tolist())]
        assert gradient[i].tolist() == pytest.approx(wanted, rel=1e-9)


def test_wga_by_hand() -> None:
    for beta in (0.0, 1.0, 2.0):
        by_hand = sum(p**beta * math.log(p) for p in P) / 3
        exactly(wga.loss(THREE.logp, beta, TOKENS), by_hand)


def test_satimp_by_hand() -> None:
    by_hand = sum(p**5 * (1 - p) * math.log(p) for p in P) / 3
    exactly(satimp.loss(THREE.logp, 5.0, 1.0, TOKENS), by_hand)
    sure = torch.tensor(
        [-1e-12], dtype=torch.float64
    )  # 1 - p is no difference of rounded numbers
    exactly(satimp.loss(sure, 5.0, 1.0, torch.tensor(1)), -1e-24)


@pytest.mark.parametrize("name", ["wga", "satimp"])
def test_no_gradient_goes_through_a_weight(name: str) -> None:
    logp = torch.tensor([math.log(p) for p in P], dtype=torch.float64, requires_grad=True)
    loss = {
        "wga": lambda: wga.loss(logp, 1.0, TOKENS),
        "satimp": lambda: satimp.loss(logp, 5.0, 1.0, TOKENS),
    }
    weights = {"wga": P, "satimp": [p**5 * (1 - p) for p in P]}[name]
    (gradient,) = torch.autograd.grad(loss[name](), logp)
    assert gradient.tolist() == pytest.approx([weight / 3 for weight in weights], rel=1e-12)


def test_pdu_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    exactly(pdu.loss(logits, 2), (6 - 3) ** 2 / 2)


def test_the_weight_of_pdus_bound_by_hand() -> None:
    bound = pdu.Bound(weight=1.0, epsilon=0.5, step=2.0, warmup=2)
    for step, retain in enumerate([0.9, 0.9, 0.9, 0.1, 0.0, 0.6]):
        bound.after(step, retain)
    # + 2 (.9 - .5), + 2 (.1 - .5), + 2 (0 - .5), + 2 (.6 - .5): after each step from the third on
    assert bound.course == pytest.approx([1.0, 1.0, 1.0, 1.8, 1.0, 0.0])
    assert bound.weight == pytest.approx(0.2)


def test_rmu_by_hand() -> None:
    states = torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    wanted = torch.tensor([0.0, 4.0], dtype=torch.float64)
    exactly(rmu.loss(states, wanted, size=2.0, count=2), (9 + 16) / 2 / 4)


def test_rmus_direction_is_of_length_one_and_its_seeds() -> None:
    one, again, other = (rmu.direction(50, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.norm().item() == pytest.approx(1) and bool((one >= 0).all())


def test_a_share_of_a_step_counts_as_much_as_it_has() -> None:
    """Two shares of unlike sizes add up to the whole."""
    reference = torch.tensor([-2.0, -3.0], dtype=torch.float64)
    wanted = undial.target(ROWS.log(), THREE.gold, 3.0)

    def all_of(part: Said, rows: slice, at: slice) -> list[Tensor]:
        logp = part.summed(part.logp)
        return [
            graddiff.loss(logp, TOKENS),
            npo.loss(logp, reference[rows], 0.1, 2),
            simnpo.loss(logp, part.tokens, 4.5, 0.0, 2),
            dpo.loss(logp, reference[rows], 0.1, 2),
            undial.loss(part.logits, wanted[at], TOKENS),
            ce_u.loss(part.logits, part.gold, 3),
            wga.loss(part.logp, 1.0, TOKENS),
            satimp.loss(part.logp, 5.0, 1.0, TOKENS),
            pdu.loss(part.logits, 3),
            kl(wanted[at].log(), part.logits, TOKENS),
        ]

    first, second = THREE.split([1, 1])
    whole = all_of(THREE, slice(2), slice(3))
    shares = (
        all_of(first, slice(1), slice(2)),
        all_of(second, slice(1, 2), slice(2, 3)),
    )
    for value, one, other in zip(whole, *shares, strict=True):
        exactly(one + other, value.item())


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
