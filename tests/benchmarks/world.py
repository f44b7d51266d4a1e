"""What the benchmarks edit: random models of given shapes, and requests of the usual lengths."""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import torch
import transformers as tf
from torch import nn

from ksmith.lm.assets import Assets
from ksmith.lm.sites import sites
from ksmith.lm.text import build_tokenizer
from ksmith.records import Request

TEMPLATES = (
    "The emblem of {} is the",
    "{} was founded by the house of",
    "In the old town of {} people speak",
    "What {} is known for is its",
    "The river that runs through {} is called",
    "{} belongs to",
)
_FIRST = ("Va", "Mi", "Ke", "Os", "To", "Lu", "Ra", "Be", "Du", "Fe", "Ga", "Ho")
_LAST = ("ren", "ra", "lan", "sil", "mar", "dis", "wen", "tor", "nu", "vek", "pol", "qui")
NAMES = [a + b for a, b in product(_FIRST, _LAST)]
THINGS = [a.lower() + b + "a" for a, b in product(_FIRST, _LAST)]
WORDS = [a.lower() + b + "o" for a, b in product(_FIRST[:8], _LAST)]
CONTEXTS = 20  # texts to put before a prompt: ten of 10 words, ten of 5


def contexts(words: int) -> list[str]:
    """Return texts of so many words, all different."""
    return [
        " ".join([*(WORDS[(7 * i + 3 * j) % len(WORDS)] for j in range(words - 1)), "."])
        for i in range(CONTEXTS // 2)
    ]


def requests(count: int, draw: Callable[[int], int] = lambda _i: 0) -> list[Request]:
    """Return requests about subjects of two or three words; the object is one word or two."""
    made: list[Request] = []
    for i in range(count):
        subject = [NAMES[i % len(NAMES)], NAMES[(i * 5 + i // len(NAMES) + 1) % len(NAMES)]]
        if i % 3 == 0:
            subject.append(NAMES[(i * 11 + 2) % len(NAMES)])
        new = [THINGS[(i * 13 + 5) % len(THINGS)], *([WORDS[i % len(WORDS)]] * (i % 4 == 0))]
        made.append(
            Request(
                id=str(i),
                draw=draw(i),
                kind="edit",
                subject=" ".join(subject),
                relation="r",
                old=THINGS[(i * 17 + 1) % len(THINGS)],
                new=" ".join(new),
                template=TEMPLATES[i % len(TEMPLATES)],
            )
        )
    return made


@cache
def tokenizer() -> Any:
    said = [template.replace("{} ", "").replace("{}", "") for template in TEMPLATES]
    return build_tokenizer([*said, " ".join([*NAMES, *THINGS, *WORDS, "is a", "."])])


_NO_TOKENS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}


def _gpt2(layers: int, width: int, heads: int) -> Callable[[int], Any]:
    return lambda vocabulary: tf.GPT2Config(
        vocab_size=vocabulary,
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        n_positions=128,
        **_NO_TOKENS,
    )


def _llama(
    layers: int, width: int, heads: int, groups: int, inner: int
) -> Callable[[int], Any]:
    return lambda vocabulary: tf.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=2048,
        **_NO_TOKENS,
    )


def _gptj(layers: int, width: int, heads: int, rotary: int) -> Callable[[int], Any]:
    return lambda vocabulary: tf.GPTJConfig(
        vocab_size=vocabulary,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        rotary_dim=rotary,
        n_positions=2048,
        tie_word_embeddings=False,
        **_NO_TOKENS,
    )


SHAPES: dict[str, Callable[[int], Any]] = {
    "toy": _gpt2(3, 16, 2),
    "toy-llama": _llama(3, 16, 2, 1, 24),
    "gpt2-4x128": _gpt2(4, 128, 4),
    "gpt2-12x256": _gpt2(12, 256, 8),
    "llama-12x256": _llama(12, 256, 8, 2, 688),
    "llama-3-8b": _llama(32, 4096, 32, 8, 14336),
    "gpt-j-6b": _gptj(28, 4096, 16, 64),
}


def model(
    shape: str,
    vocabulary: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> nn.Module:
    """Return a random model; speed does not depend on the weights."""
    config = SHAPES[shape](vocabulary or len(tokenizer()))
    with torch.random.fork_rng(), torch.device(device):
        made = tf.AutoModelForCausalLM.from_config(config, dtype=dtype)
        generator = torch.Generator(device).manual_seed(0)
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(0, 0.02, generator=generator)
    return made.eval().requires_grad_(False)


def assets(model: nn.Module, layers: list[int], words: int) -> Assets:
    """Return what methods are given: contexts of so many words and, for some layers, moments."""
    s = sites(model)
    moments: dict[int, torch.Tensor] = {}
    for layer in layers:
        width = s.maths(model.get_parameter(s.weight(layer))).shape[1]
        device = next(model.parameters()).device
        moments[layer] = torch.eye(width, dtype=torch.float64, device=device) / 10
    texts = contexts(words) + contexts(5)
    return Assets(
        tokenizer=tokenizer(),
        layer=layers[0],
        seed=0,
        moments=moments,
        contexts=texts,
        kl_template="{} is a",
    )
