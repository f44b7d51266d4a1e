"""Work that failed on its way: what was done of it is kept, and named as no more than that.

An update that fails leaves the draws that were finished, in the files that a whole one has, and
how far the loss of the one that broke had come. A trial of it is measured as far as that goes:
the rows of step 0, and what those draws made of the model. Then its attempt fails, too, for the
update's reason. A trial that fails while it asks keeps what it had asked.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.lm import delta as deltas
from ksmith.lm.assets import Result
from ksmith.lm.descend import Diverged
from ksmith.records import UNFINISHED, Json, Outcome
from ksmith.worker import figures
from ksmith.worker.attempt import Unfinished, one_line
from ksmith.worker.job import Job
from ksmith.worker.sequence import ROOM

if TYPE_CHECKING:
    from collections.abc import Sequence

DELTA = "delta.safetensors"
BROKEN = "diverged.json"  # the step, and the curve up to there


class NotMade(Exception):
    """What a trial measures was not made; the message says which attempt failed, and why."""


class NotMadeForMemory(NotMade, MemoryError):
    """... because memory did not suffice."""


def left(job: Job, failure: Exception, weights: str, results: "Sequence[Result]") -> Unfinished:
    """Return the failure of an update with what is left of it, which is written.

    `results` are those of its first draws; `weights` is the digest of the base weights. Of a
    sequence, what was finished is in its files already.
    """
    name, draws = job.spec.recipe["method"]["name"], job.spec.recipe["task"]["draws"]
    chains = list((job.folder / ROOM).glob("*.safetensors"))
    if (job.folder / ROOM).is_dir():
        results = ()
    logs = [result.log for result in results]
    if results:
        deltas.save(
            [result.delta for result in results],
            job.folder / DELTA,
            {"method": name, "base": weights, "update": job.spec.key},
        )
    made = {"method": name, "failed": one_line(failure), "draws": logs}
    _write(job.folder / "update.json", made)
    if isinstance(failure, Diverged):
        broken = {"step": failure.step, "curve": failure.curve}
        _write(job.folder / BROKEN, broken)
        logs = [*logs, broken]
    figures.losses([log for log in logs if log.get("curve")], job.folder / "loss.png")
    return Unfinished(
        failure, {"draws": {"finished": len(results) or len(chains), "of": draws}}
    )


def not_made(job: Job) -> NotMade | None:
    """Return why the update of a trial was not made; None where it was."""
    outcome = Outcome.read(job.need("update"))
    if outcome is None or outcome.reason == "ok":
        return None
    kind = NotMadeForMemory if outcome.reason == "oom" else NotMade
    return kind(f"{outcome.key}, attempt {outcome.attempt}: {outcome.error}")


def finished(folder: Path) -> int | None:
    """Return how many draws of the update in a folder were finished; None: all of them."""
    outcome = Outcome.read(folder)
    if outcome is None or outcome.reason == "ok":
        return None
    told: Json = outcome.info.get(UNFINISHED, {})
    return int(told.get("draws", {}).get("finished", 0))


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
