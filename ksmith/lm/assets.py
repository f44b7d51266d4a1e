"""What every method is given beside the model and the requests, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ksmith.lm.delta import Delta
from ksmith.lm.halfway import Forgetful, Keeper
from ksmith.lm.hypernetwork import Hypernetwork
from ksmith.lm.solve import factor, free_directions
from ksmith.records import Json, Request, UserError

Progress = Callable[[int, int, str], None]  # done, total, a few words


_Key = tuple[str, int, float, torch.device, int]  # what, layer, number, where, id of moments
_Made = tuple[Mapping[int, Tensor] | None, Tensor]  # the moments, what was made of them


def silent(done: int, total: int, text: str) -> None:
    """Report nothing: the progress of who does not want any."""


def steps_told(progress: Progress, draws: int, steps: int, draw: int) -> Callable[[int], None]:
    """Return what tells how many of a draw's steps are done: those of all draws are the whole."""
    return lambda step: progress(draw * steps + step, draws * steps, "steps of descent")


def forgetful(_draw: Sequence[Request]) -> Keeper:
    """Keep nothing of a descent."""
    return Forgetful()


def nobody(result: "Result") -> None:
    """Tell nobody of a result that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Shared work and surroundings of one model; never changed by a method."""

    tokenizer: PreTrainedTokenizerBase
    seed: int
    layer: int | None = None  # where the causal trace peaks; None where there is no trace
    moments: Mapping[int, Tensor] | None = None  # layer -> E[k k^T], (d_ff, d_ff) float64
    hypernetwork: Hypernetwork | None = None  # that MEND edits with
    contexts: Sequence[str] = ()  # texts to put before a prompt
    kl_template: str | None = (
        None  # "{} is a": what an edit leaves as it was, where there is one
    )
    # Request.fact -> templates about its subject, whose next token an edit leaves as it was, too.
    kept: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    # What the method gave back as `Result.state` for the batch before in this draw's sequence;
    # on the CPU where an earlier attempt had kept it. Empty for a first batch.
    state: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    # Request id -> (prompt, answer): what is learnt in the place of its old answer.
    instead: Mapping[str, Sequence[tuple[str, str]]] = field(
        default_factory=dict[str, Sequence[tuple[str, str]]]
    )
    # What a descent learns -> who keeps how far it is; each call is of one that begins now.
    keeper: Callable[[Sequence[Request]], Keeper] = forgetful
    # Told of each draw's result as soon as it is there, by methods that take one after the other:
    # so that it is not lost where a later one fails.
    finished: Callable[["Result"], None] = field(default=nobody, compare=False)
    # What was made of the moments: dear in a wide model, and the same for each batch.
    _made: dict[_Key, _Made] = field(
        default_factory=dict[_Key, _Made], repr=False, compare=False
    )

    def stays(self, requests: Sequence[Request]) -> tuple[str | None, list[Sequence[str]]]:
        """Return the template of what requests leave as it was, and each one's further ones."""
        return self.kl_template, [self.kept.get(request.fact, ()) for request in requests]

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

    def editor(self) -> Hypernetwork:
        """Return the network that edits.

        Raises:
            UserError: none was trained.
        """
        if self.hypernetwork is None:
            raise UserError("there is no hypernetwork: it is trained before mend can edit")
        return self.hypernetwork

    def factor(self, layer: int, ridge: float, device: torch.device) -> Tensor:
        """Return `solve.factor` of a layer's moment, (d_ff, d_ff) float64, made once."""
        return self._once("factor", layer, ridge, device, factor)

    def free(self, layer: int, cut: float, device: torch.device) -> Tensor:
        """Return `solve.free_directions` of a layer's moment, (d_ff, r) float64, made once."""
        return self._once("free", layer, cut, device, free_directions)

    def _once(
        self,
        name: str,
        layer: int,
        number: float,
        device: torch.device,
        make: Callable[[Tensor, float], Tensor],
    ) -> Tensor:
        # A copy with other moments (`replace`) shares the dict. The moments are kept with what
        # was made of them: as long as they live nothing else has their id.
        key = (name, layer, number, device, id(self.moments))
        if key not in self._made:
            made = make(self.moment(layer).to(device), number)
            self._made[key] = (self.moments, made)
        return self._made[key][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One draw's update, and what is worth knowing about how it came about."""

    delta: Delta
    log: dict[str, Json] = field(default_factory=dict)
    # For the next batch of this draw's sequence, and nobody else: keys written earlier, say.
    # Finite floating-point tensors; names of letters, digits, "_" and ".".
    state: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
