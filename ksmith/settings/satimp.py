"""SatImp: ascent where tokens are neither sure nor gone. Yang et al. 2025, arXiv:2505.11953."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class SatImp(Keeping):
    """Hyperparameters, named as in the paper; betas of its configuration, not of its class."""

    version: ClassVar[int] = 2  # raise it when a published number can move

    beta1: NotNegative = setting(
        5.0, "each token counts p^beta1 (1 - p)^beta2 times: saturation"
    )
    beta2: NotNegative = setting(1.0, "... importance")
    forget_weight: NotNegative = setting(
        10.0,
        "gamma: weight of the forget loss (published 0.1: 1 - p is small where answers are sure, "
        "and the retain loss is then all there is)",
    )
