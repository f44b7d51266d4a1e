"""MEMIT: many facts at once, spread over layers. Meng et al. 2023, arXiv:2210.07229."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Layer, NotNegative, Positive, setting
from ksmith.settings.search import Search, check_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Memit(Search):
    """Hyperparameters, named as in the paper; step sizes are relative to activations."""

    version: ClassVar[int] = 3  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("moments",)

    layers: tuple[Layer, ...] | None = setting(
        None,
        "edited layers, lowest first; a known model's, else the trace's peak and the next",
    )
    weight: Positive = setting(0.3, "lambda / d_ff: the weight of the second moment")
    ridge: NotNegative = setting(1e-4, "added to the second moment, x its mean diagonal")

    def __post_init__(self) -> None:
        Search.__post_init__(self)
        check_layers(self.layers)
