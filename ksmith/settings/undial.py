"""UNDIAL: distil the model into itself, true logits lowered. Dong et al., arXiv:2402.10052."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import NotNegative, Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Undial(Keeping):
    """Hyperparameters, named as in the paper."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    sentences: ClassVar[dict[str, float]] = {"retain_weight": 5.0}
    tasks: ClassVar[tuple[str, ...]] = ("unlearn",)
    edits: ClassVar[str] = "no: its target holds every answer but the old one where it was"
    unlearns: ClassVar[str] = "no target but the model's own other answers, whatever is neutral"

    lr: Positive = setting(
        0.1, "step of Adam, x RMS of each matrix / sqrt(d_ff) (published: ten times others')"
    )
    beta: Positive = setting(10.0, "how much the true token's logit is lowered, nats")
    retain_weight: NotNegative = setting(
        0.0, "alpha: weight of the retain loss; 0 as published"
    )
