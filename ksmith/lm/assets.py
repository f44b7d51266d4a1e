"""What every method is given beside the model and the requests, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ksmith.lm.delta import Delta
from ksmith.records import Json, UserError

Progress = Callable[[int, int, str], None]  # done, total, a few words


def silent(done: int, total: int, text: str) -> None:
    """Report nothing: the progress of who does not want any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Shared work and surroundings of one model; never changed by a method."""

    tokenizer: PreTrainedTokenizerBase
    seed: int
    layer: int | None = None  # where the causal trace peaks; None where there is no trace
    moments: Mapping[int, Tensor] | None = None  # layer -> E[k k^T], (d_ff, d_ff) float64
    contexts: Sequence[str] = ()  # texts to put before a prompt
    kl_template: str | None = (
        None  # "{} is a": what an edit leaves as it was, where there is one
    )
    # What the method gave back as `Result.state` for the batch before in this draw's sequence;
    # on the CPU where an earlier attempt had kept it. Empty for a first batch.
    state: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def place(self, layer: int | None) -> int:
        """Return the layer that a method was told, else the one where the causal trace peaks.

        Raises:
            UserError: neither is known.
        """
        chosen = self.layer if layer is None else layer
        if chosen is None:
            raise UserError(
                "the model knows too little of the graph for a causal trace to find its layer: "
                "set the method's layer"
            )
        return chosen

    def moment(self, layer: int) -> Tensor:
        """Return the second moment of the keys of `layer`, (d_ff, d_ff) float64.

        Raises:
            UserError: it was not measured.
        """
        if not self.moments or layer not in self.moments:
            there = sorted(self.moments or {})
            raise UserError(f"no second moment of layer {layer}; there are those of {there}")
        return self.moments[layer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One draw's update, and what is worth knowing about how it came about."""

    delta: Delta
    log: dict[str, Json] = field(default_factory=dict)
    # For the next batch of this draw's sequence, and nobody else: keys written earlier, say.
    # Finite floating-point tensors; names of letters, digits, "_" and ".".
    state: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
