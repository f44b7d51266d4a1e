"""An updated model as a folder of its own, which transformers opens without ksmith."""

from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from ksmith.lm import delta as deltas
from ksmith.lm.load import save
from ksmith.records import Spec, UserError
from ksmith.worker import opening
from ksmith.worker.job import Job


def checkout(spec: Spec, draw: int, folder: Path) -> int:
    """Return how many parameters of the base weights changed; `folder` now holds the sum.

    The weights are written while the delta is applied, so they are the very bits that the
    trial's questions were put to.

    Args:
        spec: of the trial.
        draw: which of the trial's independent updates, from 0.
        folder: empty, or not there.

    Raises:
        UserError: the folder holds something, or the trial has no such draw.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; a checkout overwrites nothing")
    job = Job(spec=spec, folder=folder)
    disable_progress_bar()  # of the shards: this is one small answer to one person
    base = opening.base(job)
    updates = deltas.load_for(job.need("update") / "delta.safetensors", base.weights)
    if not 0 <= draw < len(updates):
        raise UserError(
            f"no draw {draw}: the trial has {len(updates)}, from 0 to {len(updates) - 1}"
        )
    temporary = folder.with_name(f".{folder.name}.tmp")
    with deltas.applied(base.model, updates[draw]):
        save(base.model, base.tokenizer, temporary)
    if folder.exists():
        folder.rmdir()
    temporary.rename(folder)
    return len(updates[draw])
