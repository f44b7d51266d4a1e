"""Run a trial once more, beside the lab, and compare what the model said both times."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ksmith.records import Spec
from ksmith.worker.job import Job, Report, silent

# What is done again, in order. The graph, the model and its moments are taken as they are.
AGAIN = ("before", "update", "trial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two tables of answers to the same questions."""

    answers: int  # rows that both have
    missing: int  # rows that one of them lacks
    logp: float  # largest absolute difference of a candidate's log-probability, nats
    texts: int  # generated texts that differ

    def within(self, tolerance: float) -> bool:
        """Whether the two are the same, but for `tolerance` nats."""
        return self.missing == 0 and self.logp <= tolerance


def run_again(
    specs: dict[str, Spec], folder: Path, warm: dict[str, Any], report: Report = silent
) -> Path:
    """Return the answers.parquet that `specs` give now; all is written under `folder`.

    Args:
        specs: by kind, those of the trial and of what it needs, as the lab would run them.
        folder: empty; left for the caller to remove.
        warm: keeps the model open between calls.
        report: told about progress.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    from ksmith.worker.tasks import HANDLERS

    disable_progress_bar()
    torch.set_num_threads(1)  # as a worker has it: sums in another order are other bits
    made: dict[str, str] = {}
    for kind in AGAIN:
        spec = specs[kind]
        target = folder / kind
        target.mkdir(parents=True)
        needs = {role: made.get(role, need) for role, need in spec.needs.items()}
        job = Job(spec=replace(spec, needs=needs), folder=target, report=report, warm=warm)
        HANDLERS[spec.kind](job)
        made[kind] = str(target)
    return folder / "trial" / "answers.parquet"


def compare(first: Path, second: Path) -> Difference:
    """Return how far two files of answers are apart."""
    import polars as pl

    keys = ["step", "question"]
    one, other = (
        pl.read_parquet(path).select(*keys, "logp", "generated") for path in (first, second)
    )
    both = one.join(other, on=keys, suffix="_2")
    same_size = pl.col("logp").list.len().eq_missing(pl.col("logp_2").list.len())
    wide = pl.List(pl.Float64)
    apart = pl.col("logp").cast(wide) - pl.col("logp_2").cast(wide)
    largest = (
        both.filter(same_size)
        .select(apart.list.eval(pl.element().abs().fill_nan(float("inf"))).list.max())
        .to_series()
        .max()
    )
    return Difference(
        answers=both.height,
        missing=one.height + other.height - 2 * both.height + both.filter(~same_size).height,
        logp=float(largest) if isinstance(largest, float) else 0.0,
        texts=both.filter(pl.col("generated").ne_missing(pl.col("generated_2"))).height,
    )
