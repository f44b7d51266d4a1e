"""What the descent is given, against textbook losses in float64: on a model, in its second step.

The first step is at the weights before, where half of the losses are constants. Each row goes
through the whole model by itself, labels are -100 wherever nothing is learnt, and log-softmax,
sums and means are NumPy's: nothing of `ksmith.lm.said` or `ksmith.unlearn` is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ksmith.lm.assets import Result
from ksmith.lm.delta import applied
from ksmith.lm.sites import as_rows
from ksmith.lm.text import encode
from ksmith.records import derived_seed
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS
from ksmith.unlearn.rmu import direction
from tests.lm.models import ended, tiny, tokenizer
from tests.methods import assets, kept, knowing
from tests.unlearn.test_unlearn import ASKED, THREE

Floats = NDArray[np.float64]
OLD = [(request.prompt, request.old) for request in ASKED]
NEW = [(request.prompt, request.new) for request in ASKED]
KEPT = [(statement.prompt, statement.object) for statement in kept()]


@dataclass(frozen=True)
class Row:
    """One answer: the logits where its tokens are said, and these."""

    z: Floats  # (tokens, vocab)
    gold: list[int]

    @property
    def log(self) -> Floats:
        """Log-softmax, (tokens, vocab)."""
        top = self.z.max(-1, keepdims=True)
        return self.z - top - np.log(np.exp(self.z - top).sum(-1, keepdims=True))

    @property
    def logp(self) -> Floats:
        """Of the tokens, (tokens,)."""
        return self.log[np.arange(len(self.gold)), self.gold]


def labelled(prompt: str, answer: str, *, end: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a row's tokens, the end token among them, and which of them are labels."""
    batch = encode(tokenizer(), [prompt], [answer])
    more = [tokenizer().eos_token_id] * end
    ids = torch.tensor([*batch.ids[0].tolist(), *more])
    return ids, torch.tensor([*batch.answer[0].tolist(), *[True] * end])


def rows(model: nn.Module, pairs: Sequence[tuple[str, str]], *, end: bool = False) -> list[Row]:
    """Return what the whole model says of each answer, one row after the other."""
    found: list[Row] = []
    for prompt, answer in pairs:
        ids, answered = labelled(prompt, answer, end=end)
        labels = torch.where(answered, ids, -100)[1:]
        with torch.no_grad():
            logits: Any = model(input_ids=ids[None])
        at = (labels != -100).nonzero()[:, 0]
        found.append(Row(logits.logits[0, at].double().numpy(), labels[at].tolist()))
    return found


def total(found: Sequence[Row]) -> Floats:
    return np.array([row.logp.sum() for row in found])


def flat(found: Sequence[Row]) -> Floats:
    return np.concatenate([row.logp for row in found])


def nll(found: Sequence[Row]) -> float:
    return float(-flat(found).mean())


def softplus(x: Floats) -> Floats:
    return np.logaddexp(0, x)


def distilled(now: Sequence[Row], before: Sequence[Row], beta: float) -> float:
    """Return the mean cross entropy to softmax(z_ref - beta onehot)."""
    values: list[float] = []
    for row, ref in zip(now, before, strict=True):
        for i, gold in enumerate(row.gold):
            z = ref.z[i].copy()
            z[gold] -= beta
            target = np.exp(z - z.max())
            values.append(float(-(target / target.sum()) @ row.log[i]))
    return float(np.mean(values))


def barred(now: Sequence[Row], ends: int = 1) -> float:
    """Return the mean cross entropy without the true token: of all but a first of several."""
    values: list[float] = []
    for row in now:
        skipped = 1 if len(row.gold) > 1 + ends else 0
        for i, gold in list(enumerate(row.gold))[skipped:]:
            p = np.exp(row.log[i])
            p[gold] = 0
            values.append(float(-(p / p.sum()) @ row.log[i]))
    return float(np.mean(values))


def margin(found: Sequence[Row]) -> float:
    """Return the mean over tokens of (max z - mean z)^2."""
    return float(np.mean([(z.max() - z.mean()) ** 2 for row in found for z in row.z]))


Loss = Callable[[list[Row], list[Row], list[Row], list[Row]], float]
FORGET: dict[str, tuple[dict[str, Any], Loss]] = {
    # name -> settings, loss(old answers now, before; new answers now, before)
    "ga": ({}, lambda now, _b, _n, _m: -nll(now)),
    "graddiff": ({"forget_weight": 0.7}, lambda now, _b, _n, _m: -0.7 * nll(now)),
    "npo": (
        {"beta": 0.3},
        lambda now, was, _n, _m: 2 / 0.3 * softplus(0.3 * (total(now) - total(was))).mean(),
    ),
    "simnpo": (
        {"beta": 2.5, "delta": 0.1, "forget_weight": 1.0},
        lambda now, _b, _n, _m: (
            2 / 2.5 * softplus(-2.5 * (np.array([-r.logp.mean() for r in now]) - 0.1)).mean()
        ),
    ),
    "dpo": (
        {"beta": 0.3},
        lambda now, was, new, new_was: (
            2
            / 0.3
            * softplus(
                -0.3 * ((total(new) - total(new_was)) - (total(now) - total(was)))
            ).mean()
        ),
    ),
    "undial": ({"beta": 3.0}, lambda now, was, _n, _m: distilled(now, was, 3.0)),
    "ce_u": ({}, lambda now, _b, _n, _m: barred(now)),
    "wga": (
        {"beta": 0.5},
        lambda now, _b, _n, _m: float((np.exp(0.5 * flat(now)) * flat(now)).mean()),
    ),
    "satimp": (
        {"beta1": 2.0, "beta2": 0.5, "forget_weight": 0.1},
        lambda now, _b, _n, _m: float(
            0.1 * (np.exp(2 * flat(now)) * (1 - np.exp(flat(now))) ** 0.5 * flat(now)).mean()
        ),
    ),
    "pdu": ({}, lambda now, was, _n, _m: margin(now) / margin(was)),
    "relearn": ({}, lambda _now, _b, new, _m: nll(new)),
}


def model_that_knows() -> nn.Module:
    model = tiny("llama")
    with applied(model, knowing("llama", *THREE)):
        state = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.load_state_dict(state)
    return model.double()


def run(name: str, model: nn.Module, *, end: bool = False, **more: Any) -> Result:
    hp = settings_of(name, {"retain_weight": 1.0, "trainable": "all", "lr": 0.1, **more})
    given = replace(assets("llama"), tokenizer=ended()) if end else assets("llama")
    return UNLEARNERS[name](model, [ASKED], [kept()], hp, given)[0]


# Whose loss says nothing at the weights before, or looks at where in an answer a token stands:
# these are tried with the token that ends an answer among the labels, others in one step below.
ENDED = ("ga", "npo", "dpo", "pdu", "ce_u", "undial", "relearn")


@pytest.mark.parametrize("name", FORGET)
def test_what_descends_is_the_published_loss(name: str) -> None:
    own, loss = FORGET[name]
    end, model = name in ENDED, model_that_knows()
    sets = (OLD, NEW, KEPT)
    old, new, retain = (rows(model, pairs, end=end) for pairs in sets)
    first = run(name, model, end=end, steps=1, **own).delta
    curve = run(name, model, end=end, steps=2, **own).log["curve"]
    with applied(model, first):
        old_now, new_now, retain_now = (rows(model, pairs, end=end) for pairs in sets)
    assert total(old_now) != pytest.approx(total(old), abs=1e-3)
    assert curve["forget"][0] == pytest.approx(loss(old, old, new, new), rel=1e-6)
    assert curve["forget"][1] == pytest.approx(loss(old_now, old, new_now, new), rel=1e-6)
    apart = np.concatenate(
        [
            (np.exp(was.log) * (was.log - now.log)).sum(-1)
            for was, now in zip(retain, retain_now, strict=True)
        ]
    )
    wanted = nll(retain_now) + (apart.mean() if name == "relearn" else 0.0)
    assert curve["retain"][1] == pytest.approx(wanted, rel=1e-6)


def test_the_end_of_an_answer_is_a_label_of_all() -> None:
    model = model_that_knows()
    old, retain = (rows(model, pairs, end=True) for pairs in (OLD, KEPT))
    assert nll(old) != pytest.approx(nll(rows(model, OLD)), abs=1e-2)
    for name in FORGET.keys() - {*ENDED}:
        own, loss = FORGET[name]
        curve = run(name, model, end=True, steps=1, **own).log["curve"]
        assert curve["forget"][0] == pytest.approx(loss(old, old, [], []), rel=1e-6), name
        assert curve["retain"][0] == pytest.approx(nll(retain), rel=1e-6), name


def test_every_loss_of_words_is_held_to_its_textbook() -> None:
    assert {*FORGET, "rmu"} == UNLEARNERS.keys()  # rmu's is of states: see below


def states(
    model: nn.Module,
    layer: int,
    pairs: Sequence[tuple[str, str]],
    subjects: Sequence[str],
    end: bool,
) -> Floats:
    """Return the states after a block from the subject's last token on, (tokens, d_model).

    Up to where a row's last token is said: with `end` that is the answer's last word.
    """
    found: list[torch.Tensor] = []

    def look(_module: nn.Module, _given: object, out: Any) -> None:
        found.append(as_rows(out, 1)[0])

    handle = model.get_submodule(f"model.layers.{layer}").register_forward_hook(look)
    firsts: list[int] = []
    for (prompt, answer), subject in zip(pairs, subjects, strict=True):
        ids, _ = labelled(prompt, answer, end=end)
        before = prompt[: prompt.index(subject) + len(subject)]
        firsts.append(len(encode(tokenizer(), [before], ["otter"]).ids[0]) - 2)  # of one token
        with torch.no_grad():
            model(input_ids=ids[None])
    handle.remove()
    mine = [h[first:-1] for h, first in zip(found, firsts, strict=True)]
    return torch.cat(mine).numpy()


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_rmu_steers_to_c_times_the_norm_of_the_states(layer: int) -> None:
    """From the states of the whole model."""
    model = model_that_knows()
    names = [request.subject for request in ASKED]
    others = [statement.subject for statement in kept()]
    end = layer == 1
    own = {"layer": layer, "c": 1.5, "trainable": "mlp_out", "lr": 0.5}
    first = run("rmu", model, end=end, steps=1, **own)
    curve = run("rmu", model, end=end, steps=2, **own).log["curve"]
    old, retain = (states(model, layer, *of, end) for of in ((OLD, names), (KEPT, others)))
    with applied(model, first.delta):
        now = states(model, layer, OLD, names, end)
        retain_now = states(model, layer, KEPT, others, end)
    size = np.linalg.norm(old, axis=1).mean()
    assert first.log["norm"] == pytest.approx(size, rel=1e-6)
    seed = derived_seed(0, "rmu", ASKED[0].id)
    astray = 1.5 * size * direction(old.shape[1], seed).double().numpy()
    for step, there in enumerate((old, now)):
        wanted = (np.square(there - astray).sum(1) / size**2).mean()
        assert curve["forget"][step] == pytest.approx(wanted, rel=1e-6)
    for step, there in enumerate((retain, retain_now)):
        wanted = (np.square(there - retain).sum(1) / size**2).mean()
        assert curve["retain"][step] == pytest.approx(wanted, rel=1e-6, abs=1e-12)
