"""SimNPO: NPO by length, without a reference. Fan et al. 2024, arXiv:2410.07163."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class SimNpo(Keeping):
    """Hyperparameters, named as in the paper; beta as published for TOFU."""

    version: ClassVar[int] = 2  # raise it when a published number can move

    beta: Positive = setting(
        4.5, "of the mean over tokens, so none of npo's: larger stops sooner"
    )
    delta: NotNegative = setting(0.0, "nats a token beyond the loss at which it lets go")
    forget_weight: NotNegative = setting(
        1.0, "gamma: weight of the forget loss (published 0.125)"
    )
