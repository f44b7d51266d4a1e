"""Whether an edit is about to disable the model: seen in its solve, before weights are touched.

A disabling edit is one that wrecks a model by itself, with an update a hundred or a thousand
times as large as others: Gupta, Rao, Anumanchipalli, "Model Editing at Scale leads to Gradual
and Catastrophic Forgetting", ACL Findings 2024, arXiv:2401.07453; why: arXiv:2403.07175.

No source gives a threshold. Ours are two, and both say "ten times":

* The denominator u.k is under a tenth of what it is when the key that gives u = C^-1 k is the
  key that is written, so that the update is over ten times as large as with one key. (Over 400
  facts of a trained model, layers 0 to 2, 4 and 21 contexts, the least share was .37; the
  cosine of u and k alone does not tell: it is .1 to .6 for edits that do no harm, and falls
  with the condition of C.)
* The update is over ten times as large as the median of those before it.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from ksmith.lm.delta import LowRank
from ksmith.records import Json

SHARE = 0.1  # of u.k: a smaller denominator is guarded
TIMES = 10.0  # the median of the updates before: a larger one is guarded
ENOUGH = 5  # updates before, for their median to mean something
_NORMS = "guard.norms"  # in the state that goes from batch to batch


@dataclass(frozen=True, slots=True)
class Solved:
    """What a solve says of one request."""

    division: float  # cosine of the written key and u, the division factor
    share: float  # u.k / what it is with one key
    norm: float  # Frobenius norm of the update, or of the request's part of it

    def log(self, reason: str | None) -> dict[str, Json]:
        """Return what the update's log says of it."""
        told: dict[str, Json] = {"division": self.division, "update_norm": self.norm}
        return told if reason is None else {**told, "guarded": reason}


def of_pair(mean: Tensor, k: Tensor, block: LowRank) -> Solved:
    """Return what is to be known of `solve.rank_one`'s block (d, f) for keys (f,)."""
    u = block.right[0].double()
    mean, k = mean.double(), k.double()
    return Solved(
        division=float(u @ k / (u.norm() * k.norm())),
        share=float((u @ k) / (u @ mean)),
        norm=float(block.left.double().norm() * u.norm()),
    )


def of_batch(K: Tensor, block: LowRank) -> list[Solved]:
    """Return what is to be known of each request of a batch, whose keys are `K` (f, b).

    `block` is (d, b) @ (b, f), a row of the right part a request: its u. Its part of the update
    is what goes along that.
    """
    u, keys = block.right.double(), K.double().T  # (b, f)
    division = (u * keys).sum(1) / (u.norm(dim=1) * keys.norm(dim=1))
    norm = block.left.double().norm(dim=0) * u.norm(dim=1)
    return [
        Solved(division=one, share=1.0, norm=size)
        for one, size in zip(division.tolist(), norm.tolist(), strict=True)
    ]


def over_layers(found: Sequence[Solved]) -> Solved:
    """Return the worst of a request's solves at several layers, and its whole update's norm."""
    return Solved(
        division=min(one.division for one in found),
        share=min(one.share for one in found),
        norm=sum(one.norm**2 for one in found) ** 0.5,
    )


def reason(solved: Solved, others: Sequence[float]) -> str | None:
    """Return why the edit is about to disable the model, or None where it is not.

    `others` are the norms of the updates before it.
    """
    return _reason(solved, len(others), median(others) if len(others) >= ENOUGH else None)


def reasons(batch: Sequence[Solved], before: Sequence[float]) -> list[str | None]:
    """Return `reason` of each request, its others being updates before and the batch's others."""
    ranked = sorted([*before, *(one.norm for one in batch)])  # once, not for each request
    others = len(ranked) - 1
    told: list[str | None] = []
    for one in batch:
        own = bisect_left(ranked, one.norm)
        low, high = (k + (k >= own) for k in ((others - 1) // 2, others // 2))
        usual = (ranked[low] + ranked[high]) / 2 if others >= ENOUGH else None
        told.append(_reason(one, others, usual))
    return told


def _reason(solved: Solved, others: int, usual: float | None) -> str | None:
    if not solved.share >= SHARE:
        return (
            f"the denominator u.k is {solved.share:.3g} of what it is with one key; "
            f"under {SHARE:g} the update explodes"
        )
    if usual is not None and not solved.norm <= TIMES * usual:
        return (
            f"the update's norm is {solved.norm:.3g}, over {TIMES:g} x the median of "
            f"{others} others, {usual:.3g}"
        )
    return None


def norms(state: Mapping[str, Tensor]) -> list[float]:
    """Return the norms of the updates before, as `remembered` kept them."""
    return state[_NORMS].tolist() if _NORMS in state else []


def remembered(written: Sequence[float]) -> dict[str, Tensor]:
    """Return the state that tells the next batch of a sequence the norms so far."""
    return {_NORMS: torch.tensor(list(written), dtype=torch.float64)}
