"""CE-U: what the model would say without the true token. Yang 2025, arXiv:2503.01224."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import CountFromZero, NotNegative, Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class CeU(Keeping):
    """Hyperparameters."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    sentences: ClassVar[dict[str, float]] = {"retain_weight": 5.0}
    unlearns: ClassVar[str] = "no target but the model's own other answers, whatever is neutral"

    lr: Positive = setting(
        0.03, "step of Adam, x RMS of each matrix / sqrt(d_ff): nothing holds the rest"
    )
    skip: CountFromZero = setting(1, "first tokens of an answer to leave, where it has more")
    retain_weight: NotNegative = setting(
        0.0, "alpha: weight of the retain loss; 0 as published"
    )
