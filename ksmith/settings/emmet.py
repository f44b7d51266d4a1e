"""EMMET: many facts at once, under equality constraints. Gupta et al. 2024, arXiv:2403.14236."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Layer, NotNegative, Positive, setting
from ksmith.settings.search import Search, check_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Emmet(Search):
    """Hyperparameters, named as in the paper; step sizes are relative to activations."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("moments",)

    layers: tuple[Layer, ...] | None = setting(
        None, "edited layers, lowest first; a known model's, else the trace's peak"
    )
    weight: Positive = setting(0.3, "lambda / d_ff: the weight of the second moment")
    slack: NotNegative = setting(
        0.1, "alpha: how far several values may miss; 0 meets them, one is always met"
    )
    ridge: NotNegative = setting(1e-4, "added to the second moment, x its mean diagonal")

    def __post_init__(self) -> None:
        Search.__post_init__(self)
        check_layers(self.layers)
