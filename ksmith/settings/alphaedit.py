"""AlphaEdit: many facts at once, in directions that text does not use. arXiv:2410.02355."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Layer, Positive, setting
from ksmith.settings.search import Search, check_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphaEdit(Search):
    """Hyperparameters, named as in the paper; thresholds are relative to the second moment."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("moments",)

    layers: tuple[Layer, ...] | None = setting(
        None,
        "edited layers, lowest first; a known model's, else the trace's peak and the next",
    )
    nullspace: Positive = setting(
        0.05, "eigenvalues of the second moment below this, x their mean, are free to write in"
    )
    l2: Positive = setting(1.0, "L2 of the change, x the mean of norm(k)^2 / d_ff")

    def __post_init__(self) -> None:
        Search.__post_init__(self)
        check_layers(self.layers)
