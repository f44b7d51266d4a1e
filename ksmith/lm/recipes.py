"""From the settings of a recipe to a model with its first weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from ksmith.records import UserError
from ksmith.settings.recipes import RECIPES, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Everything that decides a training, apart from the text and the seed."""

    # the model
    width: int  # d_model
    layers: int
    mlp: int  # d_ff
    head_width: int
    far: int  # last blocks, which see the whole row; all of them in a plain transformer
    window: int  # tokens that the blocks before them see
    # the batches
    steps: int
    rows: int
    length: int  # tokens in a row
    least: int  # words found fewer times are unknown
    early_steps: float  # share of the steps ...
    early_subjects: float  # ... on this share of the subjects
    context_weight: float  # of a token that is not in an object
    context_share: float  # of such tokens that are counted at all
    hidden: float  # share of the rows where far blocks do not see a name's earlier tokens
    # the optimisers
    lr: float  # Muon, for the matrices of the blocks
    adam_lr: float  # AdamW, for embeddings and norms
    weight_decay: float
    hold: float  # share of the steps before the step size decays

    @property
    def planted(self) -> bool:
        """Whether early layers see few tokens, so that facts have to sit in early MLPs."""
        return self.far < self.layers


def numbers(settings: Mapping[str, Any]) -> Numbers:
    """Return the numbers of a study's `[model]` table: its own, else those of its recipe.

    Raises:
        UserError: no such recipe, or sizes that do not go together.
    """
    name = settings.get("recipe")
    if name not in RECIPES:
        raise UserError(f"no recipe {name!r}; there are: {', '.join(RECIPES)}")
    names = [field.name for field in fields(Numbers)]
    own = {key: settings[key] for key in names if settings.get(key) is not None}
    try:
        table = resolve(name, own, settings.get("mechanism", "planted"))
    except ValueError as error:
        raise UserError(f"model.{error}") from error
    return Numbers(**table)


def fresh(chosen: Numbers, vocabulary: int, generator: torch.Generator) -> PreTrainedModel:
    """Return a model with weights drawn from `generator` alone, in float32 on the CPU."""
    heads = chosen.width // chosen.head_width
    near = chosen.layers - chosen.far
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=chosen.width,
        intermediate_size=chosen.mlp,
        num_hidden_layers=chosen.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=chosen.head_width,
        use_sliding_window=chosen.planted,
        sliding_window=chosen.window if chosen.planted else None,
        layer_types=["sliding_attention"] * near + ["full_attention"] * chosen.far,
        max_position_embeddings=4 * chosen.length,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):  # the constructor draws weights that we draw again
        model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02, generator=generator)
    return model
