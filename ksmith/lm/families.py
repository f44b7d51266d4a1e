"""The blocks of each family of models, by hand: which operations they consist of.

`by_hand` gives a model's, or None where something in it is not known here: a search then goes
through its modules.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ksmith.lm.blocks import Block
from ksmith.lm.ops import (
    Affine,
    LayerNorm,
    Looking,
    Norm,
    RmsNorm,
    Turn,
    UnknownCurveError,
    curve,
    widened,
)
from ksmith.lm.sites import sites


@dataclass(frozen=True, slots=True)
class ByHand:
    """A model, from tokens to logits, by hand."""

    model: nn.Module
    blocks: list[Block]
    norm: Norm  # the last one
    head: Affine
    cap: float | None = None  # Gemma 2: logits are bent to stay below it

    def stem(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Return the stream before the first block, (N, d), for tokens and positions (N,)."""
        embed = self.model.get_submodule(sites(self.model).embed)(ids)
        base: Any = getattr(self.model, "base_model")  # noqa: B009
        if hasattr(base, "wpe"):
            return embed + base.wpe(positions)
        decoder = getattr(base, "decoder", None)
        if decoder is not None:
            learnt = decoder.embed_positions
            return embed + nn.functional.embedding(positions + learnt.offset, learnt.weight)
        return embed

    def turns(self, like: Tensor, positions: Tensor) -> dict[str, Turn | None]:
        """Return the rotary positions (N,) of each kind of block, in the dtype of `like`."""
        rotary = getattr(getattr(self.model, "base_model"), "rotary_emb", None)  # noqa: B009
        kinds = {block.rotary for block in self.blocks}
        table = self._sines(rotary)
        if table is not None:
            sin, cos = table[positions].to(like.dtype)[:, None].chunk(2, -1)
            return dict.fromkeys(kinds, Turn(cos, sin, pairs=True))
        if rotary is None:
            return dict.fromkeys(kinds)
        found: dict[str, Turn | None] = {}
        for kind in kinds:
            cos, sin = rotary(like[None], positions[None], *([kind] if kind else []))
            half = cos.shape[-1] // 2
            found[kind] = Turn(cos[0, :, None, :half], sin[0, :, None, :half], pairs=False)
        return found

    def logits(self, h: Tensor) -> Tensor:
        """Return the logits (N, vocab) after the last block's stream (N, d), float32 or wider."""
        logits = widened(self.head(self.norm(h)[0]))
        return logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)

    def _sines(self, rotary: Any) -> Tensor | None:
        """Return GPT-J's sines and cosines by position, which each block had for itself once."""
        first: Any = self.model.get_submodule(sites(self.model).block(0))
        holder = getattr(first, "attn", None) if rotary is None else rotary
        return getattr(holder, "embed_positions", None)


def by_hand(model: nn.Module) -> ByHand | None:
    """Return the operations of `model`; None where something in it is not known here."""
    config: Any = getattr(model, "config", None)
    make = FAMILIES.get(str(getattr(config, "model_type", None)))
    if make is None:
        return None
    s = sites(model)
    if model.get_submodule(s.embed).get_parameter("weight").shape[1] != int(config.hidden_size):
        return None  # small OPTs project their embeddings
    modules = [model.get_submodule(s.block(i)) for i in range(s.n_layers)]
    try:
        blocks = [make(module, config, i) for i, module in enumerate(modules)]
        norm = _norm(model.get_submodule(s.norm))
    except UnknownCurveError:
        return None
    head = Affine.of(model.get_submodule(s.head))
    matrices = [head, *(matrix for block in blocks for matrix in block.matrices)]
    if not all(matrix.weight.is_floating_point() for matrix in matrices):
        return None  # quantised
    return ByHand(model, blocks, norm, head, getattr(config, "final_logit_softcapping", None))


def _norm(module: Any) -> Norm:
    if isinstance(module, nn.LayerNorm):
        return LayerNorm.of(module)
    if type(module).__name__.startswith("Gemma"):
        return RmsNorm.gemma(module)
    if not hasattr(module, "variance_epsilon"):
        raise UnknownCurveError(type(module).__name__)
    return RmsNorm.of(module)


def _gpt2(block: Any, _config: Any, _i: int) -> Block:
    attention, mlp = block.attn, block.mlp
    d, bent = attention.embed_dim, curve(mlp.act)
    return Block(
        norm=_norm(block.ln_1),
        q=Affine.conv(attention.c_attn, 0, d),
        k=Affine.conv(attention.c_attn, d, 2 * d),
        v=Affine.conv(attention.c_attn, 2 * d, 3 * d),
        o=Affine.conv(attention.c_proj),
        width=attention.head_dim,
        looking=Looking(attention.scaling),
        mlp_norm=_norm(block.ln_2),
        up=Affine.conv(mlp.c_fc),
        curve=bent,
        down=Affine.conv(mlp.c_proj),
    )


def _gpt_neo(block: Any, _config: Any, _i: int) -> Block:
    attention, mlp = block.attn.attention, block.mlp
    bent = curve(mlp.act)
    seen = int(attention.bias[0, 0, -1].sum())  # its own mask, here of the last position
    return Block(
        norm=_norm(block.ln_1),
        q=Affine.of(attention.q_proj),
        k=Affine.of(attention.k_proj),
        v=Affine.of(attention.v_proj),
        o=Affine.of(attention.out_proj),
        width=attention.head_dim,
        looking=Looking(1.0),
        window=None if seen == attention.bias.shape[-1] else seen,
        mlp_norm=_norm(block.ln_2),
        up=Affine.of(mlp.c_fc),
        curve=bent,
        down=Affine.of(mlp.c_proj),
    )


def _gptj(block: Any, _config: Any, _i: int) -> Block:
    attention, mlp = block.attn, block.mlp
    bent = curve(mlp.act)
    return Block(
        norm=_norm(block.ln_1),
        q=Affine.of(attention.q_proj),
        k=Affine.of(attention.k_proj),
        v=Affine.of(attention.v_proj),
        o=Affine.of(attention.out_proj),
        width=attention.head_dim,
        looking=Looking(attention.head_dim**-0.5),
        parallel=True,
        up=Affine.of(mlp.fc_in),
        curve=bent,
        down=Affine.of(mlp.fc_out),
    )


def _gpt_neox(block: Any, _config: Any, _i: int) -> Block:
    attention, mlp = block.attention, block.mlp
    width, bent = attention.head_size, curve(mlp.act)
    whole = attention.query_key_value
    # Head after head, each with its queries, keys and values: copies, put in order.
    order = torch.arange(len(whole.weight), device=whole.weight.device).view(-1, 3, width)
    return Block(
        norm=_norm(block.input_layernorm),
        q=Affine.rows(whole, order[:, 0].flatten()),
        k=Affine.rows(whole, order[:, 1].flatten()),
        v=Affine.rows(whole, order[:, 2].flatten()),
        o=Affine.of(attention.dense),
        width=width,
        looking=Looking(attention.scaling),
        mlp_norm=_norm(block.post_attention_layernorm),
        parallel=bool(block.use_parallel_residual),
        up=Affine.of(mlp.dense_h_to_4h),
        curve=bent,
        down=Affine.of(mlp.dense_4h_to_h),
    )


def _opt(block: Any, _config: Any, _i: int) -> Block:
    attention, bent = block.self_attn, curve(block.activation_fn)
    return Block(
        norm=_norm(block.self_attn_layer_norm),
        q=Affine.of(attention.q_proj),
        k=Affine.of(attention.k_proj),
        v=Affine.of(attention.v_proj),
        o=Affine.of(attention.out_proj),
        width=attention.head_dim,
        looking=Looking(attention.scaling),
        mlp_norm=_norm(block.final_layer_norm),
        up=Affine.of(block.fc1),
        curve=bent,
        down=Affine.of(block.fc2),
    )


def _phi(block: Any, _config: Any, _i: int) -> Block:
    attention, mlp = block.self_attn, block.mlp
    bent = curve(mlp.activation_fn)
    normed = attention.qk_layernorm
    return Block(
        norm=_norm(block.input_layernorm),
        q=Affine.of(attention.q_proj),
        k=Affine.of(attention.k_proj),
        v=Affine.of(attention.v_proj),
        o=Affine.of(attention.dense),
        width=attention.head_dim,
        looking=Looking(attention.scaling),
        q_norm=_norm(attention.q_layernorm) if normed else None,
        k_norm=_norm(attention.k_layernorm) if normed else None,
        parallel=True,
        up=Affine.of(mlp.fc1),
        curve=bent,
        down=Affine.of(mlp.fc2),
    )


def _llama(block: Any, config: Any, i: int) -> Block:
    attention, mlp = block.self_attn, block.mlp
    bent = curve(mlp.act_fn)
    normed = hasattr(attention, "q_norm")  # Qwen 3, Gemma 3
    return Block(
        norm=_norm(block.input_layernorm),
        q=Affine.of(attention.q_proj),
        k=Affine.of(attention.k_proj),
        v=Affine.of(attention.v_proj),
        o=Affine.of(attention.o_proj),
        width=attention.head_dim,
        looking=Looking(attention.scaling),
        q_norm=_norm(attention.q_norm) if normed else None,
        k_norm=_norm(attention.k_norm) if normed else None,
        window=_window(config, i),
        mlp_norm=_norm(block.post_attention_layernorm),
        gate=Affine.of(mlp.gate_proj),
        up=Affine.of(mlp.up_proj),
        curve=bent,
        down=Affine.of(mlp.down_proj),
    )


ALL_ALIKE = ("mistral", "phi3")  # one window for all blocks, whatever `layer_types` says


def _window(config: Any, i: int) -> int | None:
    window = getattr(config, "sliding_window", None)
    if config.model_type in ALL_ALIKE:
        return window
    kinds = getattr(config, "layer_types", None)
    return window if kinds and kinds[i] == "sliding_attention" else None


def _gemma(block: Any, config: Any, i: int) -> Block:
    made = _llama(block, config, i)
    attention = block.self_attn
    cap = getattr(attention, "attn_logit_softcapping", None)
    # Gemma 3 keeps the number and does not use it.
    capped = cap if config.model_type == "gemma2" else None
    kinds = config.model_type == "gemma3_text"
    return replace(
        made,
        looking=Looking(attention.scaling, capped),
        rotary=config.layer_types[i] if kinds else "",
        after_attention=_norm(block.post_attention_layernorm),
        mlp_norm=_norm(block.pre_feedforward_layernorm),
        after_mlp=_norm(block.post_feedforward_layernorm),
    )


def _phi3(block: Any, config: Any, i: int) -> Block:
    attention, mlp = block.self_attn, block.mlp
    bent = curve(mlp.activation_fn)
    whole, width = attention.qkv_proj, attention.o_proj.weight.shape[1]
    keys = width + attention.num_key_value_heads * attention.head_dim
    half = len(mlp.gate_up_proj.weight) // 2
    return Block(
        norm=_norm(block.input_layernorm),
        q=Affine.rows(whole, slice(0, width)),
        k=Affine.rows(whole, slice(width, keys)),
        v=Affine.rows(whole, slice(keys, None)),
        o=Affine.of(attention.o_proj),
        width=attention.head_dim,
        looking=Looking(attention.scaling),
        window=_window(config, i),
        mlp_norm=_norm(block.post_attention_layernorm),
        gate=Affine.rows(mlp.gate_up_proj, slice(0, half)),
        up=Affine.rows(mlp.gate_up_proj, slice(half, None)),
        curve=bent,
        down=Affine.of(mlp.down_proj),
    )


FAMILIES: dict[str, Callable[[Any, Any, int], Block]] = {
    "gpt2": _gpt2,
    "gpt_neo": _gpt_neo,
    "gptj": _gptj,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "phi": _phi,
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "phi3": _phi3,
}
