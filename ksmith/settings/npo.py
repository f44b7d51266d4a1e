"""NPO: the forget set as answers not to prefer. Zhang et al. 2024, arXiv:2404.05868."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import Count, CountFromZero, NotNegative, Positive, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Npo:
    """Hyperparameters, named as in the paper; the step is relative to each matrix."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    family: ClassVar[str] = "unlearn"
    tasks: ClassVar[tuple[str, ...]] = ("unlearn", "edit")
    assets: ClassVar[tuple[str, ...]] = ()

    beta: Positive = setting(0.1, "to 0: gradient ascent; larger stops sooner")
    lr: Positive = setting(0.1, "step of Adam, x RMS of each matrix / sqrt(d_ff)")
    steps: Count = setting(20, "steps")
    batch: Count = setting(16, "facts of each set in a step")
    forget_weight: NotNegative = setting(1.0, "gamma: weight of the forget loss")
    retain_weight: NotNegative = setting(1.0, "alpha: weight of the retain loss")
    retain: CountFromZero = setting(64, "facts in the retain set")
    trainable: Literal["mlp_out"] = setting("mlp_out", "the matrices that may move")
