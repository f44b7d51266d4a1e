"""The search for values equals the plainest loop: one request, whole rows, torch's own Adam."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.rows import at_subject, prefixes, rows
from ksmith.lm.sites import sites
from ksmith.lm.suffix import Place
from ksmith.lm.targets import search
from ksmith.lm.text import encode, subject_last, with_prefix
from ksmith.lm.wanted import wanted_of
from ksmith.records import Request, UserError
from tests.lm.models import CONTEXTS, OBJECTS, in_float64, tiny, tokenizer
from tests.methods import logp, request

KL = "{} is a"
LAYER = 1


@dataclass(frozen=True)
class Hp:
    steps: int = 4
    lr: float = 0.4
    clamp: float = 9.0
    kl_weight: float = 0.5
    weight_decay: float = 0.1
    stop_loss: float = 0.0
    contexts: int = 3
    absolute: bool = False


def plain(
    model: nn.Module,
    asked: Request,
    before: list[str],
    hp: Hp,
    layer: int,
    kept: Sequence[str] = (),
) -> tuple[Tensor, float]:
    """Return delta and the last loss, running every row alone and whole at each step.

    Of several answers the loss is KL(uniform || p), written out. The KL term is the mean of what
    is said after the subject of one prompt and at the end of the `kept` ones.
    """
    site = model.get_submodule(sites(model).mlp_out(layer))
    delta: Tensor | None = None
    at = 0

    def add(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
        if delta is None:
            found.append(output.reshape(1, -1, output.shape[-1])[0, at].detach())
            return output
        shaped = output.reshape(1, -1, output.shape[-1])
        place = torch.arange(shaped.shape[1])[:, None] == at
        return (shaped + place * delta).reshape(output.shape)

    def logp(ids: Tensor, place: int) -> Tensor:
        nonlocal at
        at = place
        return model(input_ids=ids).logits[0].log_softmax(-1)

    found: list[Tensor] = []
    handle = site.register_forward_hook(add)
    still = prompts_kept(asked.subject, kept)
    batches = [
        (
            encode(tokenizer(), [with_prefix(text, asked.prompt)], [target]),
            subject_last(tokenizer(), asked.template, asked.subject, text),
        )
        for text in before
        for target in asked.targets
    ]
    logp(batches[0][0].ids, batches[0][1])  # the bare prompt's value
    size = found[0].norm()
    delta = torch.zeros_like(found[0])
    references = [logp(ids, place)[end].detach() for ids, place, end in still]
    delta.requires_grad_()
    lr = hp.lr if hp.absolute else float(hp.lr * size / len(delta) ** 0.5)
    adam = torch.optim.Adam([delta], lr=lr)
    loss = torch.zeros(())
    for step in range(hp.steps):
        decay = delta.norm() if hp.absolute else delta.square().sum()
        loss = hp.weight_decay * decay / size**2
        for batch, place in batches:
            where = batch.answer[0].nonzero()[:, 0]
            gold = batch.ids[0, where]
            said = logp(batch.ids, place)[where - 1, gold]
            nll = -said.sum() - math.log(len(asked.targets)) if asked.others else -said.mean()
            loss = loss + nll / len(batches)
        for (ids, place, end), reference in zip(still, references, strict=True):
            now = logp(ids, place)[end]
            kl = (now.exp() * (now - reference)).sum()
            loss = loss + hp.kl_weight * kl / len(still)
        if step == hp.steps - 1:
            break
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            delta.mul_((hp.clamp * size / delta.norm()).clamp(max=1))
    handle.remove()
    return delta.detach(), float(loss.detach())


def prompts_kept(subject: str, kept: Sequence[str]) -> list[tuple[Tensor, int, int]]:
    """Return ids of each prompt of the KL term, its subject's place, and where it is looked at."""
    prompts: list[tuple[Tensor, int, int]] = []
    for number, template in enumerate((KL, *kept)):
        ids = encode(tokenizer(), [template.replace("{}", subject)]).ids
        at = subject_last(tokenizer(), template, subject)
        prompts.append((ids, at, -1 if number else at))
    return prompts


# All architectures and layers are compared in test_suffix: here, one of each way to attend and to
# count positions, and the clamp.
KINDS = ("gpt2", "gpt_neo", "opt", "llama", "qwen3", "gemma2")
CASES = [*((kind, 9.0, 0) for kind in KINDS), ("gpt2", 0.1, 1), ("llama", 0.1, 1)]


@pytest.mark.parametrize(("kind", "clamp", "layer"), CASES)
def test_many_at_once_is_one_by_one(kind: str, clamp: float, layer: int) -> None:
    compared(kind, Hp(clamp=clamp), layer)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_absolute_steps_and_decay_are_those_of_public_code(kind: str) -> None:
    compared(kind, Hp(absolute=True, lr=0.05, weight_decay=0.5), 1)


# One request keeps nothing more; one of the templates ends with the subject, one begins with it.
KEPT = (("{} has the emblem", "In Oss one sees the {}"), (), ("The emblem of {} is",))


@pytest.mark.parametrize(("kind", "layer"), [("gpt2", 1), ("llama", 0), ("gemma2", 1)])
def test_many_prompts_are_kept_as_the_plain_loop_keeps_them(kind: str, layer: int) -> None:
    compared(kind, Hp(kl_weight=2.0), layer, KEPT if layer else KEPT[::-1])


def compared(
    kind: str, hp: Hp, layer: int, kept: Sequence[Sequence[str]] = ((), (), ())
) -> None:
    # Gemma 2's own attention is not finite in float64 where padding sees nothing. Modules that
    # round to float32 whatever they are given are no measure of float64.
    dtype, close = (torch.float32, 1e-3) if kind == "gemma2" else (torch.float64, 1e-11)
    close = 1e-5 if kind in ("gpt_neo", "gptj") else close
    model = tiny(kind, dtype)
    textbook = model if kind == "gemma2" else in_float64(kind)
    s = sites(model)
    clamp = hp.clamp
    asked = [request(0, 0), request(0, 1), request(1, 0)]  # of three shapes
    before = prefixes(CONTEXTS, hp.contexts)
    together = rows(tokenizer(), asked, before, KL, kept)
    bare = at_subject(model, together.where(together.bare), [s.mlp_out(layer)])
    size = bare[s.mlp_out(layer)].norm(dim=1)
    found = search(model, together, Place(s.mlp_out(layer), s.head, size), hp)
    for i, one in enumerate(asked):
        delta, loss = plain(textbook, one, before, hp, layer, kept[i])
        assert (found.delta[i] - delta).norm() < close * delta.norm()
        assert float(found.loss[i]) == pytest.approx(loss, rel=close)
        clamped = float(found.delta[i].norm()) == pytest.approx(
            clamp * float(size[i]), rel=close
        )
        assert clamped == (clamp < 1)


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_looked_at_on_the_way_belongs_to_its_request(by_hand: bool) -> None:
    """Chunks are of like shapes, in another order than requests: long ones first here."""
    model: Any = tiny("gpt2", torch.float64)
    if not by_hand:
        model.transformer.h[2].mlp.act = nn.Mish()
    s = sites(model)
    site, block = s.mlp_out(LAYER), s.block(LAYER)
    asked = [request(1, 0), request(0, 1), request(0, 0), request(1, 1)]
    together = rows(tokenizer(), asked, prefixes(CONTEXTS, 3), KL)
    seen = at_subject(model, together.said(), [block, site], [site])
    bare = together.said().bare
    for name in (block, site):
        place = Place(site, s.head, outputs=[name, site], inputs=[site])
        found = search(model, together, place, Hp(steps=2))
        size = seen[name][bare].norm(dim=1)
        assert torch.allclose(found.size, size, rtol=1e-12)
        given = search(model, together, Place(site, s.head, size), Hp(steps=2))
        assert torch.allclose(found.delta, given.delta, rtol=1e-9)
        assert found.seen.keys() == {name, site, f"{site} in"}
        for key, value in found.seen.items():
            assert torch.allclose(value, seen[key], rtol=1e-12, atol=1e-12), key


def alike(draw: int, number: int) -> Request:
    """Return a request for four objects alike, of which two have two tokens."""
    asked = request(draw, number, "unlearn")
    rest = [name for name in OBJECTS[1:5] if name != asked.old]
    return replace(asked, new=rest[0], others=(*rest[1:3], asked.old))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_uniform_target_is_the_textbook_s_divergence(kind: str) -> None:
    model = tiny(kind, torch.float64)
    s = sites(model)
    site, hp = s.mlp_out(LAYER), Hp()
    asked = [alike(0, 0), request(0, 1), alike(1, 0)]  # beside one of the usual kind
    before = prefixes(CONTEXTS, hp.contexts)
    together = rows(tokenizer(), asked, before, KL)
    bare = at_subject(model, together.where(together.bare), [site])
    size = bare[site].norm(dim=1)
    found = search(model, together, Place(site, s.head, size), hp)
    for i, one in enumerate(asked):
        delta, loss = plain(in_float64(kind), one, before, hp, LAYER)
        assert (found.delta[i] - delta).norm() < 1e-11 * delta.norm()
        assert float(found.loss[i]) == pytest.approx(loss, rel=1e-11)


def logp_of(model: nn.Module, asked: Request) -> list[float]:
    return [logp(model, replace(asked, new=name), {})[1] for name in asked.targets]


def test_keys_do_not_depend_on_how_many_answers_there_are() -> None:
    """What is said before the answer is there once a context, the bare prompt once."""
    asked = [alike(0, 0), request(0, 1)]
    one = [replace(each, others=()) for each in asked]
    before = prefixes(CONTEXTS, 2)
    found, plainly = (rows(tokenizer(), each, before, KL) for each in (asked, one))
    assert found.owner.tolist() == [0] * 9 + [1] * 3
    assert int(found.bare.sum()) == int(plainly.bare.sum()) == 2
    said, mine = found.said(), plainly.said()
    assert said.owner.tolist() == mine.owner.tolist() == [0, 0, 1, 1]
    heads = slice(found.at - plainly.at, found.at + 1)
    assert torch.equal(said.ids[:, heads], mine.ids[:, : plainly.at + 1])
    assert [float(x) for x in found.entropy] == pytest.approx([math.log(4), 0.0])


def test_the_search_stops_by_what_is_above_the_floor() -> None:
    """Of 4 answers alike the cross-entropy is log 4 at least, and what is left of it 0."""
    model = tiny("qwen3")
    s = sites(model)
    site = s.mlp_out(LAYER)
    together = rows(tokenizer(), [alike(0, 0)], [""], None)
    size = at_subject(model, together.said(), [site])[site].norm(dim=1)
    place = Place(site, s.head, size)
    free = search(model, together, place, Hp(contexts=1, steps=30, weight_decay=0.0))
    low, high = (float(free.curve[i, 0]) for i in (-1, 0))
    said = logp_of(model, alike(0, 0))
    assert high == pytest.approx(-sum(said) / 4 - math.log(4), rel=1e-4)
    assert 0 < low < high
    hp = Hp(contexts=1, steps=30, weight_decay=0.0, stop_loss=(low + high) / 2)
    found = search(model, together, place, hp)
    assert 0 < int(found.steps[0]) < 29 and float(found.loss[0]) < hp.stop_loss


def test_a_finished_request_stays_while_others_go_on() -> None:
    model = tiny("qwen3")
    s = sites(model)
    site = s.mlp_out(LAYER)
    asked = [request(0, 0), request(0, 1), request(1, 0)]
    together = rows(tokenizer(), asked, [""], KL)
    size = at_subject(model, together.said(), [site])[site].norm(dim=1)
    free = search(model, together, Place(site, s.head, size), Hp(contexts=1))
    stop = (
        float(free.first.sort().values[1]) - 1e-3
    )  # one is below it from the start, or nearly
    hp = Hp(contexts=1, steps=12, clamp=9.0, stop_loss=stop)
    found = search(model, together, Place(site, s.head, size), hp)
    assert len(set(found.steps.tolist())) > 1
    for i, one in enumerate(asked):
        alone = rows(tokenizer(), [one], [""], KL)
        mine = search(model, alone, Place(site, s.head, size[i : i + 1]), hp)
        assert int(mine.steps[0]) == int(found.steps[i])
        assert torch.allclose(mine.delta[0], found.delta[i], atol=1e-4, rtol=1e-3)
        assert (float(found.loss[i]) < stop) == (int(found.steps[i]) < hp.steps - 1)


def test_a_model_that_says_nothing_finite_is_an_error() -> None:
    model = tiny("qwen3")
    s = sites(model)
    asked = rows(tokenizer(), [request(0, 0)], [""], None)
    with torch.no_grad():
        model.get_parameter("model.norm.weight").fill_(float("inf"))
    place = Place(s.mlp_out(LAYER), s.head, torch.ones(1))
    with pytest.raises(FloatingPointError, match="not finite at step 0"):
        search(model, asked, place, Hp(contexts=1))


def test_rows_are_aligned_at_the_subject() -> None:
    asked = [request(0, 0), request(0, 1), request(1, 0)]
    found = rows(tokenizer(), asked, prefixes(CONTEXTS, 2), KL)
    ends = tokenizer().convert_ids_to_tokens(found.ids[:, found.at].tolist())
    expected = [f"\u2581{one.subject.split()[-1]}" for one in asked for _ in range(3)]
    assert ends == expected
    assert found.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.bare.tolist() == [True, False, False] * 3
    assert found.stay.tolist() == [False, False, True] * 3
    assert found.mask[:, found.at].all()
    for one, gold in zip(asked, found.gold[found.bare], strict=True):
        answer = tokenizer().decode(gold[gold >= 0])
        assert answer.strip() == one.new


def test_kept_prompts_are_rows_to_their_ends() -> None:
    asked = [request(0, 0), request(0, 1), request(1, 0)]
    found = rows(tokenizer(), asked, [""], KL, KEPT)
    assert found.owner[found.stay].tolist() == [0, 0, 0, 1, 2, 2]
    told = [
        tokenizer().decode(ids[mask], skip_special_tokens=True).strip()
        for ids, mask in zip(found.ids[found.stay], found.mask[found.stay], strict=True)
    ]
    assert told == [
        *("Varen Tolu", "Varen Tolu has the emblem", "In Oss one sees the Varen Tolu"),
        "Mira Tolu",
        *("Varen Oss", "The emblem of Varen Oss is"),
    ]
    assert (found.gold[found.stay] == -1).all()


def test_a_prompt_that_is_the_request_s_own_needs_no_row() -> None:
    """Nor does one that the request's own goes on from."""
    mine = request(0, 1)
    assert mine.template == "{} has the emblem"
    asked = rows(tokenizer(), [mine], [""], KL, [["{} has the", "{} has the emblem", "{} is"]])
    wanted = wanted_of(asked, torch.tensor([True]))
    assert int(asked.stay.sum()) == 4 and len(wanted.number) == 2  # the prompt, "... is"
    ends = wanted.column[wanted.stay_at].tolist()
    assert sorted(ends) == [0, 1, 2, 3]
    assert wanted.stay_share.tolist() == [0.25] * 4


def test_contexts_are_the_first_ones() -> None:
    assert prefixes(["a", "b", "c"], 1) == [""]
    assert prefixes(["a", "b", "c"], 3) == ["", "a", "b"]
    with pytest.raises(UserError, match="contexts = 5 needs 4 texts"):
        prefixes(["a", "b", "c"], 5)
