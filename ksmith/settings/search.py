"""What the search for a value has to be told: shared by the methods that write values for keys."""

from dataclasses import dataclass
from typing import Literal

from ksmith.settings.fields import Count, NotNegative, Positive, setting
from ksmith.settings.units import Sized


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(Sized):
    """Hyperparameters named as in ROME's paper; step sizes are relative to activations."""

    steps: Count = setting(30, "steps that look for the value")
    lr: Positive = setting(0.2, "step of Adam, x norm(v_init) / sqrt(d)")
    clamp: Positive = setting(3.0, "largest change of the value, x norm(v_init)")
    kl_weight: NotNegative = setting(0.0625, "keeps what the subject is")
    keep: Literal["essence", "relations"] = setting(
        "essence",
        "what kl_weight keeps: essence, what the subject is; relations, what the model says of "
        "its other relations, too",
        omit_at_default=True,
    )
    weight_decay: NotNegative = setting(0.005, "pull of the value back to v_init")
    stop_loss: NotNegative = setting(0.05, "stop looking below this loss")
    contexts: Count = setting(4, "wordings averaged: the bare prompt and prefixed ones")
    moment_tokens: Count = setting(40_000, "tokens behind the second moment")
    guard: Literal["log", "skip"] = setting(
        "log",
        "an edit that is about to disable the model is named in the update's log, or left out",
        omit_at_default=True,
    )

    def __post_init__(self) -> None:
        if self.keep == "relations" and not self.kl_weight:
            raise ValueError(
                'keep = "relations": kl_weight is 0, which keeps nothing; raise it, or leave '
                "keep out"
            )


def check_layers(layers: tuple[int, ...] | None) -> None:
    """Check a list of layers, where there is one.

    Raises:
        ValueError: they do not rise, or there are none.
    """
    if layers is not None and list(layers) != sorted(set(layers)):
        raise ValueError(f"layers must rise, each once: {list(layers)}")
    if layers == ():
        raise ValueError("layers is empty: leave it out, or name some")
