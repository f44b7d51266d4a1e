"""A chain of deltas: what batches, one after another, did to a model, kept by checkpoint.

A segment is the sum of the batches between two checkpoints. Pairs of thin matrices are put side
by side for as long as that is smaller than their product, so that a thousand rank-one edits take
no more room than one dense change. The model at a checkpoint is the base weights plus the sum of
the segments up to it, always added up in the same order: the bits that the next batch was
computed on are those that questions are put to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ksmith.lm import delta as deltas
from ksmith.lm.delta import Block, Delta, LowRank, dense
from ksmith.records import UserError


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One draw's chain; an update that is no sequence is one of a single segment."""

    steps: tuple[int, ...]  # facts written at the end of each segment; (1,) of a single update
    segments: Sequence[Delta]

    def totals(self) -> Iterator[tuple[int, Delta]]:
        """Yield each step with the whole change of the base weights up to there."""
        total: Delta = {}
        for step, segment in zip(self.steps, self.segments, strict=True):
            total = joined(total, segment)
            yield step, total

    def until(self, step: int | None = None) -> Delta:
        """Return the whole change up to a step, by default the last.

        Raises:
            UserError: nothing was kept at that step.
        """
        wanted = self.steps[-1] if step is None else step
        if wanted not in self.steps:
            raise UserError(
                f"no model was kept after {wanted} facts; there are those after "
                f"{', '.join(map(str, self.steps))}"
            )
        return next(total for at, total in self.totals() if at == wanted)


def joined(one: Delta, other: Delta) -> Delta:
    """Return the sum of two deltas."""
    both = {name: _sum(one[name], block) for name, block in other.items() if name in one}
    return {**one, **other, **both}


def _sum(a: Block, b: Block) -> Block:
    if isinstance(a, LowRank) and isinstance(b, LowRank):
        rows, columns = a.shape
        rank = a.left.shape[1] + b.left.shape[1]
        if rank * (rows + columns) < rows * columns:
            return LowRank(torch.cat([a.left, b.left], 1), torch.cat([a.right, b.right], 0))
    return dense(a) + dense(b)


# --- files ------------------------------------------------------------------------------------


def save(chain: Chain, path: Path, metadata: dict[str, str]) -> None:
    """Write the segments of one draw's chain; see `delta.save`."""
    steps = ",".join(map(str, chain.steps))
    deltas.save(chain.segments, path, {**metadata, "steps": steps})


def load_for(path: Path, base: str) -> Chain:
    """Return the chain in a file, which belongs to the weights with the digest `base`.

    Raises:
        UserError: as `delta.load_for`, or the file says of no or of other steps.
    """
    segments, metadata = deltas.load_with(path, base)
    try:
        steps = tuple(int(text) for text in metadata.get("steps", "").split(","))
    except ValueError:
        steps = ()
    if len(steps) != len(segments):
        raise UserError(f"{path} is no chain: {len(segments)} changes after {len(steps)} steps")
    return Chain(steps, segments)
