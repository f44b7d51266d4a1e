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
    raw = moment.double()
    C = raw + ridge * raw.diagonal().mean() * torch.eye(
        len(raw), dtype=raw.dtype, device=raw.device
    )
    L, info = torch.linalg.cholesky_ex(C)
    if int(info):
        raise UserError(f"the second moment is singular; a ridge above {ridge:g} helps")
    return L


def rank_one(k: Tensor, change: Tensor, L: Tensor) -> LowRank:
    """Return the smallest change, by tr(D C D^T), for which D k = change. ROME, eq. 2.

    D = change u^T / (u.k) with u = C^-1 k; `k` (d_ff,), `change` (d_model,), L the factor of C.
    One and the same k in u and in the denominator: u.k = k^T C^-1 k > 0, so that no edit can
    explode (r-ROME, arXiv:2403.07175).
    """
    k, change = k.double(), change.double()
    u = torch.cholesky_solve(k[:, None], L)[:, 0]
    return LowRank((change / (u @ k))[:, None], u[None])


def least_squares(K: Tensor, R: Tensor, L: Tensor, weight: float) -> LowRank:
    """Return R K^T (weight C + K K^T)^-1, MEMIT, eq. 14, as R (I + K^T X)^-1 and X^T.

    X = (weight C)^-1 K. By Woodbury's identity: N x N instead of d_ff x d_ff. float64: keys of
    one subject in many requests are nearly parallel.
    """
    X = torch.cholesky_solve(K.double(), L) / weight
    inner = torch.eye(K.shape[1], dtype=X.dtype, device=X.device) + K.double().T @ X
    return LowRank(torch.linalg.solve(inner, R.double(), left=False), X.T)


def compact(block: LowRank, dtype: torch.dtype = torch.float32) -> Block:
    """Return the block in `dtype`, as a pair where that is smaller than the product."""
    rows, columns = block.shape
    rank = block.left.shape[1]
    if rank * (rows + columns) >= rows * columns:
        return block.dense().to(dtype)
    return LowRank(block.left.to(dtype).contiguous(), block.right.to(dtype).contiguous())
