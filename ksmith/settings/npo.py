"""NPO: the forget set as answers not to prefer. Zhang et al. 2024, arXiv:2404.05868."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import Positive, setting
from ksmith.settings.unlearning import Keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Npo(Keeping):
    """Hyperparameters, named as in the paper; the step is relative to each matrix."""

    version: ClassVar[int] = 3  # raise it when a published number can move
    # The forget loss is of whole answers, the retain loss of one token.
    sentences: ClassVar[dict[str, float]] = {"beta": 0.1, "retain_weight": 20.0}

    beta: Positive = setting(
        1.0,
        "to 0: gradient ascent; larger stops sooner. It multiplies a sum over an answer's tokens: "
        "published 0.1, for long answers, where retain_weight has to be larger, too",
    )
