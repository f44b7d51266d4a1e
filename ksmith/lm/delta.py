"""A change to a model's weights, kept apart from the model.

A delta maps the name of a parameter to what to add to it, in the parameter's own layout: a pair
of thin matrices or a dense block. Files hold the deltas of many draws, in safetensors.
"""

import math
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ksmith.records import UserError

FORMAT = "ksmith-delta-1"
_KEY = re.compile(r"(\d{1,6}):([A-Za-z0-9_.]{1,300}):(left|right|dense)")


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """The matrix `left @ right`."""

    left: Tensor  # (out, r)
    right: Tensor  # (r, in)

    @property
    def shape(self) -> torch.Size:
        """The shape of the product."""
        return torch.Size((self.left.shape[0], self.right.shape[1]))

    def dense(self) -> Tensor:
        """Return the product, (out, in), in the wider dtype of the two and at least float32."""
        wide = _wide(self.left.dtype, self.right.dtype)
        return self.left.to(wide) @ self.right.to(wide)

    @property
    def T(self) -> "LowRank":
        """The transpose."""
        return LowRank(self.right.T, self.left.T)


Block = LowRank | Tensor
Delta = Mapping[str, Block]  # parameter name -> what to add to it


def placed(block: Block, device: torch.device) -> Block:
    """Return the block on a device."""
    if isinstance(block, LowRank):
        return LowRank(block.left.to(device), block.right.to(device))
    return block.to(device)


def dense(block: Block) -> Tensor:
    """Return the block as one tensor."""
    return block.dense() if isinstance(block, LowRank) else block


@contextmanager
def applied(model: nn.Module, delta: Delta) -> Generator[None]:
    """Yield with `delta` added to the weights; put the very same bits back after the block.

    The sum is made in float32 or wider and rounded once. A tied weight changes wherever it is
    used.

    Raises:
        UserError: a name or a shape that the model has not, or one weight under two names.
    """
    weights = _weights(model, delta)
    saved = {name: weight.detach().clone() for name, weight in weights.items()}
    try:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(summed(weight, delta[name]))
        yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(saved[name])


def summed(weight: Tensor, block: Block) -> Tensor:
    """Return `weight + block`, summed in float32 or wider, in the dtype of `weight`."""
    change = dense(placed(block, weight.device))  # a pair is multiplied where the weight is
    wide = _wide(weight.dtype, change.dtype)
    return (weight.to(wide) + change.to(wide)).to(weight.dtype)


def norms(model: nn.Module, delta: Delta) -> dict[str, dict[str, float]]:
    """Return, for each name, the change's Frobenius norm and its ratio to the weight's."""
    found: dict[str, dict[str, float]] = {}
    for name, weight in _weights(model, delta).items():
        size = _norm(delta[name])
        base = float(weight.detach().double().norm())
        found[name] = {"norm": size, "relative": size / base if base else float("inf")}
    return found


def weights_digest(model: nn.Module) -> str:
    """Return the sha256, in hex, of the names, types, shapes and bytes of all parameters."""
    total = sha256()
    for name, weight in sorted(model.named_parameters()):
        total.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1)
        total.update(flat.view(torch.uint8).numpy().data)
    return total.hexdigest()


def load_for(path: Path, base: str) -> list[Delta]:
    """Return the deltas of all draws, which belong to the weights with the digest `base`.

    Raises:
        UserError: they were computed on other weights, or `load` refuses the file.
    """
    return load_with(path, base)[0]


def load_with(path: Path, base: str) -> tuple[list[Delta], dict[str, str]]:
    """Return the same, and the file's metadata."""
    deltas, metadata = load(path)
    if metadata.get("base") != base:
        raise UserError(f"{path} is no change of these weights: it was computed on others")
    return deltas, metadata


# --- files ------------------------------------------------------------------------------------


def save(deltas: Sequence[Delta], path: Path, metadata: Mapping[str, str]) -> None:
    """Write the deltas of all draws to one safetensors file.

    `metadata` should name the method and the digest of the base weights; `format` and `draws`
    are ours.

    Raises:
        UserError: a delta that is not finite: its method went astray.
    """
    tensors: dict[str, Tensor] = {}
    for draw, delta in enumerate(deltas):
        for name, block in delta.items():
            for part, tensor in _parts(block).items():
                if not bool(tensor.isfinite().all()):
                    raise UserError(f"draw {draw}: the change of {name} is not finite")
                # A copy each: safetensors refuses tensors that share their memory.
                tensors[f"{draw}:{name}:{part}"] = tensor.detach().cpu().contiguous().clone()
    save_file(tensors, path, {**metadata, "format": FORMAT, "draws": str(len(deltas))})


def load(path: Path) -> tuple[list[Delta], dict[str, str]]:
    """Return the deltas of a file, one a draw, and its metadata.

    Raises:
        UserError: the file is no file of ours, or was damaged. Whether names and shapes fit a
        model
            is seen when a delta is applied.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 no mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no delta: {error}") from error
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} is no delta of format {FORMAT}: its format is {metadata.get('format')!r}"
        )
    try:
        return _parsed(tensors, _count(metadata.get("draws", ""))), metadata
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise ValueError(f"{text!r} is no number of draws")
    return int(text)


def _parsed(tensors: Mapping[str, Tensor], draws: int) -> list[Delta]:
    parts: list[dict[str, dict[str, Tensor]]] = [{} for _ in range(draws)]
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or int(match[1]) >= draws:
            raise ValueError(f"unexpected tensor {key!r} in a file of {draws} draws")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(f"{key!r} holds something else than finite numbers")
        parts[int(match[1])].setdefault(match[2], {})[match[3]] = tensor
    return [{name: _block(name, found) for name, found in delta.items()} for delta in parts]


def _block(name: str, found: Mapping[str, Tensor]) -> Block:
    if set(found) == {"dense"}:
        return found["dense"]
    if set(found) != {"left", "right"}:
        raise ValueError(f"{name} has the parts {sorted(found)}")
    left, right = found["left"], found["right"]
    if left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[0]:
        raise ValueError(f"{name} is no pair: {tuple(left.shape)} and {tuple(right.shape)}")
    return LowRank(left, right)


# --- parts ------------------------------------------------------------------------------------


def _parts(block: Block) -> dict[str, Tensor]:
    if isinstance(block, LowRank):
        return {"left": block.left, "right": block.right}
    return {"dense": block}


def kept(delta: Delta) -> Delta:
    """Return a delta as a file gives it back: on the CPU, no view of anything else."""
    cpu = torch.device("cpu")
    blocks = {name: placed(block, cpu) for name, block in delta.items()}
    return {
        name: LowRank(block.left.detach().clone(), block.right.detach().clone())
        if isinstance(block, LowRank)
        else block.detach().clone()
        for name, block in blocks.items()
    }


def length(delta: Delta) -> float:
    """Return the Frobenius norm over all parameters of a delta."""
    return math.sqrt(sum(_norm(block) ** 2 for block in delta.values()))


def is_finite(delta: Delta) -> bool:
    """Return whether all numbers of a delta are finite."""
    return all(
        bool(tensor.isfinite().all())
        for block in delta.values()
        for tensor in _parts(block).values()
    )


def _wide(*dtypes: torch.dtype) -> torch.dtype:
    return torch.float64 if torch.float64 in dtypes else torch.float32


def _weights(model: nn.Module, delta: Delta) -> dict[str, nn.Parameter]:
    """Return the parameters that `delta` names, having checked that it fits them."""
    if not delta:
        return {}
    named = dict(model.named_parameters(remove_duplicate=False))
    found: dict[str, nn.Parameter] = {}
    for name, block in delta.items():
        if name not in named:
            raise UserError(f"the model has no parameter {name!r}, which the delta changes")
        weight = named[name]
        if block.shape != weight.shape:
            raise UserError(
                f"the delta of {name} is {tuple(block.shape)}, the weight {tuple(weight.shape)}"
            )
        if any(weight is other for other in found.values()):
            raise UserError(f"the delta names the tied weight {name} twice, under two names")
        found[name] = weight
    return found


def _norm(block: Block) -> float:
    if isinstance(block, Tensor):
        return float(block.detach().double().norm())
    left, right = block.left.double(), block.right.double()
    # norm(LR)^2 = trace(L^T L R R^T): r x r instead of the product.
    return float(((left.T @ left) * (right @ right.T)).sum().clamp(min=0).sqrt())
