"""Greedy text to its own end, against the plainest loop; a talker says what it is told to."""

import pytest
import torch
from torch import nn

from ksmith.lm.text import encode
from ksmith.lm.write import greedy
from tests.lm.models import SUBJECTS, TEMPLATES, tiny, tokenizer
from tests.lm.test_score import DEER, END, IS, PROMPT, RED, STOP, talker

# Of several lengths, one of them twice.
PROMPTS = [
    *(template.format(subject) for template in TEMPLATES for subject in SUBJECTS[:3]),
    "The raven is in Oss . Mira Tolu is a region . The emblem of Kel Dran is",
    TEMPLATES[0].format(SUBJECTS[0]),
]


def plain(model: nn.Module, prompt: str, most: int) -> str:
    """Run all of the text for each token."""
    ids = encode(tokenizer(), [prompt]).ids
    start = ids.shape[1]
    with torch.no_grad():
        while ids.shape[1] < min(64, start + most):
            token = model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
            if token.item() == tokenizer().eos_token_id:
                break
            ids = torch.cat([ids, token], 1)
    return str(tokenizer().decode(ids[0, start:])).strip()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "gemma3_text"])
def test_equals_the_plain_loop_whatever_the_batch(kind: str) -> None:
    model = tiny(kind)
    expected = [plain(model, prompt, 9) for prompt in PROMPTS]
    for batch_tokens in (1, 60, 8192):
        found = greedy(model, tokenizer(), PROMPTS, most=9, batch_tokens=batch_tokens)
        assert found == expected


def test_a_text_goes_on_over_full_stops_to_any_end_token_of_the_model() -> None:
    model = talker({IS: RED, RED: STOP, STOP: DEER, DEER: "<unk>"})
    assert greedy(model, tokenizer(), [PROMPT], most=3) == ["red . deer"]
    assert greedy(model, tokenizer(), [PROMPT], most=4) == ["red . deer<unk>"]
    vocabulary = tokenizer().get_vocab()
    settings: object = getattr(model, "generation_config")  # noqa: B009 typed as a plain module
    setattr(settings, "eos_token_id", [vocabulary[END], vocabulary["<unk>"]])  # noqa: B010
    assert greedy(model, tokenizer(), [PROMPT], most=50) == ["red . deer"]
    ends = talker({IS: RED, RED: END, END: RED})
    assert greedy(ends, tokenizer(), [PROMPT], most=50) == ["red"]


def test_a_statement_ends_with_a_full_stop_but_for_one_of_its_answer() -> None:
    model = talker({IS: RED, RED: STOP, STOP: DEER, DEER: END})
    for answers, text in ((["otter"], "red"), (["red . deer"], "red . deer")):
        assert greedy(model, tokenizer(), [PROMPT], most=50, answers=answers) == [text]
    both = greedy(model, tokenizer(), [PROMPT] * 2, most=50, answers=["raven", "otter ."])
    assert both == ["red", "red"]  # no answer begins as the text does up to its full stop


def test_no_text_is_longer_than_the_model_takes() -> None:
    model = talker({IS: RED, RED: DEER, DEER: RED})
    size = 64 - encode(tokenizer(), [PROMPT]).ids.shape[1]
    (text,) = greedy(model, tokenizer(), [PROMPT], most=200)
    assert len(text.split()) == size
    full = " ".join(["is"] * 63)  # and a start token
    assert greedy(model, tokenizer(), [full, PROMPT], most=2) == ["", "red deer"]
    assert greedy(model, tokenizer(), [], most=2) == []


def test_texts_that_end_are_run_no_further() -> None:
    model = talker({IS: RED, RED: END, "\u2581the": DEER, DEER: RED})
    rows: list[int] = []
    model.register_forward_pre_hook(
        lambda _module, _given, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    prompts = [PROMPT, TEMPLATES[0].format(SUBJECTS[3]), TEMPLATES[2].format(SUBJECTS[0])]
    assert greedy(model, tokenizer(), [*prompts, PROMPT], most=50)[2] == "deer red"
    assert max(rows) == len({*prompts}) and rows[-1] == 1
    assert sum(rows) < 15  # 3 texts of 3 tokens at most, prompts of one length or nearly
