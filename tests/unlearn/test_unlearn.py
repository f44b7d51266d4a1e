"""What unlearners share: shares of a step, adapters, stops; and what each does to a model."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.assets import Assets, Result
from ksmith.lm.delta import LowRank, applied, dense
from ksmith.lm.descend import Diverged
from ksmith.lm.sites import sites
from ksmith.lm.text import encode
from ksmith.measures import recalled
from ksmith.records import Request, TaskKind, UserError
from ksmith.settings import method as settings_of
from ksmith.unlearn import UNLEARNERS, ce_u
from ksmith.unlearn.relearn import unlearn as relearn
from tests.lm.keepers import Copies
from tests.lm.models import CONTEXTS, tiny, tokenizer
from tests.methods import assert_close, assets, kept, knowing, logp, request

THREE = ((0, 0), (0, 1), (1, 0))
ASKED = [request(draw, number, "unlearn") for draw, number in THREE]


@contextmanager
def knowing_model(kind: str = "llama") -> Generator[nn.Module]:
    """Yield a tiny model that knows what is asked for."""
    model = tiny(kind)
    with applied(model, knowing(kind, *THREE)):
        yield model


def run(name: str, model: nn.Module, asked: Sequence[Request] = ASKED, **more: Any) -> Result:
    layer = {"layer": 1} if name == "rmu" else {}
    hp = settings_of(name, {"steps": 3, **layer, **more})
    return UNLEARNERS[name](model, [asked], [kept()], hp, assets("llama"))[0]


SIGNED = ("ga", "graddiff", "npo", "simnpo", "dpo", "undial", "ce_u", "wga", "satimp")


@pytest.mark.parametrize("name", SIGNED)
def test_one_small_step_lowers_every_old_answer(name: str) -> None:
    with knowing_model() as model:
        result = run(name, model, steps=1, lr=0.02, retain_weight=0.0)
        for asked in ASKED:
            assert logp(model, asked, result.delta)[0] < logp(model, asked, {})[0], asked


@pytest.mark.parametrize("name", UNLEARNERS)
def test_a_step_in_pieces_is_the_step(name: str) -> None:
    """Of unlike sizes: means are over the tokens of all of it."""
    with knowing_model() as model:
        whole, pieces = run(name, model), run(name, model, accumulate=2)
        assert_close(whole.delta, pieces.delta, 2e-3)
        for part, values in whole.log["curve"].items():
            assert pieces.log["curve"][part] == pytest.approx(values, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["npo", "undial", "rmu", "relearn"])
def test_adapters_are_the_update(name: str) -> None:
    with knowing_model() as model:
        before = {n: w.clone() for n, w in model.named_parameters()}
        result = run(name, model, adapters=2, steps=4, lr=0.3)
        assert all(torch.equal(w, before[n]) for n, w in model.named_parameters())
        for block in result.delta.values():
            assert isinstance(block, LowRank) and block.left.shape[1] <= 2
        old = [logp(model, asked, delta)[0] for asked in ASKED for delta in ({}, result.delta)]
        assert sum(old[1::2]) < sum(old[::2])


def test_what_is_trainable() -> None:
    model = tiny("llama")
    counts = {
        t: len(run("ga", model, trainable=t, steps=1).delta) for t in ("mlp_out", "mlp", "all")
    }
    assert counts == {"mlp_out": 3, "mlp": 9, "all": 21}


def test_checkpointing_gives_the_same_delta() -> None:
    with knowing_model() as model:
        for name in ("npo", "rmu"):
            plain, again = (run(name, model, checkpointing=c) for c in (False, True))
            assert_close(plain.delta, again.delta, 1e-4)


@pytest.mark.parametrize("name", ["npo", "rmu", "relearn"])
def test_it_stops_where_it_was_told_to(name: str) -> None:
    with knowing_model() as model:
        asks = [replace(ASKED[0], old="sea lion"), *ASKED[1:]]
        start = told(model, asks, {})
        stopped = run(name, model, asks, steps=30, lr=0.3, stop_forget=start / 2)
        log = stopped.log["stopped"]
        assert 0 < log["step"] < 29
        assert log["old"] <= start / 2
        assert len(stopped.log["curve"]["forget"]) == log["step"] + 1
        assert told(model, asks, stopped.delta) == pytest.approx(log["old"], rel=1e-3)
        assert "unmet" not in stopped.log and "unmet" not in run(name, model, asks).log
        on = run(name, model, asks, steps=2, stop_forget=1e-30).log
        assert "stopped" not in on and on["unmet"]["steps"] == 2 and on["unmet"]["old"] > 1e-30
        few = run(name, model, asks, steps=2, batch=1, stop_forget=1e-30).log["unmet"]
        assert few["old"] is None  # the third never had its turn


def told(model: nn.Module, asks: Sequence[Request], delta: Any) -> float:
    """Return memory.probability: over facts, the mean of exp(mean log p of the tokens)."""
    found: list[float] = []
    with applied(model, delta), torch.no_grad():
        for one in asks:
            batch = encode(tokenizer(), [one.prompt], [one.old])
            logits = cast(Any, model)(input_ids=batch.ids).logits[0].double().log_softmax(-1)
            places = batch.answer[0].nonzero()[:, 0].tolist()
            logps = [float(logits[place - 1, batch.ids[0, place]]) for place in places]
            found.append(recalled.probability(np.array(logps)))
    return sum(found) / len(found)


@pytest.mark.parametrize("how", ["kl", "both"])
def test_kl_keeps_the_retain_set_where_it_was(how: str) -> None:
    """It is zero at the start, as a mean over the set, and is what holds the model."""
    model = tiny("llama")
    plain, held = (run("graddiff", model, retain_loss=r, steps=6) for r in ("nll", how))
    first = held.log["curve"]["retain"][0]
    nll = plain.log["curve"]["retain"][0]
    assert first == pytest.approx(0 if how == "kl" else nll, abs=1e-5)
    assert min(held.log["curve"]["retain"][1:]) > 0


def test_a_method_without_a_retain_term_runs_none() -> None:
    for name in ("ga", "undial", "ce_u"):
        assert set(run(name, tiny("llama")).log["curve"]) == {"forget"}


# Few facts a step, so that turns differ; what changes along the way besides weights, too.
GOING: dict[str, Any] = {
    "steps": 3,
    "batch": 2,
    "accumulate": 2,
    "warmup": 3,
    "stop_forget": 1e-9,
    "trainable": "mlp_out",
}
OWN: dict[str, dict[str, Any]] = {  # of the others, what is left between steps is the same
    "npo": {"adapters": 2},
    "dpo": {},
    "pdu": {"dual_warmup": 0, "epsilon": 0.1},
    "rmu": {"layer": 1},
    "undial": {"checkpointing": True},
    "ce_u": {"retain_weight": 1.0},
}


@pytest.mark.parametrize(("dtype", "step"), [("float32", 1), ("bfloat16", 2)])
@pytest.mark.parametrize("name", OWN)
def test_an_interrupted_descent_goes_on_to_the_same_bits(
    name: str, dtype: str, step: int, tmp_path: Path
) -> None:
    model = tiny("llama", getattr(torch, dtype))
    hp = settings_of(name, {**GOING, **OWN.get(name, {})})

    def descended(copies: Copies) -> Result:
        def keeper(_draw: Sequence[Request]) -> Copies:
            return copies

        given = replace(assets("llama"), keeper=keeper)
        return UNLEARNERS[name](model, [ASKED], [kept()], hp, given)[0]

    whole = descended(Copies(tmp_path))
    again = descended(Copies(tmp_path, take=step))
    assert again.log == whole.log
    for part, block in whole.delta.items():
        assert torch.equal(dense(block), dense(again.delta[part])), part


@contextmanager
def room_for(model: nn.Module, rows: int) -> Generator[list[int]]:
    """Yield the sizes of passes; of more than so many rows, one ends in the middle of a block."""
    sizes: list[int] = []

    def look(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
        sizes.append(len(given[0]))
        if len(given[0]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    handle = model.get_submodule(sites(model).mlp_out(1)).register_forward_pre_hook(look)
    try:
        yield sizes
    finally:
        handle.remove()


@pytest.mark.parametrize("name", UNLEARNERS)
def test_what_does_not_fit_is_run_in_halves_and_the_numbers_stay(name: str) -> None:
    """The same facts in each step, and the same loss: of three of each set, one at a time."""
    with knowing_model() as model:
        bits = {n: w.clone() for n, w in model.named_parameters()}
        whole = run(name, model, retain_weight=1.0)
        with room_for(model, 3) as sizes:
            small = run(name, model, retain_weight=1.0)
        assert max(sizes) > 3 and sum(size > 3 for size in sizes) < len(sizes) / 3
        assert_close(whole.delta, small.delta, 2e-3)
        for part, values in whole.log["curve"].items():
            assert small.log["curve"][part] == pytest.approx(values, rel=1e-4, abs=1e-6)
        assert "halved" not in whole.log and small.log["halved"]["pieces"] > 1
        assert all(torch.equal(w, bits[n]) for n, w in model.named_parameters())
        with room_for(model, 0), pytest.raises(torch.OutOfMemoryError):
            run(name, model, retain_weight=1.0)


def test_progress_is_told_in_steps_of_all_draws() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int, _text: str) -> None:
        told.append((done, total))

    hp = settings_of("ga", {"steps": 3})
    UNLEARNERS["ga"](
        tiny("llama"), [ASKED[:1], [], ASKED[1:]], [[]] * 3, hp, assets("llama"), tell
    )
    assert {total for _, total in told} == {9}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {0, 1, 2, 3, 6, 8, 9} <= {done for done, _ in told}


def test_a_draw_that_diverges_is_named() -> None:
    model = tiny("llama")
    hp = settings_of("ga", {"steps": 8, "lr": 1e38})
    with pytest.raises(Diverged, match=r"draw 1: .* step \d"):
        UNLEARNERS["ga"](model, [[], ASKED], [[]] * 2, hp, assets("llama"))
    with pytest.raises(Diverged, match=r"^the loss"):
        UNLEARNERS["ga"](model, [ASKED], [[]], hp, assets("llama"))


ANSWERS = [replace(ASKED[0], id=f"0.{i}", old=f"sea{' lion' * i}") for i in range(3)]
LAST = replace(ASKED[1], template="The emblem of {}")  # no word between subject and answer
ODD = [
    (ASKED[:1], kept()[:1]),  # in more pieces than there are facts
    ([*ANSWERS, LAST], []),  # several answers of one question; of all tokens, or one
    ([replace(ASKED[0], old=kept()[0].object), ASKED[0]], kept()),
]


@pytest.mark.parametrize("name", UNLEARNERS)
def test_odd_sets_are_sets(name: str) -> None:
    more = {"ce_u": {"skip": 2}, "rmu": {"layer": 1}}.get(name, {})
    hp = settings_of(name, {"steps": 1, "accumulate": 2, "stop_forget": 1e-9, **more})
    draws, keeps = zip(*ODD, strict=True)
    found = UNLEARNERS[name](tiny("llama"), draws, keeps, hp, assets("llama"))
    assert len(found) == len(ODD)
    for one in found:
        assert any(dense(block).any() for block in one.delta.values())
        assert math.isfinite(one.log["curve"]["forget"][0])


@pytest.mark.parametrize("name", UNLEARNERS)
def test_an_empty_answer_is_refused(name: str) -> None:
    learnt = {"new" if name == "relearn" else "old": " "}
    with pytest.raises(UserError, match="empty answer to the prompt"):
        run(name, tiny("llama"), [replace(ASKED[0], **learnt)])


@pytest.mark.parametrize("name", ["dpo", "relearn"])
@pytest.mark.parametrize("kind", ["unlearn", "edit"])
def test_who_has_no_target_but_the_old_answer_is_named(name: str, kind: TaskKind) -> None:
    old = ASKED[1].old
    lost = replace(ASKED[1], kind=kind, new=old, others=(old,))
    with pytest.raises(UserError, match=f"request 0.1, .*in the place of {old!r}"):
        run(name, tiny("llama"), [ASKED[0], lost])


# --- each by itself ---------------------------------------------------------------------------


def test_rmu_moves_the_layers_up_to_the_steered_one() -> None:
    model = tiny("llama")
    s = sites(model)
    assert set(run("rmu", model, layer=0).delta) == {s.weight(0)}
    assert set(run("rmu", model, layer=2).delta) == {s.weight(i) for i in range(3)}
    one, again = (run("rmu", model, layer=1) for _ in range(2))
    assert all(torch.equal(dense(one.delta[n]), dense(again.delta[n])) for n in one.delta)
    assert one.log["curve"]["retain"][0] == 0


def test_pdu_tells_lambda_and_its_bound() -> None:
    with knowing_model() as model:
        result = run("pdu", model, steps=8, dual_warmup=3, dual_step=0.05)
        course, curve = result.log["lambda"], result.log["curve"]
        assert curve["forget"][0] == pytest.approx(1.0)  # a share of what it was
        assert course[:4] == [1.0] * 4 and len(course) == 8
        start = curve["retain"][0]
        assert result.log["epsilon"] == pytest.approx(1.05 * start, rel=1e-4)
        assert all(course)
        for i in range(3, 7):
            retain = curve["retain"][i] / course[i]
            wanted = course[i] + 0.05 * (retain - result.log["epsilon"])
            assert course[i + 1] == pytest.approx(wanted, rel=1e-4)


def test_ce_u_skips_the_first_tokens_of_longer_answers() -> None:
    assert ce_u.counted(torch.tensor([1, 2, 3, 5]), skip=2).tolist() == [1, 2, 1, 3]
    two_tokens = replace(ASKED[0], old="sea lion")
    with knowing_model() as model:
        skipping, all_of_it = (run("ce_u", model, [two_tokens], skip=n) for n in (1, 0))
        assert not torch.equal(
            dense(next(iter(skipping.delta.values()))),
            dense(next(iter(all_of_it.delta.values()))),
        )
        one, other = (run("ce_u", model, ASKED[:1], skip=n).delta for n in (1, 0))
        assert_close(one, other, 1e-6)


def test_dpo_prefers_each_of_several_targets_and_never_the_old_one() -> None:
    alike = replace(ASKED[0], new="raven", others=("otter", ASKED[0].old))
    with knowing_model() as model:
        result = run("dpo", model, [alike], steps=8, retain_weight=0.0)
        assert logp(model, alike, result.delta)[0] < logp(model, alike, {})[0]
        for name in ("raven", "otter"):
            asked = replace(alike, new=name)
            assert logp(model, asked, result.delta)[1] > logp(model, asked, {})[1], name


def test_relearn_learns_what_it_is_given_instead() -> None:
    one = ASKED[0]
    instead = {one.id: [(one.prompt, "unknown"), (f"{one.subject} has the emblem", "unknown")]}
    given = Assets(tokenizer=tokenizer(), seed=0, contexts=CONTEXTS, instead=instead)
    hp = settings_of("relearn", {"steps": 6})
    with knowing_model() as model:
        (result,) = relearn(model, [[one]], [kept()], hp, given)
        assert result.log["questions"] == 2
        for template in ("{} has the emblem", one.template):
            other = replace(one, template=template)
            assert logp(model, other, result.delta)[1] > logp(model, other, {})[1]


def test_dpo_prefers_the_text_of_each_turn() -> None:
    """Two turns of one fact: the second step's pair is of the second text."""
    one = ASKED[0]
    texts = {one.id: [(one.prompt, "raven"), (one.prompt, "otter")]}
    given = Assets(tokenizer=tokenizer(), seed=0, contexts=CONTEXTS, instead=texts)
    hp = settings_of("dpo", {"steps": 8, "retain_weight": 0.0})
    with knowing_model() as model:
        (result,) = UNLEARNERS["dpo"](model, [[one]], [[]], hp, given)
        assert logp(model, one, result.delta)[0] < logp(model, one, {})[0]
        for name in ("raven", "otter"):
            asked = replace(one, new=name)
            assert logp(model, asked, result.delta)[1] > logp(model, asked, {})[1], name
