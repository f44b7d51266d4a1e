"""GradDiff: up the loss of the forget set, down that of a retain set. arXiv:2401.06121."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class GradDiff(Keeping):
    """Hyperparameters, named as in the paper; the step is relative to each matrix."""

    version: ClassVar[int] = 3  # raise it when a published number can move
