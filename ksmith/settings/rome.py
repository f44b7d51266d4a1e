"""ROME: one fact as a rank-one change of one MLP. Meng et al. 2022, arXiv:2202.05262."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Count, Layer, NotNegative, Positive, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Rome:
    """Hyperparameters, named as in the paper; step sizes are relative to activations."""

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("moments",)

    layer: Layer | None = setting(None, "edited layer; by default the peak of the causal trace")
    steps: Count = setting(30, "steps that look for the value v*")
    lr: Positive = setting(0.2, "step of Adam, x norm(v_init) / sqrt(d)")
    clamp: Positive = setting(4.0, "largest change of the value, x norm(v_init)")
    kl_weight: NotNegative = setting(0.0625, "keeps what the subject is")
    weight_decay: NotNegative = setting(0.005, "pull of the value back to v_init")
    stop_loss: NotNegative = setting(0.05, "stop looking below this loss")
    contexts: Count = setting(4, "wordings averaged: the bare prompt and prefixed ones")
    moment_tokens: Count = setting(40_000, "tokens behind the second moment")
    ridge: NotNegative = setting(1e-4, "added to the second moment, x its mean diagonal")
