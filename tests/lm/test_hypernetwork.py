"""MEND's network: one step of descent at first, and what training makes of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ksmith.graph.practice import Lesson
from ksmith.lm import hypernetwork_file as files
from ksmith.lm.delta import applied
from ksmith.lm.descend import answer_logp, answer_words, answers
from ksmith.lm.factors import factors
from ksmith.lm.hypernetwork import Hypernetwork, fresh, matrices, measured
from ksmith.lm.sites import sites
from ksmith.lm.teach import Training, counted, judged, train
from ksmith.records import Request, Statement, UserError
from ksmith.settings.mend import Mend
from tests.lm.models import LAYERS, OBJECTS, SUBJECTS, TEMPLATES, in_float64, tiny, tokenizer
from tests.methods import assert_untouched, bits, request

MLP: Any = ("mlp_in", "mlp_out")
HP = Mend(steps=8, edits=(2,), lr=0.1, lr_lr=0.3)


def lesson(start: int, updates: int = 2) -> Lesson:
    """Return updates of two facts each, with one more to keep for each of them."""
    asked: list[Request] = []
    again: list[Statement] = []
    kept: list[Statement] = []
    for i in range(start, start + 2 * updates):
        one = replace(request(0, 0), subject=SUBJECTS[i % 4], new=OBJECTS[(i + 1) % 6])
        one = replace(one, template=TEMPLATES[i % 3])
        asked.append(one)
        again.append(Statement(one.subject, "emblem", one.new, TEMPLATES[(i + 1) % 3]))
        kept.append(Statement(SUBJECTS[4 + i % 2], "emblem", OBJECTS[i % 6], TEMPLATES[i % 3]))
    return Lesson(updates=updates, asked=tuple(asked), again=tuple(again), kept=tuple(kept))


def network(model: nn.Module, rank: int = 3) -> Hypernetwork:
    """Return the network before its training."""
    chosen = matrices(model, None, MLP, 2)
    sums = counted(model, tokenizer(), chosen, [lesson(0), lesson(3)])
    dtype = next(model.parameters()).dtype
    known = measured(model, chosen, sums, dtype)
    return fresh(chosen, known, rank, 0.02, torch.Generator().manual_seed(1))


def moved(one: Hypernetwork, seed: int = 2, size: float = 0.3) -> Hypernetwork:
    """Return the network with all its parameters moved: no identity any more."""
    generator = torch.Generator().manual_seed(seed)
    return one.with_learnt(
        {
            name: tensor + size * torch.randn(tensor.shape, generator=generator).to(tensor)
            for name, tensor in one.learnt.items()
        }
    )


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_at_first_an_edit_is_one_step_of_descent(kind: str) -> None:
    model = in_float64(kind)
    own = network(model)
    batch = answers(tokenizer(), lesson(0).asked, [r.new for r in lesson(0).asked])
    names = [f"{m.name}.weight" for m in own.matrices]
    leaves = {n: model.get_parameter(n).clone().requires_grad_() for n in names}
    loss = -answer_logp(model, batch, leaves).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    found, _ = factors(model, batch, torch.ones(len(batch.ids)), [m.name for m in own.matrices])
    for matrix, gradient in zip(own.matrices, gradients, strict=True):
        u, d, felt = found[matrix.name].parts()
        block = own.change(matrix, u[felt], d[felt]).dense()
        step = float(own.step(matrix))
        torch.testing.assert_close(
            block, -step * sites(model).maths(gradient), rtol=1e-9, atol=1e-12
        )


def test_a_unit_of_step_moves_an_output_by_its_own_length() -> None:
    """By a token whose factors have the usual lengths; the rest of the step is `edit_lr`."""
    model = in_float64("llama")
    own = network(model)
    sums = counted(model, tokenizer(), own.matrices, [lesson(0), lesson(3)])
    for matrix in own.matrices:
        u = sums[matrix.name].size(slice(matrix.inputs)) * matrix.inputs**0.5
        d = sums[matrix.name].size(slice(matrix.inputs, None)) * matrix.outputs**0.5
        weight = model.get_parameter(f"{matrix.name}.weight")
        usual = weight.square().mean().sqrt() * u * matrix.outputs**0.5
        added = own.step(matrix) * d * u**2
        assert float(added / usual) == pytest.approx(0.02)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt"])
def test_what_is_judged_is_the_model_with_the_update_applied(kind: str) -> None:
    """Thin products in the pass, update by update, against weights that were changed."""
    model, tries = in_float64(kind), lesson(1)
    own = moved(network(model))
    before = bits(model)
    edit, locality = judged(own, model, tokenizer(), tries)
    assert_untouched(model, before)
    wanted, kept = 0.0, 0.0
    for k in range(tries.updates):
        mine = slice(2 * k, 2 * k + 2)
        with applied(model, changed(model, own, tries.asked[mine])), torch.no_grad():
            again, after = tries.again[mine], words(model, tries.kept[mine])
            batch = answers(tokenizer(), again, [s.object for s in again])
            wanted -= float(answer_logp(model, batch).sum())
        for one, other in zip(words(model, tries.kept[mine]), after, strict=True):
            kept += float((one.exp() * (one - other)).sum(-1).mean())
    assert float(edit) == pytest.approx(wanted / len(tries.again), rel=1e-9)
    assert float(locality) == pytest.approx(kept / len(tries.kept), rel=1e-9)
    assert kept > 1e-4


def changed(
    model: nn.Module, own: Hypernetwork, asked: tuple[Request, ...]
) -> dict[str, Tensor]:
    batch = answers(tokenizer(), asked, [r.new for r in asked])
    found, _ = factors(model, batch, torch.ones(len(asked)), [m.name for m in own.matrices])
    delta: dict[str, Tensor] = {}
    for matrix in own.matrices:
        u, d, felt = found[matrix.name].parts()
        block = own.change(matrix, u[felt], d[felt]).dense()
        delta[f"{matrix.name}.weight"] = sites(model).maths(block)
    return delta


def words(model: nn.Module, facts: tuple[Statement, ...]) -> list[Tensor]:
    """Return each fact's log-probabilities (tokens, vocabulary) where its object stands."""
    with torch.no_grad():
        return [
            answer_words(model, answers(tokenizer(), [fact], [fact.object]))[0]
            for fact in facts
        ]


def test_the_gradient_through_an_edit_is_that_of_finite_differences() -> None:
    model, tries = in_float64("llama"), lesson(1)
    own = moved(network(model))

    def loss(learnt: dict[str, Tensor]) -> Tensor:
        edit, locality = judged(own.with_learnt(learnt), model, tokenizer(), tries)
        return 0.1 * edit + locality

    leaves = {name: tensor.clone().requires_grad_() for name, tensor in own.learnt.items()}
    found = dict(
        zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True)
    )
    generator = torch.Generator().manual_seed(5)
    for name, tensor in own.learnt.items():
        way = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        ends = [
            float(loss({**own.learnt, name: tensor + sign * 1e-5 * way})) for sign in (1, -1)
        ]
        expected = float((found[name] * way).sum())
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(expected, rel=1e-4, abs=1e-7), name


def trained(model: nn.Module, training: Training, hp: Mend = HP) -> Training:
    looks = [lesson(50, 3)]
    for _ in train(model, tokenizer(), lesson, looks, training, hp):
        pass
    return training


def test_training_lowers_the_loss_on_what_it_is_not_trained_on() -> None:
    model = tiny("llama")
    before = bits(model)
    done = trained(model, Training.begun(network(model)))
    assert_untouched(model, before)
    assert len(done.losses) == done.step == 8
    assert done.looks[0]["step"] == 0
    best = min(look["loss"] for look in done.looks)
    assert best < 0.9 * done.looks[0]["loss"]
    assert done.looks[done.best_step]["loss"] == best
    again = trained(model, Training.begun(network(model)))
    assert again.looks == done.looks, "the same seed, the same bits"


def test_it_stops_where_it_gets_no_better_and_gives_the_best() -> None:
    model, hp = tiny("llama"), replace(HP, lr=20.0, lr_lr=5.0, patience=2)
    done = trained(model, Training.begun(network(model)), hp)
    assert done.step < hp.steps
    assert done.best_step == done.step - 2
    if done.best_step == 0:
        assert done.best.learnt.keys() == network(model).learnt.keys()
        assert all(
            torch.equal(t, network(model).learnt[n]) for n, t in done.best.learnt.items()
        )


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    model, path = tiny("llama"), tmp_path / "training.safetensors"
    whole = trained(model, Training.begun(network(model)))
    part = Training.begun(network(model))
    for state in train(model, tokenizer(), lesson, [lesson(50, 3)], part, HP):
        if state.step == 3:
            break
    files.keep(part, "w", path)
    assert files.taken_up(path, "other") is None
    kept = files.taken_up(path, "w")
    assert kept is not None and kept.step == 3
    rest = trained(model, kept)
    assert rest.losses == whole.losses and rest.looks == whole.looks
    for name, tensor in whole.best.learnt.items():
        assert torch.equal(rest.best.learnt[name], tensor), name
    path.write_bytes(path.read_bytes()[:-9])
    assert files.taken_up(path, "w") is None
    assert files.taken_up(None, "w") is None


def test_a_network_on_disk_is_the_network(tmp_path: Path) -> None:
    own, path = moved(network(tiny("llama"))), tmp_path / "hypernetwork.safetensors"
    files.save(own, "w", path)
    read = files.load_for(path, "w")
    assert read.matrices == own.matrices
    for one, other in ((own.learnt, read.learnt), (own.known, read.known)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(UserError, match="for other weights"):
        files.load_for(path, "v")


@pytest.mark.parametrize("name", ["learnt:step", "known:unit", "learnt:32x24.V2"])
@pytest.mark.parametrize("how", ["shape", "nan", "gone"])
def test_a_damaged_network_is_refused(tmp_path: Path, name: str, how: str) -> None:
    own, path = network(tiny("llama")), tmp_path / "hypernetwork.safetensors"
    files.save(own, "w", path)
    tensors = load_file(path)
    name = name.replace("32x24", own.matrices[0].shape)
    if how == "gone":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:-1] if how == "shape" else tensors[name] / 0 * 0
    matrices_ = [
        {"name": m.name, "inputs": m.inputs, "outputs": m.outputs} for m in own.matrices
    ]
    about = {"format": files.FORMAT, "weights": "w", "matrices": json.dumps(matrices_)}
    save_file(tensors, path, about)
    with pytest.raises(UserError, match=r"damaged|no network"):
        files.load_for(path, "w")
    path.write_text("{}")
    with pytest.raises(UserError, match="is no network of MEND's"):
        files.load_for(path, "w")


def test_matrices_are_those_of_the_last_layers_or_those_named() -> None:
    model = tiny("llama")
    every = matrices(model, None, MLP, 3)
    assert len(every) == 3 * LAYERS
    assert [m.name for m in matrices(model, None, MLP, 99)] == [m.name for m in every]
    (only,) = matrices(model, [1], ["mlp_out"], 3)
    assert only.name == sites(model).mlp_out(1)
    with pytest.raises(UserError, match=f"no layer {LAYERS}: the model has layers 0 to 2"):
        matrices(model, [1, LAYERS], MLP, 3)
    fused = [m.name for m in matrices(tiny("phi3"), [1], ["mlp_in"], 3)]
    assert fused == ["model.layers.1.mlp.gate_up_proj"]


def test_matrices_of_one_shape_share_a_network() -> None:
    own = network(tiny("llama"))
    shapes = {m.shape for m in own.matrices}
    assert {name.rpartition(".")[0] for name in own.learnt} - {""} == shapes
    assert len(shapes) == 2 < len(own.matrices)
    assert [own.number(m) for m in own.matrices] == [0, 1, 0, 2, 3, 1]  # gate, up, down, ...
