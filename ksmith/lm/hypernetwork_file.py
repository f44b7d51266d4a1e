"""MEND's network on disk: safetensors, with what it belongs to in the metadata.

Nothing is unpickled, and what a file says is checked before it is used.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ksmith.lm.adam import Adam
from ksmith.lm.hypernetwork import Hypernetwork, Matrix
from ksmith.lm.teach import Training
from ksmith.records import UserError

FORMAT = "ksmith-hypernetwork-1"
PARTS = ("U", "V", "b", "s", "o")


def save(network: Hypernetwork, weights: str, path: Path) -> None:
    """Write a network that was trained for the model whose weights have the digest `weights`."""
    tensors = _named("learnt", network.learnt) | _named("known", network.known)
    save_file(tensors, path, _metadata(network, weights))


def load_for(path: Path, weights: str) -> Hypernetwork:
    """Return the network in a file, which was trained for the weights with this digest.

    Raises:
        UserError: it was trained for others, or the file is no file of ours, or was damaged.
    """
    try:
        tensors, about = _read(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no network of MEND's: {error}") from error
    if about["weights"] != weights:
        raise UserError(f"{path} was trained for other weights than the model has now")
    try:
        return _network(tensors, about["matrices"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _metadata(network: Hypernetwork, weights: str) -> dict[str, str]:
    matrices = json.dumps([asdict(matrix) for matrix in network.matrices])
    return {"format": FORMAT, "weights": weights, "matrices": matrices}


def _named(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{start}:{name}": _own(tensor) for name, tensor in tensors.items()}


def _own(tensor: Tensor) -> Tensor:
    # A copy each: safetensors refuses tensors that share their memory.
    return tensor.detach().cpu().contiguous().clone()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        about: dict[str, Any] = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no mapping
    if about.get("format") != FORMAT:
        raise ValueError(f"its format is {about.get('format')!r}, not {FORMAT}")
    about["matrices"] = [Matrix(**one) for one in json.loads(about["matrices"])]
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(f"{name!r} holds something else than finite numbers")
    return tensors, about


def _network(tensors: Mapping[str, Tensor], matrices: list[Matrix]) -> Hypernetwork:
    """Return the network of the tensors of a file, having checked their shapes."""
    learnt, known = _under("learnt", tensors), _under("known", tensors)
    _check(learnt["step"], "step", (len(matrices),))
    _check(known["unit"], "unit", (len(matrices),))
    for matrix in matrices:
        w = int(matrix.inputs) + int(matrix.outputs)
        alike = sum(other.shape == matrix.shape for other in matrices)
        for part in ("mean", "deviation"):
            _check(known[f"{matrix.name}.{part}"], part, (w,))
        for layer in "12":
            U, V, b, s, o = (learnt[f"{matrix.shape}.{part}{layer}"] for part in PARTS)
            rank = V.shape[0]
            for tensor, shape in ((U, (w, rank)), (V, (rank, w)), (b, (w,))):
                _check(tensor, matrix.shape, shape)
            for tensor in (s, o):
                _check(tensor, matrix.shape, (alike, w))
    return Hypernetwork(matrices=tuple(matrices), learnt=learnt, known=known)


def _check(tensor: Tensor, name: str, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} is {tuple(tensor.shape)}, not {shape}")


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{start}:"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


# --- what is half done ------------------------------------------------------------------------


def keep(training: Training, weights: str, path: Path) -> None:
    """Write how far a training is, to go on from."""
    network = training.network
    adam = {name: one.state() for name, one in training.adam.items()}
    tensors = {
        **_named("learnt", network.learnt),
        **_named("known", network.known),
        **_named("best", training.best.learnt),
        **_named("mean", {name: mean for name, (mean, _) in adam.items()}),
        **_named("square", {name: square for name, (_, square) in adam.items()}),
    }
    numbers = {name: getattr(training, name) for name in NUMBERS}
    save_file(tensors, path, {**_metadata(network, weights), "numbers": json.dumps(numbers)})


NUMBERS = ("step", "best_step", "waited", "losses", "looks")


def taken_up(path: Path | None, weights: str) -> Training | None:
    """Return what `keep` wrote, or None where it is damaged or for other weights."""
    if path is None:
        return None
    try:
        tensors, about = _read(path)
        numbers = json.loads(about["numbers"])
        if about["weights"] != weights:
            return None
        network = _network(tensors, about["matrices"])
        mean, square = _under("mean", tensors), _under("square", tensors)
        step = int(numbers["step"])
        return Training(
            network,
            {n: Adam.at(mean[n], square[n], step) for n in network.learnt},
            network.with_learnt(_under("best", tensors)),
            **{name: numbers[name] for name in NUMBERS},
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None
