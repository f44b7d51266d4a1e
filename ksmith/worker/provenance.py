"""What an outcome says of the process that made it: its code, its packages, its arithmetic.

The list of installed packages and the changes of a working copy are the same for every attempt
of a process, so the lab keeps each once, in `provenance/`, named by the digest of its bytes; an
outcome names them. The changes are kept as they are: whoever reads the lab reads them.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ksmith.records import Json
from ksmith.worker.commit import changes

ROOM = "provenance"
LIMIT = 2**20  # bytes of a diff that are kept

# What decides whether the same sum gives the same bits, where the process has loaded torch.
FLAGS = {
    "deterministic": "are_deterministic_algorithms_enabled",
    "threads": "get_num_threads",
    "matmul_precision": "get_float32_matmul_precision",
}
BACKENDS = {
    "cudnn_deterministic": ("cudnn", "deterministic"),
    "cudnn_benchmark": ("cudnn", "benchmark"),
}


def provenance(home: Path, device: str) -> dict[str, Json]:
    """Return what goes into `Outcome.info`; the files that it names are in `home`.

    Keys: `lock` and, of a changed working copy, `diff` (paths relative to the home), `diff_cut`
    (only its first `LIMIT` bytes are kept), `flags`, and `gpu` where one was computed on.
    """
    found: dict[str, Json] = {"lock": keep(home, "lock", "txt", lock())}
    diff = difference()
    if diff:
        found |= {"diff": keep(home, "diff", "patch", diff[:LIMIT])}
        found |= {"diff_cut": len(diff) > LIMIT}
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return found
    found["flags"] = flags(torch)
    if device.startswith("cuda") and torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


@cache
def lock() -> bytes:
    """Return one line `name==version` for each installed distribution, sorted.

    By the names of their folders: to read what is in a hundred of them takes a second.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        for ending in ("dist-info", "egg-info"):
            for path in Path(folder or ".").glob(f"*-*.{ending}"):
                name, version = path.stem.split("-")[:2]
                found.setdefault(name.lower().replace("_", "-"), version)  # as imports do
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found)).encode()


@cache
def difference() -> bytes:
    """Return how the working copy differed from its commit when this process first asked."""
    return changes(Path.cwd(), LIMIT)


def flags(torch: Any) -> Mapping[str, Json]:
    """Return the settings of `torch` on which bits depend."""
    return {
        **{name: getattr(torch, function)() for name, function in FLAGS.items()},
        **{
            name: getattr(getattr(torch.backends, part), field)
            for name, (part, field) in BACKENDS.items()
        },
    }


def keep(home: Path, name: str, ending: str, content: bytes) -> str:
    """Return the path, relative to `home`, of the file that holds `content`; made if need be."""
    path = home / ROOM / f"{name}-{hashlib.sha256(content).hexdigest()[:20]}.{ending}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path.relative_to(home).as_posix()
