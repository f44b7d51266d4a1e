"""Transformer blocks run by hand: their arithmetic, without what a module does around it.

A search goes through the same blocks hundreds of times. In a small model, or with few rows,
transformers' modules take several times as long as the numbers in them: masks that are built
anew, caches that grow, layers of wrappers. Here masks and positions are made once, and each
block is the dozen operations that it consists of.

One class a family; `by_hand` gives those of a model's blocks, or None for other architectures.

Shapes: n rows, t tokens, d = d_model, H heads, G groups of them that share keys and values,
e = width of a head.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, rms_norm
from transformers.activations import NewGELUActivation

from ksmith.lm.sites import sites

ALL_ALIKE = ("mistral", "phi3")  # one window for all blocks, whatever `layer_types` says
Turn = tuple[Tensor, Tensor] | None  # cosines and sines of the positions, (n, 1, t, e)


class Block(Protocol):
    """One block with residual connections around attention and MLP, one after the other."""

    window: int | None  # how far attention looks back, the token itself included

    def normed(self, h: Tensor) -> Tensor:
        """Return what attention is given, (n, t, d)."""
        ...

    def queries(self, x: Tensor, turn: Turn) -> Tensor:
        """Return (n, H, t, e)."""
        ...

    def keys_values(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """Return two of (n, G, t, e)."""
        ...

    def attended(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Return what attention adds, (n, t, d); `mask` (n, 1, t, all tokens) bool."""
        ...

    def fed(self, h: Tensor) -> Tensor:
        """Return what the MLP adds, (n, t, d)."""
        ...


def by_hand(model: nn.Module, first: int) -> list[Block] | None:
    """Return the blocks from `first` on; None where an architecture is not known here."""
    config: Any = getattr(model, "config", None)
    make = FAMILIES.get(str(getattr(config, "model_type", None)))
    weights = (w for w in model.parameters())
    if make is None or not all(w.is_floating_point() for w in weights):
        return None
    s = sites(model)
    return [make(model.get_submodule(s.block(i)), config, i) for i in range(first, s.n_layers)]


def turned(x: Tensor, turn: Turn) -> Tensor:
    """Return queries or keys (n, heads, t, e) in their positions: RoPE, in halves.

    Where the angles are fewer than e, the rest of a head has no position (Phi-3).
    """
    if turn is None:
        return x
    cos, sin = turn
    width = cos.shape[-1]
    half = width // 2
    a, b, rest = x[..., :half], x[..., half:width], x[..., width:]
    first = a * cos[..., :half] - b * sin[..., :half]
    second = b * cos[..., half:] + a * sin[..., half:]
    return torch.cat([first, second, rest] if rest.shape[-1] else [first, second], -1)


def _heads(x: Tensor, width: int) -> Tensor:
    return x.view(*x.shape[:-1], -1, width).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Return (n, t, H e)."""
    found = nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return found.transpose(1, 2).flatten(2)


@dataclass(frozen=True, slots=True)
class Llama:
    """Llama, Mistral, Qwen 2 and 3: RMS norms, RoPE, a gated MLP."""

    block: Any
    width: int  # of a head
    window: int | None

    @classmethod
    def of(cls, block: Any, config: Any, i: int) -> "Llama":
        """Return block `i`; its window is its own (Qwen) or that of all (Mistral, Phi 3)."""
        window = getattr(config, "sliding_window", None)
        if config.model_type not in ALL_ALIKE:
            kinds = getattr(config, "layer_types", None)
            window = window if kinds and kinds[i] == "sliding_attention" else None
        return cls(block, int(block.self_attn.head_dim), window)

    def normed(self, h: Tensor) -> Tensor:
        """See `Block`."""
        return _rms(h, self.block.input_layernorm)

    def queries(self, x: Tensor, turn: Turn) -> Tensor:
        """See `Block`."""
        return self._placed(self.block.self_attn.q_proj, "q_norm", x, turn)

    def keys_values(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """See `Block`."""
        attention = self.block.self_attn
        v = _heads(_linear(x, attention.v_proj), self.width)
        return self._placed(attention.k_proj, "k_norm", x, turn), v

    def _placed(self, projection: Any, norm: str, x: Tensor, turn: Turn) -> Tensor:
        made = _linear(x, projection).view(*x.shape[:-1], -1, self.width)
        if hasattr(self.block.self_attn, norm):  # Qwen 3
            made = _rms(made, getattr(self.block.self_attn, norm))
        return turned(made.transpose(1, 2), turn)

    def attended(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """See `Block`."""
        attention = self.block.self_attn
        return _linear(_attend(q, k, v, mask, attention.scaling), attention.o_proj)

    def fed(self, h: Tensor) -> Tensor:
        """See `Block`."""
        mlp = self.block.mlp
        x = _rms(h, self.block.post_attention_layernorm)
        return _linear(
            mlp.act_fn(_linear(x, mlp.gate_proj)) * _linear(x, mlp.up_proj), mlp.down_proj
        )


@dataclass(frozen=True, slots=True)
class Phi3(Llama):
    """Phi 3: Llama with fused projections."""

    def queries(self, x: Tensor, turn: Turn) -> Tensor:
        """See `Block`."""
        weight = self.block.self_attn.qkv_proj.weight
        width = self.block.self_attn.o_proj.weight.shape[1]
        return turned(_heads(linear(x, weight[:width]), self.width), turn)

    def keys_values(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """See `Block`."""
        weight = self.block.self_attn.qkv_proj.weight
        width = self.block.self_attn.o_proj.weight.shape[1]
        k, v = linear(x, weight[width:]).chunk(2, -1)
        return turned(_heads(k, self.width), turn), _heads(v, self.width)

    def fed(self, h: Tensor) -> Tensor:
        """See `Block`."""
        mlp = self.block.mlp
        gate, up = _linear(
            _rms(h, self.block.post_attention_layernorm), mlp.gate_up_proj
        ).chunk(2, -1)
        return _linear(up * mlp.activation_fn(gate), mlp.down_proj)


@dataclass(frozen=True, slots=True)
class Gpt2:
    """GPT-2: layer norms, learnt positions, transposed weights."""

    block: Any
    window: int | None = None

    @classmethod
    def of(cls, block: Any, _config: Any, _i: int) -> "Gpt2":
        """Return the block."""
        return cls(block)

    def normed(self, h: Tensor) -> Tensor:
        """See `Block`."""
        return _layer(h, self.block.ln_1)

    def queries(self, x: Tensor, turn: Turn) -> Tensor:
        """See `Block`."""
        return self._part(x, 0, 1)

    def keys_values(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """See `Block`."""
        k, v = self._part(x, 1, 3).chunk(2, 1)
        return k, v

    def _part(self, x: Tensor, start: int, stop: int) -> Tensor:
        attention = self.block.attn
        d = attention.embed_dim
        span = slice(start * d, stop * d)
        made = linear(x, attention.c_attn.weight[:, span].T, attention.c_attn.bias[span])
        return _heads(made, attention.head_dim)

    def attended(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """See `Block`."""
        attention = self.block.attn
        return _conv(_attend(q, k, v, mask, attention.scaling), attention.c_proj)

    def fed(self, h: Tensor) -> Tensor:
        """See `Block`."""
        mlp = self.block.mlp
        x = _conv(_layer(h, self.block.ln_2), mlp.c_fc)
        is_new = isinstance(mlp.act, NewGELUActivation)  # the same curve in eight operations
        return _conv(gelu(x, approximate="tanh") if is_new else mlp.act(x), mlp.c_proj)


def _rms(x: Tensor, norm: Any) -> Tensor:
    """Return `x` normed as transformers does, in float32 whatever the model is in."""
    if x.dtype == torch.float32:
        return rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
    return norm.weight * wide.to(x.dtype)


def _layer(x: Tensor, norm: Any) -> Tensor:
    return layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)


def _linear(x: Tensor, module: Any) -> Tensor:
    return linear(x, module.weight, module.bias)


def _conv(x: Tensor, module: Any) -> Tensor:
    return linear(x, module.weight.T, module.bias)


FAMILIES: dict[str, Any] = {
    "gpt2": Gpt2.of,
    "llama": Llama.of,
    "mistral": Llama.of,
    "qwen2": Llama.of,
    "qwen3": Llama.of,
    "phi3": Phi3.of,
}
