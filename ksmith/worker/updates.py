"""A finished update, draw by draw: what it adds to the weights, and when that is looked at."""

from collections.abc import Iterator

from ksmith.lm import chain as chains
from ksmith.lm import delta as deltas
from ksmith.lm.chain import Chain
from ksmith.worker.job import Job
from ksmith.worker.opening import Base
from ksmith.worker.sequence import ROOM


def updates(job: Job, base: Base) -> Iterator[Chain]:
    """Yield each draw's update; those of sequences are read one at a time.

    Raises:
        UserError: a file that is none of ours, or belongs to other weights.
    """
    folder = job.need("update")
    if not (folder / ROOM).is_dir():
        for delta in deltas.load_for(folder / "delta.safetensors", base.weights):
            yield Chain((1,), [delta])
        return
    for draw in range(int(job.spec.recipe["task"]["draws"])):
        yield chains.load_for(folder / ROOM / f"{draw}.safetensors", base.weights)
