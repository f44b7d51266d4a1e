"""WGA: gradient ascent, each token by its own probability. Wang et al. 2025, arXiv:2502.19301."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Wga(Keeping):
    """Hyperparameters, named as in the paper."""

    version: ClassVar[int] = 2  # raise it when a published number can move

    beta: NotNegative = setting(1.0, "each token counts p^beta times; 0: graddiff")
