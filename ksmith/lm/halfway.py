"""How far a descent is, and a file of it, from which another process goes on to the same bits.

What a step depends on is either here or follows from the step's number: whose turn it is, and
the size of the step, go by that, and what is drawn by a seed.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ksmith.lm.adam import Adam
from ksmith.records import Json

FORMAT = "ksmith-descent-1"


class Memory(Protocol):
    """What changes from step to step beside the weights."""

    def state(self) -> dict[str, Json]:
        """Return what it has come to."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be what `state` says.

        Raises:
            ValueError, TypeError or KeyError: it says nothing of the kind; this is as it was.
        """


class Watch(Memory, Protocol):
    """Who follows a descent, and may end it."""

    def begin(self, step: int) -> None:
        """Forget what was seen of this step: it is run, perhaps again, in smaller pieces."""

    def ended(self, step: int, losses: Mapping[str, float]) -> bool:
        """Take note of a step's losses, before weights move; return whether they are to stay."""
        ...


@dataclass(slots=True)
class Halfway:
    """How far a descent is."""

    delta: dict[str, Tensor]  # parameter name -> change so far, float32
    adam: dict[str, Adam]
    watch: Watch
    pieces: int  # that a step's loss is run in
    step: int = 0  # how often the weights have moved
    curve: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    done: bool = False

    @classmethod
    def begun(cls, base: Mapping[str, Tensor], watch: Watch, pieces: int) -> "Halfway":
        """Return the state at the start."""
        delta = {name: torch.zeros_like(w, dtype=torch.float32) for name, w in base.items()}
        return cls(delta, {name: Adam(d) for name, d in delta.items()}, watch, pieces)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield all that a file holds, by the names there; of what is done no moments."""
        for name, change in self.delta.items():
            yield f"delta:{name}", change
            if not self.done:
                mean, square = self.adam[name].state()
                yield f"mean:{name}", mean
                yield f"square:{name}", square


class Keeper(Protocol):
    """Who keeps how far one descent is."""

    def restore(self, state: Halfway) -> None:
        """Bring a state at the start to where an earlier process had come, if one had."""

    def due(self) -> bool:
        """Return whether it is time to keep the state."""
        ...

    def keep(self, state: Halfway) -> None:
        """Keep the state, for another process."""

    def ended(self, state: Halfway) -> None:
        """Take note that the descent is done."""

    def held(self) -> AbstractContextManager[None]:
        """Return within what nobody breaks in: who asks this process to end waits for its end."""
        ...


@final
class Forgetful:
    """Keeps nothing."""

    def restore(self, state: Halfway) -> None:
        """See `Keeper`."""

    def due(self) -> bool:
        """See `Keeper`."""
        return False

    def keep(self, state: Halfway) -> None:
        """See `Keeper`."""

    def ended(self, state: Halfway) -> None:
        """See `Keeper`."""

    def held(self) -> AbstractContextManager[None]:
        """See `Keeper`."""
        return nullcontext()


# --- files ------------------------------------------------------------------------------------


def write(state: Halfway, path: Path, about: Mapping[str, str]) -> None:
    """Write a state as safetensors; `about` says of what, its format among it.

    One tensor is copied at a time: `save_file` would want memory for all that is on a GPU.
    """
    header: dict[str, Json] = {
        "__metadata__": {**about, "format": FORMAT, "at": _numbers(state)}
    }
    end = 0
    for name, tensor in state.tensors():
        start, end = end, end + 4 * tensor.numel()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in state.tensors():
            file.write(tensor.detach().cpu().contiguous().reshape(-1).numpy().data)


def _numbers(state: Halfway) -> str:
    numbers = {name: getattr(state, name) for name in ("step", "pieces", "curve", "done")}
    return json.dumps({**numbers, "watch": state.watch.state()})


def take_up(state: Halfway, path: Path, about: Mapping[str, str]) -> None:
    """Bring a state at the start to where the one in a file is, which is about the same.

    Raises:
        ValueError: it is about something else, or damaged; the state is at the start.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            _check_about(metadata, {**about, "format": FORMAT})
            at = json.loads(metadata["at"])
            step, pieces, done = int(at["step"]), int(at["pieces"]), bool(at["done"])
            curve = {
                str(part): [float(x) for x in losses] for part, losses in at["curve"].items()
            }
            _check_tensors(file, state, done=done)
            state.watch.restore(at["watch"])
            for name, change in state.delta.items():
                change.copy_(file.get_tensor(f"delta:{name}"))
                if not done:
                    moments = (file.get_tensor(f"{of}:{name}") for of in ("mean", "square"))
                    mean, square = (moment.to(change.device) for moment in moments)
                    state.adam[name] = Adam.at(mean, square, step)
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    state.step, state.pieces, state.done, state.curve = step, pieces, done, curve


def _check_about(metadata: Mapping[str, str], about: Mapping[str, str]) -> None:
    for name, value in about.items():
        if metadata.get(name) != value:
            raise ValueError(f"its {name} is {metadata.get(name)!r}, not {value!r}")


def _check_tensors(file: Any, state: Halfway, *, done: bool) -> None:
    parts = ("delta",) if done else ("delta", "mean", "square")
    wanted = {f"{part}:{name}": d.shape for part in parts for name, d in state.delta.items()}
    if set(file.keys()) != set(wanted):
        raise ValueError("it is of other parameters")
    for name, shape in wanted.items():
        found = file.get_slice(name)
        if (found.get_dtype(), found.get_shape()) != ("F32", list(shape)):
            raise ValueError(f"its {name} is {found.get_dtype()} {found.get_shape()}")
