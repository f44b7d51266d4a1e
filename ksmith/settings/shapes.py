"""How large a model's matrices are, told by its recipe or its config.json: no weights are needed.

What is here decides whether a method fits a model (an adapter's rank, a layer's number), so that
a study can be refused before anything is stored. What a configuration leaves open is left open:
the attempt, which has the weights, asks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ksmith.settings.recipes import resolve

Part = Literal["attention", "mlp_in", "mlp_out"]
PARTS: tuple[Part, ...] = ("attention", "mlp_in", "mlp_out")

# What architectures call a size, the first name that a configuration has; see lm/sites.py.
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "width": ("hidden_size", "n_embd"),
    "mlp": ("intermediate_size", "n_inner", "ffn_dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "kv": ("num_key_value_heads",),
    "head": ("head_dim",),
}
FOURFOLD = ("gpt2", "gptj", "gpt_neo")  # whose MLP is 4 x d_model wide where nobody says
WHOLE = ("gpt2", "gpt_neox", "phi3")  # one matrix for queries, keys and values
# Whose heads have a width of their own where nobody says.
OWN_HEADS = ("gemma2", "gemma3_text", "qwen3")


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's blocks, as far as it is known."""

    layers: int | None
    narrowest: Mapping[Part, int]  # the smaller side of the narrowest matrix of a kind


def of_recipe(model: Mapping[str, Any]) -> Shape:
    """Return the shape of the model that a study's `[model]` table trains.

    Raises:
        ValueError: sizes that do not go together.
    """
    own = {name: model[name] for name in ("width", "layers") if model.get(name) is not None}
    made = resolve(str(model["recipe"]), own, model.get("mechanism", "planted"))
    least = min(made["width"], made["mlp"])
    return Shape(
        made["layers"], {"attention": made["width"], "mlp_in": least, "mlp_out": least}
    )


def of_config(config: Mapping[str, Any]) -> Shape:
    """Return the shape of the model of a configuration, which may say anything or nothing."""
    size = {name: _size(config, keys) for name, keys in NAMES.items()}
    kind = config.get("model_type")
    width, mlp, heads, head = (size[name] for name in ("width", "mlp", "heads", "head"))
    if mlp is None and kind in FOURFOLD and width:
        mlp = 4 * width
    if head is None and kind not in OWN_HEADS and width and heads:
        head = width // heads
    found: dict[Part, int] = {}
    if width and mlp:
        found["mlp_in"] = found["mlp_out"] = min(width, mlp)
    if width and heads and head:
        kv = heads if kind in WHOLE else size["kv"] or heads
        found["attention"] = min(width, heads * head, kv * head)
    return Shape(size["layers"], found)


def _size(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    given = next((config[key] for key in keys if config.get(key) is not None), None)
    whole = isinstance(given, int) and not isinstance(given, bool) and given > 0
    return given if whole else None
