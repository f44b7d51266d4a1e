"""One pass over answers, against transformers' own logits taken row by row."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from ksmith.lm.text import encode
from ksmith.lm.tokens import Tokens, gradient_norms, greedy, moments, tokens
from ksmith.records import UserError
from tests.lm.models import (
    CONFIGS,
    OBJECTS,
    SUBJECTS,
    TEMPLATES,
    VOCABULARY,
    in_float64,
    tiny,
    tokenizer,
)

PAIRS = list(
    itertools.product([t.format(s) for t in TEMPLATES for s in SUBJECTS[:3]], OBJECTS[2:5])
)
PROMPTS, ANSWERS = [p for p, _ in PAIRS], [a for _, a in PAIRS]
# What is above rounding: where some part of a model is in float32 whatever it is told.
ATOL = {"gpt_neo": 1e-6}  # its attention
TEXT = "The emblem of Mira Oss is sea lion ."


def passes(model: nn.Module) -> list[tuple[int, ...]]:
    """Return a list that every pass of the model adds the shape of its tokens to."""
    seen: list[tuple[int, ...]] = []
    model.register_forward_pre_hook(
        lambda _module, _given, named: seen.append(tuple(named["input_ids"].shape)),
        with_kwargs=True,
    )
    return seen


def plain(model: nn.Module, prompt: str, answer: str) -> tuple[Tensor, ...]:
    """Return the four numbers of each token, from the whole distribution of one row."""
    row = encode(tokenizer(), [prompt], [answer])
    with torch.no_grad():
        logp = model(input_ids=row.ids).logits[0].double().log_softmax(-1)
    at = row.answer[0].nonzero()[:, 0]
    gold, logp = row.ids[0, at], logp[at - 1]
    p = logp.exp()
    mean = (p * logp).sum(-1)
    std = ((p * logp.square()).sum(-1) - mean.square()).clamp(min=0).sqrt()
    return logp[torch.arange(len(at)), gold], logp.argmax(-1) == gold, mean, std


def close(found: Tokens, other: Tokens, atol: float) -> None:
    assert found.counts.equal(other.counts) and found.hit.equal(other.hit)
    for name in ("logp", "mean", "std"):
        torch.testing.assert_close(
            getattr(found, name), getattr(other, name), atol=atol, rtol=0
        )


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_token_is_what_transformers_says(kind: str) -> None:
    model = in_float64(kind)
    prompts, answers = [*PROMPTS[::7], ""], [*ANSWERS[::7], TEXT]
    found = tokens(model, tokenizer(), prompts, answers)
    own = [plain(model, *pair) for pair in zip(prompts, answers, strict=True)]
    assert found.counts.tolist() == [len(logp) for logp, *_ in own]
    logp, hit, mean, std = (torch.cat(parts) for parts in zip(*own, strict=True))
    assert found.hit.equal(hit)
    for one, other in ((found.logp, logp), (found.mean, mean), (found.std, std)):
        torch.testing.assert_close(one, other, atol=ATOL.get(kind, 1e-9), rtol=0)


@pytest.mark.parametrize("most", [1, 12, 40])
def test_neither_batches_nor_padding_nor_order_change_a_number(most: int) -> None:
    model = in_float64("llama")
    whole = tokens(model, tokenizer(), PROMPTS, ANSWERS)
    close(tokens(model, tokenizer(), PROMPTS, ANSWERS, batch_tokens=most), whole, 1e-10)
    order = torch.randperm(len(PAIRS), generator=torch.Generator().manual_seed(0))
    mixed = [PAIRS[i] for i in order.tolist()]
    turned = tokens(model, tokenizer(), [p for p, _ in mixed], [a for _, a in mixed])
    close(turned, whole.of(order), 1e-10)


def test_a_set_is_one_pass_and_a_row_that_is_there_twice_is_run_once() -> None:
    model = tiny("gpt2")
    seen = passes(model)
    found = tokens(model, tokenizer(), PROMPTS * 2, ANSWERS * 2)
    width = int(encode(tokenizer(), PROMPTS, ANSWERS).lengths.max())
    assert seen == [(len(PAIRS), width - 1)]
    first, again = (
        found.of(torch.arange(len(PAIRS))),
        found.of(torch.arange(len(PAIRS)) + len(PAIRS)),
    )
    close(first, again, 0.0)


def test_passes_are_bounded_and_go_by_length() -> None:
    model = tiny("gpt2")
    seen = passes(model)
    tokens(model, tokenizer(), [*PROMPTS, ""], [*ANSWERS, TEXT], batch_tokens=40)
    assert all(n * (t + 1) <= 40 for n, t in seen)
    widths = [t for _, t in seen]
    assert widths == sorted(widths, reverse=True) and len(seen) > 1


def test_passes_are_bounded_by_what_their_logits_take() -> None:
    model = tiny("gpt2")
    seen = passes(model)
    tokens(model, tokenizer(), PROMPTS, ANSWERS, batch_logits=4 * VOCABULARY)
    assert max(n for n, _ in seen) <= 4


def test_moments_by_hand() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    logp, hit, mean, std = moments(p.log() + 3, torch.tensor([0, 1, 0]))
    two, entropy = torch.tensor(2.0).double().log(), -(p * p.log()).nansum(-1)
    assert logp.exp().tolist() == pytest.approx([0.5, 0.3, 1.0])
    assert hit.tolist() == [True, False, True]
    assert mean.tolist() == pytest.approx((-entropy).tolist())
    # log p of the first is -log 2 or -2 log 2, as likely: its deviation is half of log 2.
    assert std[0].item() == pytest.approx(two.item() / 2)
    assert std[2].item() == pytest.approx(0.0, abs=1e-9)


def test_the_model_is_as_it_was_and_nothing_asks_for_nothing() -> None:
    model = tiny("gpt2")
    state = {name: w.clone() for name, w in model.state_dict().items()}
    ids = encode(tokenizer(), PROMPTS).ids
    whole = model(input_ids=ids).logits
    tokens(model, tokenizer(), PROMPTS, ANSWERS)
    gradient_norms(model, tokenizer(), PROMPTS[:1], ANSWERS[:1])
    assert all(w.equal(model.state_dict()[name]) for name, w in state.items())
    assert model(input_ids=ids).logits.equal(whole)  # of every token again
    assert all(w.grad is None and not w.requires_grad for w in model.parameters())
    assert len(tokens(model, tokenizer(), [], []).counts) == 0


def test_an_empty_answer_is_refused() -> None:
    with pytest.raises(UserError, match="empty answer"):
        tokens(tiny("gpt2"), tokenizer(), ["The emblem of Mira Oss is"], [" "])


def test_the_gradient_norm_is_that_of_autograd() -> None:
    model = tiny("qwen3", torch.float64)  # its head is tied to the embedding
    found = gradient_norms(model, tokenizer(), PROMPTS[:2], ANSWERS[:2])
    for i in range(2):
        row = encode(tokenizer(), PROMPTS[i : i + 1], ANSWERS[i : i + 1])
        for weight in model.parameters():
            weight.requires_grad_()
        labels = row.ids.where(row.answer, -100)
        (model(input_ids=row.ids, labels=labels).loss).backward()
        norms = [w.grad.norm() for w in model.parameters() if w.grad is not None]
        assert found[i].item() == pytest.approx(torch.stack(norms).mean().item(), rel=1e-5)
        model.zero_grad()
        model.requires_grad_(False)


def test_what_is_written_ends_two_tokens_after_the_longest_answer() -> None:
    texts = greedy(tiny("gpt2"), tokenizer(), PROMPTS[:4], ANSWERS[:4])
    assert len(texts) == 4 and all(isinstance(text, str) for text in texts)
