"""RMU: steer the states of the forget set astray. Li et al. 2024, arXiv:2403.03218."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import Layer, Positive, setting
from ksmith.settings.unlearning import Unlearning


@dataclass(frozen=True, slots=True, kw_only=True)
class Rmu(Unlearning):
    """Hyperparameters, named as in the paper; lengths are relative to the states before."""

    version: ClassVar[int] = 2  # raise it when a published number can move
    unfit: ClassVar[str] = "loses more than half of the rest, or forgets little"
    tasks: ClassVar[tuple[str, ...]] = ("unlearn",)
    edits: ClassVar[str] = "no: the states that it leads astray leave no new answer to be read"
    unlearns: ClassVar[str] = (
        "no target: it leads the subject's states astray, whatever is neutral"
    )

    lr: Positive = setting(
        0.3, "step of Adam, x RMS of each matrix / sqrt(d_ff) (published: five times others')"
    )
    trainable: Literal["mlp_out", "mlp", "all"] = setting(
        "mlp_out", "the matrices that may move, of the steered layer and two before it"
    )
    layer: Layer | None = setting(
        None,
        "layer whose output is steered; by default two above the peak of the trace, or the last",
    )
    c: Positive = setting(
        2.0, "length of the state to steer to, x mean norm of the states before"
    )
