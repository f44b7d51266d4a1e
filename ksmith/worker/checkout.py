"""An updated model as a folder of its own, which transformers opens without ksmith."""

from itertools import islice
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from ksmith.lm.delta import applied
from ksmith.lm.load import save
from ksmith.records import Spec, UserError
from ksmith.worker import opening
from ksmith.worker.job import Job
from ksmith.worker.updates import updates


def checkout(spec: Spec, draw: int, folder: Path, step: int | None = None) -> int:
    """Return how many parameters of the base weights changed; `folder` now holds the sum.

    The weights are written while the delta is applied, so they are the very bits that the
    trial's questions were put to.

    Args:
        spec: of the trial.
        draw: which of the trial's independent updates, from 0.
        folder: empty, or not there.
        step: of a sequence, after how many facts; by default all of them.

    Raises:
        UserError: the folder holds something, or the trial has no such draw or step.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; a checkout overwrites nothing")
    job = Job(spec=spec, folder=folder)
    disable_progress_bar()  # of the shards: this is one small answer to one person
    base = opening.base(job)
    draws = int(spec.recipe["task"]["draws"])
    if not 0 <= draw < draws:
        raise UserError(f"no draw {draw}: the trial has {draws}, from 0 to {draws - 1}")
    update = next(islice(updates(job, base), draw, None)).until(step)
    temporary = folder.with_name(f".{folder.name}.tmp")
    with applied(base.model, update):
        save(base.model, base.tokenizer, temporary)
    if folder.exists():
        folder.rmdir()
    temporary.rename(folder)
    return len(update)
