"""States at the end of prompts, against one prompt at a time."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from ksmith.lm.states import load_states, save_states, states
from tests.lm.models import LAYERS, OBJECTS, SUBJECTS, TEMPLATES, tiny, tokenizer

PROMPTS = [t.format(s) for t in TEMPLATES for s in SUBJECTS] + [
    f"{TEMPLATES[0].format(SUBJECTS[0])} {o}" for o in OBJECTS
]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "gemma2"])
def test_states_are_those_of_each_prompt_alone(kind: str, tmp_path: Path) -> None:
    model = cast(Any, tiny(kind))
    found = states(model, tokenizer(), PROMPTS, batch_tokens=20)
    for row, prompt in list(enumerate(PROMPTS))[::5]:
        with torch.inference_mode():
            ids = torch.tensor([tokenizer()(prompt)["input_ids"]])
            out = model(input_ids=ids, output_hidden_states=True)
        alone = torch.stack([layer[0, -1] for layer in out.hidden_states[1:]])
        torch.testing.assert_close(found.hidden[:, row], alone, rtol=1e-4, atol=1e-4)
        logp = out.logits[0, -1].log_softmax(-1)
        torch.testing.assert_close(found.logp[row], logp, rtol=1e-4, atol=1e-4)
    assert found.hidden.shape[:2] == (LAYERS, len(PROMPTS))
    save_states(found, tmp_path / "states.safetensors")
    again = load_states(tmp_path / "states.safetensors")
    assert torch.equal(again.hidden, found.hidden) and torch.equal(again.logp, found.logp)
