"""The linear algebra of writing values for keys into one matrix.

Shapes: K (d_ff, N) keys, R (d_model, N) what to add to their values, C (d_ff, d_ff) = E[k k^T].
"""

import torch
from torch import Tensor

from ksmith.lm.delta import Block, LowRank
from ksmith.records import UserError


def factor(moment: Tensor, ridge: float) -> Tensor:
    """Return the Cholesky factor L, float64, of C + ridge * mean(diag C) * I.

    The ridge is there for neurons that never fire: they make C singular.

    Raises:
        UserError: the moment is not positive definite even so.
    """
    C = moment.to(torch.float64, copy=True)
    C.diagonal().add_(ridge * C.diagonal().mean())
    L, info = torch.linalg.cholesky_ex(C)
    if int(info):
        raise UserError(f"the second moment is singular; a ridge above {ridge:g} helps")
    return L


def rank_one(mean: Tensor, k: Tensor, change: Tensor, L: Tensor) -> LowRank:
    """Return D = change u^T / (u.k) with u = C^-1 mean: D k = change. ROME, eq. 2.

    `mean`, `k` (d_ff,), `change` (d_model,), L the factor of C. Where both keys are one and the
    same D is the smallest such change by tr(D C D^T), and u.k = k^T C^-1 k > 0 (r-ROME,
    arXiv:2403.07175). Where they differ u.k can be anything, and D as large.
    """
    k, change = k.double(), change.double()
    u = torch.cholesky_solve(mean.double()[:, None], L)[:, 0]
    return LowRank((change / (u @ k))[:, None], u[None])


def least_squares(
    K: Tensor, R: Tensor, L: Tensor, weight: float, slack: float = 1.0
) -> LowRank:
    """Return R K^T (weight C + K K^T)^-1, MEMIT, eq. 14, as R (I + K^T X)^-1 and X^T.

    X = (weight C)^-1 K. By Woodbury's identity: N x N instead of d_ff x d_ff. float64: keys of
    one subject in many requests are nearly parallel.

    With another `slack` a it is EMMET's R (a I + K^T X)^-1 X^T: MEMIT with the weight a times
    as large (push-through identity). With none, values are met exactly, and keys have to be
    linearly independent.

    Raises:
        UserError: they are not.
    """
    X = torch.cholesky_solve(K.double(), L) / weight
    inner = K.double().T @ X
    if slack == 0:
        _check_independent(inner)
    inner.diagonal().add_(slack)
    return LowRank(torch.linalg.solve(inner, R.double(), left=False), X.T)


# The square of what is left of a key, as a part of it, when its components along other keys are
# taken away. Keys are float32: under a millionth part (squared) nothing but rounding is left.
_LEFT = 1e-12


def _check_independent(gram: Tensor) -> None:
    """Check keys by their products k^T C^-1 k', (N, N): by their lengths, then one by one."""
    length = gram.diagonal().sqrt()
    L, broken = torch.linalg.cholesky_ex(gram / (length[:, None] * length))
    left = L.diagonal().square()
    first = int(broken) - 1 if int(broken) else int(left.argmin())
    if int(broken) or not bool(left[first] > _LEFT):
        raise UserError(
            f"the key of request {first + 1} of a batch of {len(gram)} coincides with that of "
            "an earlier one, or with a sum of them: their values cannot all be met exactly; a "
            "slack above 0 helps"
        )


def free_directions(moment: Tensor, cut: float) -> Tensor:
    """Return the eigenvectors of C below `cut` x the mean eigenvalue, (d_ff, r) float64.

    Along them the keys of ordinary text hardly reach: what is written there changes little
    else.

    Raises:
        UserError: there is none.
    """
    values, vectors = torch.linalg.eigh(moment.double())
    free = vectors[:, values < cut * values.mean()]
    if free.shape[1] == 0:
        least = float(values[0] / values.mean())
        raise UserError(f"no direction is free: nullspace must be above {least:.2g}")
    return free


def projected(
    K: Tensor, R: Tensor, U: Tensor, l2: float, earlier: Tensor | None = None
) -> LowRank:
    """Return R Ku^T (Ku Ku^T + Eu Eu^T + l2 I)^-1 U^T, AlphaEdit, eq. 14; Ku = U^T K.

    `U` (d_ff, r) has orthonormal columns; `earlier` (d_ff, h) are keys E that were written
    before and are to keep their values: public code's C_prev is E E^T.

    With M = Eu Eu^T + l2 I and X = l2 M^-1 Ku, as R (Ku^T X + l2 I)^-1 and (U X)^T: N x N and
    h x h solves instead of r x r.
    """
    Ku = U.T @ K.double()
    X = Ku if earlier is None else _past(Ku, U.T @ earlier.double(), l2)
    inner = Ku.T @ X
    inner.diagonal().add_(l2)
    return LowRank(torch.linalg.solve(inner, R.double(), left=False), (U @ X).T)


def _past(K: Tensor, E: Tensor, l2: float) -> Tensor:
    """Return l2 (E E^T + l2 I)^-1 K = K - E (E^T E + l2 I)^-1 E^T K, by Woodbury's identity."""
    if not E.shape[1]:
        return K
    inner = E.T @ E
    inner.diagonal().add_(l2)
    return K - E @ torch.linalg.solve(inner, E.T @ K)


def gathered(earlier: Tensor, K: Tensor | None) -> Tensor:
    """Return keys E (d_ff, h), float64, with E E^T = earlier earlier^T + K K^T; h <= d_ff.

    That product is all that `projected` asks of earlier keys. So more of them than there are
    dimensions are kept as that many columns, and take no more room.
    """
    found = (
        [earlier.double()] if K is None else [earlier.double(), K.double().to(earlier.device)]
    )
    both = torch.cat(found, 1)
    if both.shape[1] <= both.shape[0]:
        return both
    return torch.linalg.qr(both.T, mode="r").R.T.contiguous()


def compact(block: LowRank, dtype: torch.dtype = torch.float32) -> Block:
    """Return the block in `dtype`, as a pair where that is smaller than the product."""
    rows, columns = block.shape
    rank = block.left.shape[1]
    if rank * (rows + columns) >= rows * columns:
        return block.dense().to(dtype)
    return LowRank(block.left.to(dtype).contiguous(), block.right.to(dtype).contiguous())
