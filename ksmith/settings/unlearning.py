"""What the descent of every unlearner has to be told: shared by all of them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import (
    Count,
    CountFromZero,
    NotNegative,
    Positive,
    Share,
    setting,
)

STOPS = 1  # counts to the version where stop_forget is set: raise it when that stops elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlearning:
    """Hyperparameters, named as in the papers; the step is relative to each matrix.

    Papers give numbers for models of billions of weights and answers of some forty tokens. Those
    here are for small models that are sure of answers of one or two, chosen by one rule with as
    many trials for each method (CHANGELOG.md); where they are not the published ones, the setting
    says which those are. What they do on draws that they were not chosen on stands in
    studies/README.md.
    """

    family: ClassVar[str] = "unlearn"
    tasks: ClassVar[tuple[str, ...]] = ("unlearn", "edit")
    assets: ClassVar[tuple[str, ...]] = ()
    # What it does with each task, in a few words; of one that it does not serve, why.
    edits: ClassVar[str] = "old object down, new object up"
    unlearns: ClassVar[str] = "no target: it pushes the old answer down, whatever is neutral"
    # Where answers are sentences: what did better than the defaults (studies/README.md), and what
    # goes wrong where nothing that was tried did.
    sentences: ClassVar[dict[str, float]] = {}
    unfit: ClassVar[str] = ""

    lr: Positive = setting(0.1, "step of Adam, x RMS of each matrix / sqrt(d_ff)")
    steps: Count = setting(30, "steps")
    batch: Count = setting(32, "facts of each set in a step; as published, with accumulation")
    forget_weight: NotNegative = setting(1.0, "gamma: weight of the forget loss")
    retain_weight: NotNegative = setting(1.0, "alpha: weight of the retain loss")
    retain: CountFromZero | None = setting(
        None,
        "facts in the retain set, at most; by default the rest of the graph, but for facts that no "
        "draw can change and one in four of the others, which are asked about, and of more than "
        "steps x batch so many drawn ones",
    )
    retain_near: bool = setting(
        True,
        "facts near the forget set, of its subjects or with its objects, are in the retain set, "
        "too",
        omit_at_default=True,
    )
    trainable: Literal["mlp_out", "mlp", "all"] = setting(
        "all",
        "the matrices that may move: the MLPs' second ones, all of MLPs, those of attention, too "
        "(published: all parameters)",
    )
    warmup: CountFromZero = setting(
        0,
        "steps in which the step size rises to lr, of all of them at most",
        omit_at_default=True,
    )
    accumulate: Count = setting(
        1,
        "parts that a step's facts go through the model in, at most one a fact of batch; the loss "
        "is that of all together",
        omit_at_default=True,
    )
    adapters: CountFromZero = setting(
        0,
        "rank of LoRA's adapters, which are then what moves; 0: the matrices themselves",
        omit_at_default=True,
    )
    stop_forget: Share = setting(
        0.0,
        "stop once the old answers' memory.probability (exp of the mean log p of each one's "
        "tokens, mean over facts) is at most this; 0: never",
        omit_at_default=True,
    )
    checkpointing: bool = setting(
        False,
        "keep no block for the way back, but compute it again: less memory, more time",
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        for name, most in (("warmup", "steps"), ("accumulate", "batch")):
            given, allowed = getattr(self, name), getattr(self, most)
            if given > allowed:
                raise ValueError(f"{name} = {given}: must be <= {most}, which is {allowed}")
        # 0 alone is a control: what the rest of the loss does by itself.
        if not self.forget_weight and (not self.retain_weight or self.retain == 0):
            rest = "retain_weight" if not self.retain_weight else "retain"
            raise ValueError(
                f"forget_weight = {self.forget_weight:g}: with {rest} = 0 nothing is learnt, and "
                "the model stays what it is; one of the two must be > 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping(Unlearning):
    """... and how the retain set is kept."""

    retain_loss: Literal["nll", "kl", "both"] = setting(
        "nll",
        "of the retain set: nll of its answers; kl, KL(model before || model now) where they are "
        "said; both, the sum",
        omit_at_default=True,
    )
