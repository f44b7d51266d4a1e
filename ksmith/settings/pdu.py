"""PDU: flatten the logits, with the retain loss bound. Entesari et al. 2025, arXiv:2506.05314."""

from dataclasses import dataclass
from typing import ClassVar

from ksmith.settings.fields import CountFromZero, NotNegative, Positive, setting
from ksmith.settings.unlearning import Unlearning


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu(Unlearning):
    """Hyperparameters, named as in the paper; alpha is what the weight of the bound is at first."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    tasks: ClassVar[tuple[str, ...]] = ("unlearn",)
    edits: ClassVar[str] = "no: it flattens what is said where the new answer would stand"
    unlearns: ClassVar[str] = "flattens what is said in its place, whatever is neutral"

    retain_weight: Positive = setting(1.0, "alpha: weight of the bound at first: lambda")
    epsilon: Positive | None = setting(
        None, "bound of the retain loss, nats; by default 1.05 x what it is at the start"
    )
    dual_step: NotNegative = setting(1.0, "eta: what a nat above the bound adds to its weight")
    dual_warmup: CountFromZero = setting(5, "steps in which that weight stays alpha")
