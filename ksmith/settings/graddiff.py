"""GradDiff: up the loss of the forget set, down that of a retain set. arXiv:2401.06121."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class GradDiff(Keeping):
    """Hyperparameters, named as in the paper; the step is relative to each matrix."""

    version: ClassVar[int] = 3  # raise it when a published number can move

    retain_weight: NotNegative = setting(
        5.0, "alpha: weight of the retain loss (published 1, which holds less of what is near)"
    )
