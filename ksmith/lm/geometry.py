"""How far apart two distributions, two sets of hidden states, two matrices are.

Shapes: W (m, n) a matrix, its change D (m, n) of rank p, k = min(m, n), r <= k directions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ksmith.lm.delta import Block, LowRank

TOP = 16  # r: singular directions whose rotation is measured
EXACT = 1024  # a matrix with a longer shorter side is decomposed in float32


def kl(before: Tensor, after: Tensor) -> Tensor:
    """Return KL(before || after) in nats, (n,) float64, of log-probabilities (n, vocab)."""
    p, q = before.double(), after.double()
    # What had no probability adds nothing, whatever it has now.
    return torch.where(p > -torch.inf, p.exp() * (p - q), 0.0).sum(-1).clamp(min=0)


def cka(before: Tensor, after: Tensor) -> float:
    """Return the linear CKA of two sets of states, (n, d) each, row by row of the same inputs.

    ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F), columns centred: Kornblith et al., ICML 2019,
    arXiv:1905.00414. With n rows in d >> n dimensions any two sets look alike: compare values
    of the same n alone. nan where one of the sets does not vary.
    """
    X, Y = (states.double() - states.double().mean(0) for states in (before, after))
    # The same three numbers from d x d or from n x n matrices.
    if len(X) < X.shape[1]:
        K, L = X @ X.T, Y @ Y.T
        cross, own = (K * L).sum(), K.norm() * L.norm()
    else:
        cross, own = (Y.T @ X).square().sum(), (X.T @ X).norm() * (Y.T @ Y).norm()
    return float(cross / own)


def effective_rank(singular: Tensor) -> float:
    """Return exp(H(s / sum s)), the entropy form: Roy and Vetterli, EUSIPCO 2007; 0 of nothing.

    >>> effective_rank(torch.tensor([5.0, 0.0]))
    1.0
    """
    total = singular.double().sum()
    if total == 0:
        return 0.0
    share = singular.double() / total
    return float(torch.exp(-torch.xlogy(share, share).sum()))


def principal_angles(U: Tensor, V: Tensor) -> Tensor:
    """Return the angles between the spans of two orthonormal bases (m, r), ascending, radians.

    Cosines are bad at small angles, sines at large ones, so both are taken: Bjorck and Golub,
    Math. Comp. 27, 1973.
    """
    cosine = torch.linalg.svdvals(U.T @ V)
    sine = torch.linalg.svdvals(V - U @ (U.T @ V)).flip(0)
    return torch.atan2(sine, cosine)


# --- spectra ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular value decomposition of a matrix that is as wide as high, or wider."""

    U: Tensor  # (k, k)
    s: Tensor  # (k,) descending
    Vh: Tensor  # (k, n)
    tall: bool  # of the transpose of a matrix that is higher than wide


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change did to a matrix."""

    scaling: float  # mean of s'_i / s_i
    scaling_cv: float  # ... its standard deviation over the mean: 0 where all grow alike
    rotation_left: float  # mean principal angle of the top r left directions, radians
    rotation_right: float
    effective_rank: float  # of the change


def spectrum(weight: Tensor) -> Spectrum:
    """Return the decomposition of a matrix, in float64 where that is cheap."""
    tall = weight.shape[0] > weight.shape[1]
    W = _wide(weight.T if tall else weight)
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    return Spectrum(U, s, Vh, tall)


def moved(base: Spectrum, change: Block) -> Moved:
    """Return what adding `change` does to the matrix that `base` is the decomposition of."""
    D = change.T if base.tall else change
    found = _low_rank(base, D) if isinstance(D, LowRank) else _dense(base, D)
    s, left, right = found
    kept = base.s > base.s[0] * max(base.Vh.shape) * torch.finfo(base.s.dtype).eps
    ratio = s[kept].double() / base.s[kept].double()
    angles = (float(left.mean()), float(right.mean()))
    return Moved(
        scaling=float(ratio.mean()),
        scaling_cv=float(ratio.std(correction=0) / ratio.mean()),
        rotation_left=angles[1] if base.tall else angles[0],
        rotation_right=angles[0] if base.tall else angles[1],
        effective_rank=effective_rank(singular_values(D)),
    )


def singular_values(change: Block) -> Tensor:
    """Return the singular values of a change; of a pair, from p x p instead of m x n."""
    if isinstance(change, Tensor):
        return torch.linalg.svdvals(_wide(change))
    _, left = torch.linalg.qr(_wide(change.left))
    _, right = torch.linalg.qr(_wide(change.right.T))
    return torch.linalg.svdvals(left @ right.T)


def _low_rank(base: Spectrum, change: LowRank) -> tuple[Tensor, Tensor, Tensor]:
    """Return the new singular values, and the angles at the left and at the right.

    In the bases U and [V Q], Q spanning what the change's rows have outside of V, the new
    matrix is k x (k + p): [diag(s) + C P^T, C T^T], with C = U^T L, P = V^T R^T, and Q T what
    is left of R^T (Brand, "Fast low-rank modifications", Lin. Alg. Appl. 415, 2006).
    """
    left, right = change.left.to(base.s), change.right.to(base.s)
    C = base.U.T @ left  # (k, p)
    P = right @ base.Vh.T  # (p, k)
    rest = right - P @ base.Vh
    # Once more: what rounding left of V in it would otherwise be counted twice.
    rest = rest - (rest @ base.Vh.T) @ base.Vh
    _, T = torch.linalg.qr(rest.T)  # (p, p)
    core = torch.cat([base.s.diag() + C @ P, C @ T.T], 1)
    U, s, Vh = torch.linalg.svd(core, full_matrices=False)
    r = min(TOP, len(s))

    def angles(basis: Tensor) -> Tensor:
        first = torch.eye(len(basis), r, dtype=basis.dtype, device=basis.device)
        return principal_angles(first, basis[:, :r])

    return s, angles(U), angles(Vh.T)


def _dense(base: Spectrum, change: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same of a change without structure."""
    W = (base.U * base.s) @ base.Vh + change.to(base.s)
    U, s, Vh = torch.linalg.svd(W, full_matrices=False)
    r = min(TOP, len(s))
    return (
        s,
        principal_angles(base.U[:, :r], U[:, :r]),
        principal_angles(base.Vh[:r].T, Vh[:r].T),
    )


def _wide(matrix: Tensor) -> Tensor:
    matrix = matrix.detach()
    return matrix.double() if min(matrix.shape) <= EXACT else matrix.float()
