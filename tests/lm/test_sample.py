"""Sampled text is that of the plainest possible loop, whatever it is batched with."""

import pytest
import torch
from torch import nn

from ksmith.lm.sample import pick, texts
from ksmith.lm.score import score
from ksmith.records import Question, UserError
from tests.lm.models import SUBJECTS, TEMPLATES, tiny, tokenizer
from tests.lm.test_score import DEER, END, IS, PROMPT, RED, question, talker


def wanted(number: int, prompt: str, sampled: int = 16, seed: int | None = None) -> Question:
    return Question(
        id=f"0.0/fluency/{number}",
        draw=0,
        request="0.0",
        probe="fluency",
        set="open",
        prompt=prompt,
        candidates=(),
        right=None,
        right_before=None,
        rival=None,
        subject="",
        fact="",
        generate=False,
        sampled=sampled,
        seed=number if seed is None else seed,
    )


def asked() -> list[Question]:
    prompts = [template.format(SUBJECTS[i]) for i, template in enumerate(TEMPLATES)]
    prompts.append(f"{SUBJECTS[3]} . {prompts[0]}")
    return [wanted(i, prompt) for i, prompt in enumerate(prompts)]


def plain(model: nn.Module, one: Question) -> str:
    """Run the whole text for each token, and draw it by walking along the shares."""
    generator = torch.Generator().manual_seed(one.seed)
    drawn = torch.rand(one.sampled, generator=generator).tolist()
    ids = tokenizer()(one.prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        while ids.shape[1] < one.sampled:
            top = model(input_ids=ids).logits[0, -1].topk(5)
            left = drawn[ids.shape[1]]
            token = top.indices[-1]
            for share, index in zip(top.values.softmax(-1).tolist(), top.indices, strict=True):
                if left < share:
                    token = index
                    break
                left -= share
            ids = torch.cat([ids, token.reshape(1, 1)], 1)
    said = [token for token in ids[0].tolist() if token != tokenizer().eos_token_id]
    return str(tokenizer().decode(said)).strip()


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_equals_the_plain_loop_in_any_batch(kind: str) -> None:
    model, questions = tiny(kind), asked()
    expected = [plain(model, one) for one in questions]
    assert len(set(expected)) == len(expected)
    assert texts(model, tokenizer(), questions) == expected
    assert texts(model, tokenizer(), questions[::-1], batch_tokens=33) == expected[::-1]


def test_a_text_goes_on_from_its_prompt_and_depends_on_its_seed() -> None:
    model = tiny("llama")
    first, same, other = texts(model, tokenizer(), [wanted(i, PROMPT, seed=s) for i, s in
                                                    enumerate((3, 3, 4))])  # fmt: skip
    assert first == same != other
    assert all(text.startswith(PROMPT) for text in (first, other))


def test_an_end_token_neither_ends_the_text_nor_shows() -> None:
    model = talker({IS: RED, RED: END, END: DEER, DEER: RED})
    with torch.no_grad():
        model.get_parameter("lm_head.weight").mul_(100)  # so that there is nothing to draw
    (text,) = texts(model, tokenizer(), [wanted(0, PROMPT, sampled=12)])
    assert text == f"{PROMPT} red deer red"  # 7 tokens, red, end, deer, red, end


def test_tokens_are_drawn_by_their_shares_among_five() -> None:
    shares = torch.tensor([0.4, 0.05, 0.2, 0.15, 0.1, 0.06, 0.04])
    n = 9100
    drawn = (torch.arange(n) + 0.5) / n
    found = pick(shares.log().expand(n, -1), drawn).bincount(minlength=7) / n
    five = shares.clone()
    five[[1, 6]] = 0
    assert found.tolist() == pytest.approx((five / five.sum()).tolist(), abs=1e-3)
    last = pick(shares.log()[None], torch.tensor([1 - 1e-7]))
    assert last.tolist() == [5]  # rounding or not, one of the five


def test_scores_and_texts_come_in_the_order_of_the_questions() -> None:
    scored, text = question(7, PROMPT, ("red deer", "otter")), wanted(0, PROMPT)
    model = tiny("llama")
    found = score(model, tokenizer(), [text, scored, text])
    assert [answer.question for answer in found] == [text.id, scored.id, text.id]
    assert found[0].generated == texts(model, tokenizer(), [text])[0]
    assert found[1] == score(model, tokenizer(), [scored])[0]
    assert (found[0].logp, found[0].argmax) == ((), ())


def test_too_long_for_the_model() -> None:
    with pytest.raises(UserError, match="a text of 65 tokens, but the model takes 64"):
        texts(tiny("gpt2"), tokenizer(), [wanted(0, PROMPT, sampled=65)])
