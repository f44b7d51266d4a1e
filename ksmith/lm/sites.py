"""Where things are in a transformer: one row an architecture, keyed by `config.model_type`.

A *site* is the dotted name of a module. The matrix that editors and unlearners move is the
MLP's second one, `mlp_out`: it maps a key of width d_ff to a value of width d_model.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from ksmith.records import UserError

Layout = Literal["linear", "conv1d"]  # (d_model, d_ff), or GPT-2's transposed (d_ff, d_model)


@dataclass(frozen=True, slots=True)
class Row:
    """One architecture's names; `block` has one `{}`, the parts of a block go from there."""

    block: str
    attn: str  # the module whose output is what attention adds to the residual stream
    mlp: str  # ... what the MLP adds to it
    mlp_out: str  # the MLP's second matrix
    norm: str  # the last norm
    embed: str
    layers: str = "num_hidden_layers"  # the config's name for the number of blocks
    head: str = "lm_head"
    layout: Layout = "linear"


_GPT2 = Row(
    block="transformer.h.{}",
    attn="attn",
    mlp="mlp",
    mlp_out="mlp.c_proj",
    norm="transformer.ln_f",
    embed="transformer.wte",
    layers="n_layer",
    layout="conv1d",
)
_LLAMA = Row(
    block="model.layers.{}",
    attn="self_attn",
    mlp="mlp",
    mlp_out="mlp.down_proj",
    norm="model.norm",
    embed="model.embed_tokens",
)
# Gemma norms the outputs of attention and of the MLP before it adds them.
_GEMMA = Row(
    block="model.layers.{}",
    attn="post_attention_layernorm",
    mlp="post_feedforward_layernorm",
    mlp_out="mlp.down_proj",
    norm="model.norm",
    embed="model.embed_tokens",
)

ARCHITECTURES: dict[str, Row] = {
    "gpt2": _GPT2,
    "gpt_neo": Row(
        block="transformer.h.{}",
        attn="attn",
        mlp="mlp",
        mlp_out="mlp.c_proj",
        norm="transformer.ln_f",
        embed="transformer.wte",
        layers="num_layers",
    ),
    "gptj": Row(
        block="transformer.h.{}",
        attn="attn",
        mlp="mlp",
        mlp_out="mlp.fc_out",
        norm="transformer.ln_f",
        embed="transformer.wte",
        layers="n_layer",
    ),
    "gpt_neox": Row(
        block="gpt_neox.layers.{}",
        attn="attention",
        mlp="mlp",
        mlp_out="mlp.dense_4h_to_h",
        norm="gpt_neox.final_layer_norm",
        embed="gpt_neox.embed_in",
    ),
    "opt": Row(  # has no MLP module: fc2's output is the MLP's
        block="model.decoder.layers.{}",
        attn="self_attn",
        mlp="fc2",
        mlp_out="fc2",
        norm="model.decoder.final_layer_norm",
        embed="model.decoder.embed_tokens",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "phi": Row(
        block="model.layers.{}",
        attn="self_attn",
        mlp="mlp",
        mlp_out="mlp.fc2",
        norm="model.final_layernorm",
        embed="model.embed_tokens",
    ),
    "phi3": _LLAMA,
}


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of one model; `i` is the number of a block, from 0."""

    row: Row
    n_layers: int

    @property
    def layout(self) -> Layout:
        """How `mlp_out` stores its weight: "linear" (d_model, d_ff) or "conv1d", transposed."""
        return self.row.layout

    @property
    def transposed(self) -> bool:
        """Whether `mlp_out`'s weight is stored as (d_ff, d_model)."""
        return self.row.layout == "conv1d"

    @property
    def norm(self) -> str:
        """The last norm, before the head."""
        return self.row.norm

    @property
    def head(self) -> str:
        """The module that gives the logits."""
        return self.row.head

    @property
    def embed(self) -> str:
        """The token embedding."""
        return self.row.embed

    def block(self, i: int) -> str:
        """Return the name of block `i`, whose output is the residual stream after it."""
        return self.row.block.format(i)

    def attn(self, i: int) -> str:
        """Return the module whose output block `i`'s attention adds to the residual stream."""
        return f"{self.block(i)}.{self.row.attn}"

    def mlp(self, i: int) -> str:
        """Return the module whose output block `i`'s MLP adds to the residual stream."""
        return f"{self.block(i)}.{self.row.mlp}"

    def mlp_out(self, i: int) -> str:
        """Return the module of block `i`'s second MLP matrix: keys go in, values come out."""
        return f"{self.block(i)}.{self.row.mlp_out}"

    def weight(self, i: int) -> str:
        """Return the name of the parameter of `mlp_out(i)`."""
        return f"{self.mlp_out(i)}.weight"

    @property
    def norm_after_mlp(self) -> bool:
        """Whether a norm stands between `mlp_out` and the residual stream (Gemma)."""
        return self.row.mlp.endswith("layernorm")

    def maths(self, weight: Tensor) -> Tensor:
        """Return `mlp_out`'s weight, or a change of it, as (d_model, d_ff); and back again."""
        return weight.T if self.transposed else weight

    def layer(self, i: int) -> int:
        """Return `i` if the model has this block.

        Raises:
            UserError: it has not.
        """
        if not 0 <= i < self.n_layers:
            raise UserError(f"no layer {i}: the model has layers 0 to {self.n_layers - 1}")
        return i


def sites(model: nn.Module) -> Sites:
    """Return the sites of `model`.

    Raises:
        UserError: an architecture that is not in the table, or a variant with another residual
        stream.
    """
    config = getattr(model, "config", None)
    kind = getattr(config, "model_type", None)
    row = ARCHITECTURES.get(str(kind))
    if row is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(f"no sites for models of type {kind!r}; there are: {known}")
    if kind == "opt" and not getattr(config, "do_layer_norm_before", True):
        raise UserError("opt with do_layer_norm_before = false (opt-350m) is not supported")
    return Sites(row, int(getattr(config, row.layers)))


def as_rows(output: object, n: int) -> Tensor:
    """Return what a module gave (or took) for `n` rows as one tensor (n, t, width).

    Attention gives a tuple, and OPT's MLP sees all rows as one, (n * t, width).
    """
    tensor = output[0] if isinstance(output, tuple) else output
    assert isinstance(tensor, Tensor)
    return tensor.reshape(n, -1, tensor.shape[-1])
