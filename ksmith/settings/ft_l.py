"""FT-L: fine-tuning of one MLP matrix inside a box. Zhu et al. 2020, arXiv:2012.00363."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Count, Layer, NotNegative, Positive, setting
from ksmith.settings.units import Sized


@dataclass(frozen=True, slots=True, kw_only=True)
class FtL(Sized):
    """Hyperparameters; the unit of length is the matrix's root mean square / sqrt(d_ff)."""

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ()

    layer: Layer | None = setting(
        None, "edited layer; by default a known model's, else the peak of the trace"
    )
    lr: Positive = setting(1.0, "step of Adam, x RMS of the matrix / sqrt(d_ff)")
    epsilon: Positive = setting(
        6.0, "no weight moves further, x RMS of the matrix / sqrt(d_ff)"
    )
    steps: Count = setting(25, "steps")
    stop_loss: NotNegative = setting(0.01, "stop below this loss")
