"""What workers compute on: one a GPU, else processors."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ksmith.records import UserError

Choice = Literal["auto", "cpu", "cuda"]

# nvidia-smi counts GPUs by their place on the bus, CUDA by itself the fastest first.
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
ASK = "import torch; print(torch.cuda.is_available())"
PATIENCE = 120  # seconds that a first import of torch may take
LINE = re.compile(r"\s*(GPU|MIG).*\(UUID: ([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Device:
    """One place to compute; `uuid` is what CUDA_VISIBLE_DEVICES gets."""

    name: str  # as torch calls it inside the worker
    uuid: str | None = None

    @property
    def label(self) -> str:
        """What an attempt keeps of it."""
        return self.uuid or self.name


def devices(
    workers: int | None, choice: Choice = "auto", environment: Mapping[str, str] = os.environ
) -> list[Device]:
    """Return one device for each worker: the GPUs that torch can use, else processors.

    `workers` caps the number of GPUs; without it there is one worker a GPU or a processor.

    Raises:
        UserError: `choice` is "cuda", and there is no GPU that torch can use.
    """
    if choice != "cpu":
        gpus = visible(_smi(), environment.get("CUDA_VISIBLE_DEVICES"))
        if gpus and torch_has_cuda(gpus[0], environment):
            return [Device("cuda", uuid) for uuid in gpus[:workers]]
        if choice == "cuda":
            why = "this torch cannot use it" if gpus else "nvidia-smi lists none for us"
            raise UserError(f"no GPU for --device cuda: {why}; auto and cpu are left")
    return [Device("cpu")] * (workers or processors())


def torch_has_cuda(gpu: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether torch can compute on `gpu`; asked in a process that sees what a worker sees.

    The scheduler never loads torch, and a process that has touched CUDA should not fork.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-c", ASK],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            env={**environment, **ORDER, "CUDA_VISIBLE_DEVICES": gpu},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.split()[-1:] == ["True"]


def processors() -> int:
    """Return how many processors this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def _smi() -> str:
    found = shutil.which("nvidia-smi")
    if found is None:
        return ""
    try:
        return subprocess.run(
            [found, "-L"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""  # a driver that does not answer: torch would not get far either


def visible(listing: str, chosen: str | None) -> list[str]:
    r"""Return the UUIDs in what `nvidia-smi -L` printed, as far as the user lets us see them.

    A GPU that is cut into MIG instances counts as those. `chosen` is CUDA_VISIBLE_DEVICES.

    >>> listing = "GPU 0: A (UUID: GPU-a)\nGPU 1: B (UUID: GPU-b)"
    >>> visible(listing, None), visible(listing, "1"), visible(listing, "")
    (['GPU-a', 'GPU-b'], ['GPU-b'], [])
    """
    whole: list[str] = []
    parts: dict[str, list[str]] = {}
    for kind, uuid in LINE.findall(listing):
        if kind == "GPU":
            whole.append(uuid)
        elif whole:
            parts.setdefault(whole[-1], []).append(uuid)
    if chosen is not None:
        return [
            uuid for name in chosen.split(",") for uuid in _named(name.strip(), whole, parts)
        ]
    return [uuid for gpu in whole for uuid in parts.get(gpu, [gpu])]


def _named(name: str, whole: list[str], parts: Mapping[str, list[str]]) -> list[str]:
    if name.isdigit():
        gpus = whole[int(name) : int(name) + 1]
    else:
        gpus = [gpu for gpu in whole if name and gpu.startswith(name)]
    pieces = [uuid for piece in parts.values() for uuid in piece if uuid == name]
    return pieces or [uuid for gpu in gpus for uuid in parts.get(gpu, [gpu])]
