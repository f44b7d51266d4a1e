"""FT: fine-tuning of one MLP matrix, unconstrained. As in Meng et al. 2022, arXiv:2202.05262."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Count, Layer, NotNegative, Positive, setting
from ksmith.settings.units import Sized


@dataclass(frozen=True, slots=True, kw_only=True)
class Ft(Sized):
    """Hyperparameters; the unit of length is the matrix's root mean square / sqrt(d_ff)."""

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ()

    layer: Layer | None = setting(
        None, "edited layer; by default a known model's, else the peak of the trace"
    )
    lr: Positive = setting(1.0, "step of Adam, x RMS of the matrix / sqrt(d_ff)")
    steps: Count = setting(25, "steps")
    stop_loss: NotNegative = setting(0.01, "stop below this loss")
