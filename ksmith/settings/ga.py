"""GA: up the loss of the forget set, and nothing else. Jang et al. 2023, arXiv:2210.01504."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Ga(Keeping):
    """Hyperparameters; with a retain loss this is graddiff."""

    version: ClassVar[int] = 3  # raise it when a published number can move
    unfit: ClassVar[str] = "loses half of the rest, or forgets little"

    lr: Positive = setting(
        0.03,
        "step of Adam, x RMS of each matrix / sqrt(d_ff): the least of those tried that forgets, "
        "and nothing holds the rest",
    )
    retain_weight: NotNegative = setting(
        0.0, "alpha: weight of the retain loss; 0 as published"
    )
