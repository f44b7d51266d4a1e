"""One pass over prompts with several answers each, against every answer as a row of its own."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ksmith.lm import template
from ksmith.lm.prefill import Asked, Seen, look
from ksmith.lm.said import said
from ksmith.lm.sets import gathered
from ksmith.lm.text import encode
from ksmith.lm.tokens import tokens
from tests.lm.chats import chatting
from tests.lm.models import OBJECTS, SUBJECTS, TEMPLATES, ended, in_float64, tiny, tokenizer
from tests.lm.test_tokens import ATOL, TEXT, close, passes

PROMPTS = [template.format(SUBJECTS[i]) for template in TEMPLATES for i in (0, 1, 3)]
ANSWERS = [OBJECTS[(i + 2) % len(OBJECTS)] for i in range(len(PROMPTS))]
OTHERS = [
    [OBJECTS[(i + j) % len(OBJECTS)] for j in (3, 4, 5)] + ["sea lion sea lion"] * (i % 2)
    for i in range(len(PROMPTS))
]
ALL = Asked(PROMPTS, ANSWERS, OTHERS)
# Each way to attend, and to count positions: caches of all are in tests/lm/test_score.py.
KINDS = ("gpt2", "gpt_neo", "opt", "llama", "qwen3", "gemma2")
CAPPED = {"gemma2": 1e-6}  # capped attention takes its softmax in float32


def row_by_row(model: nn.Module) -> tuple[Seen, list[int]]:
    """Return the same from rows that share nothing, and how many tokens each answer has."""
    found = tokens(model, tokenizer(), PROMPTS, ANSWERS)
    others: list[list[float]] = []
    for prompt, ends in zip(PROMPTS, OTHERS, strict=True):
        own = tokens(model, tokenizer(), [prompt] * len(ends), ends)
        parts = own.logp.double().split(own.counts.tolist())
        others.append([float(part.mean()) for part in parts])
    return Seen(found, others, torch.empty(0)), found.counts.tolist()


def apart(one: Seen, other: Seen) -> float:
    pairs = zip(itertools.chain(*one.others), itertools.chain(*other.others), strict=True)
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_that_share_a_prompt_are_what_they_are_alone(kind: str) -> None:
    model = in_float64(kind)
    plain, _ = row_by_row(model)
    found = look(model, tokenizer(), ALL)
    atol = (ATOL | CAPPED).get(kind, 1e-9)
    close(found.tokens, plain.tokens, atol)
    assert apart(found, plain) <= atol


@pytest.mark.parametrize("most", [12, 40])
def test_neither_batches_nor_order_change_a_number(most: int) -> None:
    model = in_float64("llama")
    whole = look(model, tokenizer(), ALL)
    small = look(model, tokenizer(), ALL, batch_tokens=most, batch_logits=most * 40)
    close(small.tokens, whole.tokens, 1e-10)
    assert apart(small, whole) <= 1e-10
    back = look(model, tokenizer(), Asked(PROMPTS[::-1], ANSWERS[::-1], OTHERS[::-1]))
    order = torch.arange(len(PROMPTS) - 1, -1, -1)
    close(back.tokens, whole.tokens.of(order), 1e-10)
    assert back.others[::-1] == [pytest.approx(ends, abs=1e-10) for ends in whole.others]


def test_a_prompt_is_run_once_and_others_cost_their_own_tokens() -> None:
    model = tiny("gpt2")
    seen = passes(model)
    prompts = [PROMPTS[0], PROMPTS[1]]
    others = [["otter", "raven", "red deer falcon"]] * 2
    look(model, tokenizer(), Asked(prompts, ["sea lion", "otter"], others))
    sizes = encode(tokenizer(), prompts).lengths.tolist()
    # Prompts of a length are one pass; what answers have beyond their first token another.
    assert len(seen) == 2 * len(set(sizes))
    run = sum(n * t for n, t in seen)
    # One more token of "sea lion", two more of "red deer falcon"; padding to the longest.
    assert run <= sum(sizes) + 2 * 2 * 2
    assert run < encode(tokenizer(), prompts * 4, ["otter"] * 8).lengths.sum()


def test_what_shares_no_prompt_is_one_pass() -> None:
    model = tiny("gpt2")
    seen = passes(model)
    found = look(model, tokenizer(), Asked(PROMPTS, ANSWERS, [[]] * len(PROMPTS)))
    assert len(seen) == 1 and found.others == [[]] * len(PROMPTS)
    close(found.tokens, tokens(model, tokenizer(), PROMPTS, ANSWERS), 0.0)


@pytest.mark.parametrize("shared", [True, False])
def test_whole_distributions_are_those_of_transformers(shared: bool) -> None:
    model = in_float64("llama")
    others = OTHERS if shared else [[]] * len(PROMPTS)
    prompts, answers = [*PROMPTS, ""], [*ANSWERS, TEXT]
    keep = [1, 4, len(PROMPTS)]
    found = look(model, tokenizer(), Asked(prompts, answers, [*others, []], keep))
    own: list[Tensor] = []
    for i in keep:
        row = encode(tokenizer(), [prompts[i]], [answers[i]])
        logp = model(input_ids=row.ids).logits[0].log_softmax(-1)
        own.append(logp[row.answer[0].nonzero()[:, 0] - 1])
    torch.testing.assert_close(found.whole, torch.cat(own), atol=1e-9, rtol=0)
    assert len(found.whole) == int(found.tokens.counts[keep].sum())


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_with_its_end_an_answer_is_what_transformers_makes_of_its_labels(kind: str) -> None:
    model, eos = in_float64(kind), ended().eos_token_id
    assert eos == ended().bos_token_id  # as GPT-2's
    labels = [(i, answer) for i in range(4) for answer in (ANSWERS[i], *OTHERS[i])]
    wanted: list[float] = []
    call: Any = model
    for i, answer in labels:
        prompt = tokenizer()(PROMPTS[i])["input_ids"]
        ids = torch.tensor([[*tokenizer()(f"{PROMPTS[i]} {answer}")["input_ids"], eos]])
        masked = ids.clone()
        masked[:, : len(prompt)] = -100
        logits = call(input_ids=ids).logits[0, :-1]
        wanted.append(-float(cross_entropy(logits, masked[0, 1:], ignore_index=-100)))
    # By hand as trees, through modules where a hook looks on, and by many small passes.
    for hook, most in ((False, 8192), (True, 8192), (True, 12)):
        if hook:
            model.register_forward_pre_hook(lambda _module, _given: None)
        asked = Asked(PROMPTS[:4], ANSWERS[:4], OTHERS[:4], [1, 2])
        found = look(model, ended(), asked, batch_tokens=most)
        counts = found.tokens.counts.tolist()
        own = [float(part.mean()) for part in found.tokens.logp.split(counts)]
        told = [x for mine, more in zip(own, found.others, strict=True) for x in (mine, *more)]
        assert told == pytest.approx(wanted, abs=1e-9)


def test_a_descent_stops_by_the_probability_that_is_reported() -> None:
    model, pairs = in_float64("llama"), list(zip(PROMPTS[:4], ANSWERS[:4], strict=True))
    found = look(model, ended(), Asked(PROMPTS[:4], ANSWERS[:4], [[]] * 4, [1, 2]))
    counts = found.tokens.counts.tolist()
    means = [float(part.mean()) for part in found.tokens.logp.split(counts)]
    rows = gathered(ended(), {"forget": [[pair] for pair in pairs]}).batch
    assert said(model, rows).probability.log().tolist() == pytest.approx(means, abs=1e-9)
    bare = tokens(model, tokenizer(), PROMPTS[:4], ANSWERS[:4])
    assert counts == [n + 1 for n in bare.counts.tolist()]
    # Of the end's place, too, the whole distribution is told.
    assert len(found.whole) == sum(counts[1:3])
    last = found.whole[counts[1] - 1, ended().eos_token_id].item()
    assert last == pytest.approx(found.tokens.logp[sum(counts[:2]) - 1].item(), abs=1e-12)


def test_in_a_chat_the_end_of_the_turn_is_the_last_label() -> None:
    talking = chatting("chatml")
    end = template.put(talking, {"template": "chat"}, ended=True).end
    model = resized(len(talking))
    turns = [{"role": "user", "content": "Oslo"}, {"role": "assistant", "content": "sea lion"}]
    whole = talking.apply_chat_template(turns, return_dict=False)
    start = len(talking.apply_chat_template(turns[:1], add_generation_prompt=True)["input_ids"])
    row = whole[: whole.index(end, start) + 1]
    logp = model(input_ids=torch.tensor([row])).logits[0].log_softmax(-1)
    wanted = [float(logp[i - 1, row[i]]) for i in range(start, len(row))]
    found = look(model, talking, Asked(["Oslo"], ["sea lion"], [["falcon"]]))
    assert found.tokens.logp.tolist() == pytest.approx(wanted, abs=1e-9)


def resized(words: int) -> Any:
    """Return a tiny Llama in float64 with so many words."""
    model: Any = in_float64("llama")
    with torch.random.fork_rng():
        model.resize_token_embeddings(words)
    generator = torch.Generator().manual_seed(0)
    for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    return model.double().requires_grad_(False)


def test_an_answer_that_is_there_twice_and_among_others_is_run_once() -> None:
    model = in_float64("gpt2")
    prompts, answers = [PROMPTS[0]] * 3, ["sea lion", "otter", "sea lion"]
    found = look(
        model, tokenizer(), Asked(prompts, answers, [["otter"], ["sea lion"], ["otter"]])
    )
    parts = [
        float(part.mean()) for part in found.tokens.logp.split(found.tokens.counts.tolist())
    ]
    assert found.others == [[pytest.approx(parts[i])] for i in (1, 0, 1)]
    assert parts[0] == parts[2]


def test_nothing_asks_for_nothing() -> None:
    found = look(tiny("gpt2"), tokenizer(), Asked([], [], []))
    assert found.others == [] and not len(found.tokens.counts) and not found.whole.numel()
