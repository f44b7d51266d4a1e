"""r-ROME: ROME with one key throughout. Gupta et al. 2024, arXiv:2403.07175."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Layer, NotNegative, Positive, setting
from ksmith.settings.search import Search


@dataclass(frozen=True, slots=True, kw_only=True)
class RRome(Search):
    """Hyperparameters, named as in the paper; step sizes are relative to activations."""

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("moments",)

    layer: Layer | None = setting(
        None, "edited layer; by default a known model's, else the peak of the trace"
    )
    clamp: Positive = setting(4.0, "largest change of the value, x norm(v_init)")
    ridge: NotNegative = setting(1e-4, "added to the second moment, x its mean diagonal")
    adjust: bool = setting(
        True,
        "spare directions that text uses, by the second moment; else all are alike",
        omit_at_default=True,
    )
