"""What gold models say of the sets of a draw, word by word, beside what a trial's models say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

from ksmith.lm.prefill import Asked, look
from ksmith.lm.text import encode
from ksmith.lm.tokens import vocabulary
from ksmith.probe.memory import Item
from ksmith.worker.job import Job
from ksmith.worker.memory import said_of
from ksmith.worker.opening import Base

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

FILE = "memory_gold.parquet"
SAID = "memory.safetensors"
KEPT = 1 << 26  # numbers that are kept of what one model says in one draw: 256 MiB


def kept(base: Base, mine: Sequence[Item], most: int = KEPT) -> list[int]:
    """Return the statements whose whole distributions are compared: all, or evenly chosen ones.

    Of a large vocabulary and long answers, no more than fit into `most` numbers. The same for
    all models of a draw.
    """
    if not mine:
        return []
    prompts = [item.statement.prompt for item in mine]
    answers = [item.statement.object for item in mine]
    batch = encode(base.tokenizer, prompts, answers, ended=True)
    longest = int(batch.answer.sum(1).max())
    some = min(len(mine), max(1, most // (vocabulary(base.model) * longest)))
    return [i * len(mine) // some for i in range(some)]


def save(said: "Tensor", folder: Path) -> None:
    """Write what a model says, (tokens, vocab)."""
    save_file({"logp": said.float().contiguous()}, folder / SAID)


def compared(
    job: Job, base: Base, sets: Sequence[Item], after: Mapping[int, "Tensor"]
) -> "pl.DataFrame | None":
    """Return how far the trial's models are from gold models; write it. None: nobody asked.

    Args:
        job: the trial.
        base: the model before the update.
        sets: the statements of all draws.
        after: draw -> what the updated model says in the places of `kept`.
    """
    import polars as pl

    golds = int(job.spec.recipe["task"].get("gold", 0))
    parts: list[pl.DataFrame] = []
    for draw, said in after.items():
        mine = [item for item in sets if item.draw == draw]
        folders = [job.need(f"standard.{draw}.{number}") for number in range(golds)]
        theirs = [load_file(folder / SAID)["logp"] for folder in folders]
        parts.append(_draw(base, [mine[i] for i in kept(base, mine)], said, theirs))
    if not parts:
        return None
    rows = pl.concat(parts)
    rows.write_parquet(job.folder / FILE)
    return rows


def _draw(
    base: Base, mine: Sequence[Item], after: "Tensor", theirs: Sequence["Tensor"]
) -> "pl.DataFrame":
    from ksmith.measures.memory_gold import Draw

    prompts = [item.statement.prompt for item in mine]
    answers = [item.statement.object for item in mine]
    every = range(len(mine))
    asked = Asked(prompts, answers, [()] * len(mine), every)
    before = look(base.model, base.tokenizer, asked)
    return Draw(
        said_of(mine),
        before.tokens.counts.numpy(),
        [before.whole.double().numpy(), after.double().numpy()],
        [said.double().numpy() for said in theirs],
    ).table()
