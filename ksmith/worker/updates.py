"""A finished update, draw by draw: what it adds to the weights, and when that is looked at."""

from collections.abc import Iterator

from ksmith.lm import chain as chains
from ksmith.lm import delta as deltas
from ksmith.lm.chain import Chain
from ksmith.worker.job import Job
from ksmith.worker.opening import Base
from ksmith.worker.sequence import ROOM
from ksmith.worker.unfinished import DELTA, finished


def updates(job: Job, base: Base) -> Iterator[Chain]:
    """Yield each draw's update; those of sequences are read one at a time.

    Of an update that failed, those of the draws that were finished.

    Raises:
        UserError: a file that is none of ours, or belongs to other weights.
    """
    folder = job.need("update")
    draws = finished(folder)
    if draws == 0:
        return
    if not (folder / ROOM).is_dir():
        for delta in deltas.load_for(folder / DELTA, base.weights):
            yield Chain((1,), [delta])
        return
    for draw in range(draws or int(job.spec.recipe["task"]["draws"])):
        yield chains.load_for(folder / ROOM / f"{draw}.safetensors", base.weights)
