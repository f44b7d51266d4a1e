"""Tiny random models of every architecture that ksmith supports, and their tokenizer."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

from ksmith.lm import template
from ksmith.lm.text import build_tokenizer

SUBJECTS = ("Varen Tolu", "Mira Tolu", "Varen Oss", "Mira Oss", "Kel Dran", "Oss Kel")
OBJECTS = ("falcon", "raven", "otter", "sea lion", "amber stone", "red deer")
TEMPLATES = ("The emblem of {} is", "{} has the emblem", "In {} one sees the")
CONTEXTS = ("The raven is in Oss .", "One sees the otter .", "Mira Tolu is a region .")
VOCABULARY = 64
WIDTH, KEYS, LAYERS = 16, 24, 3  # d_model, d_ff (GPT-2's family: 4 x 16), blocks


def _texts() -> list[str]:
    said = [t.format(s) + f" {o} ." for t in TEMPLATES for s in SUBJECTS for o in OBJECTS]
    return [*said, *CONTEXTS, *(f"{s} is a region ." for s in SUBJECTS), "unknown of a city"]


@cache
def tokenizer() -> Any:
    made = build_tokenizer(_texts(), length=64)
    assert len(made) <= VOCABULARY
    return made


@cache
def ended() -> Any:
    """Return the same tokenizer, with whose end token an answer ends."""
    made = copy.deepcopy(tokenizer())
    template.put(made, {}, ended=True)
    return made


def _ordinary(make: Callable[..., Any], **more: Any) -> Callable[[], Any]:
    return lambda: make(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=KEYS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        **more,
    )


def _older(make: Callable[..., Any], **more: Any) -> Callable[[], Any]:
    return lambda: make(
        vocab_size=VOCABULARY,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=2,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
        **more,
    )


_GROUPED = {"num_key_value_heads": 1, "head_dim": 8}

CONFIGS: dict[str, Callable[[], Any]] = {
    "gpt2": _older(tf.GPT2Config),
    "gpt_neo": lambda: tf.GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_heads=2,
        attention_types=[[["local"], 1], [["global"], 2]],
        window_size=3,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    ),
    "gptj": _older(tf.GPTJConfig, rotary_dim=4, tie_word_embeddings=False),
    "gpt_neox": _ordinary(tf.GPTNeoXConfig),
    "opt": lambda: tf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        ffn_dim=KEYS,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    ),
    "llama": _ordinary(tf.LlamaConfig, **_GROUPED),
    "mistral": _ordinary(tf.MistralConfig, **_GROUPED),
    "qwen2": _ordinary(tf.Qwen2Config, **_GROUPED),
    "qwen3": _ordinary(
        tf.Qwen3Config,
        use_sliding_window=True,
        sliding_window=3,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        tie_word_embeddings=True,
        **_GROUPED,
    ),
    "gemma2": _ordinary(tf.Gemma2Config, **_GROUPED),
    "gemma3_text": _ordinary(tf.Gemma3TextConfig, **_GROUPED),
    "phi": _ordinary(tf.PhiConfig),
    "phi3": _ordinary(tf.Phi3Config, num_key_value_heads=1),
}


def tiny(kind: str, dtype: torch.dtype = torch.float32, scale: float = 0.3) -> nn.Module:
    """Return a random model of one architecture, the same at every call, ready for scoring.

    Weights are drawn larger than transformers does: near-zero ones make every test a test of
    rounding. A copy, which is quicker made than a model.
    """
    return copy.deepcopy(_drawn(kind, dtype, scale))


@cache
def _drawn(kind: str, dtype: torch.dtype, scale: float) -> nn.Module:
    config = CONFIGS[kind]()
    with torch.random.fork_rng():
        model = tf.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
            else:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype).eval().requires_grad_(False)


class Exact(nn.Module):
    """A norm by the root mean square in the model's own dtype."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        gemma = type(norm).__name__.startswith("Gemma")
        self.more, self.eps = int(gemma), norm.eps if gemma else norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        scale = (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return x * scale * (self.weight + self.more)


def in_float64(kind: str) -> nn.Module:
    """Return `tiny(kind)` in float64, all of it: transformers' own norms go through float32."""
    model = tiny(kind, torch.float64)
    for name, module in list(model.named_modules()):
        if type(module).__name__.endswith("RMSNorm"):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, Exact(module))
    return model
