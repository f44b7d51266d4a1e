"""MEND's network: from the rank-one factors of a gradient to those of an update.

Mitchell et al., "Fast Model Editing at Scale", ICLR 2022, arXiv:2110.11309, section 3. For a
matrix W with inputs u and slopes d at its outputs (`lm/factors.py`), z = (u, d) normalised,

    h = z + relu(s1 * (U1 V1 z + b1) + o1),   g(z) = h + s2 * (U2 V2 h + b2) + o2,

and W changes by -a times the sum over tokens of d' u'^T, where (u', d') is g(z). Matrices of one
shape share U, V and b; s, o and the step a are each matrix's own. U is zero at first, so g is the
identity, and an edit one step of gradient descent.

Departs: g's change of z is taken back to the units of u and d, so that identity is the gradient
itself; public code leaves the factors centred and scaled, and drops what that takes away. It has
a relu at the end, too. Means and deviations are each matrix's own, not its shape's, and are
measured before the training, not along it. Steps are learnt as logarithms: none turns round.

Shapes: r tokens, i inputs and o outputs of a matrix, w = i + o.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ksmith.lm.adapters import Part, linear
from ksmith.lm.delta import LowRank
from ksmith.lm.sites import sites
from ksmith.records import UserError

RANK = 1920  # the paper's, and the most that is taken by itself
SHARE = 4  # ... else one so many-th of the width
SMALL = 1e-7  # added to deviations, as in public code: some neurons never fire


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One edited matrix."""

    name: str  # its module
    inputs: int
    outputs: int

    @property
    def shape(self) -> str:
        """What matrices with one network have in common."""
        return f"{self.inputs}x{self.outputs}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hypernetwork:
    """The network and what it was told of the model."""

    matrices: tuple[Matrix, ...]
    # By name: "<shape>.U1" (w, rank), .V1 (rank, w), .b1 (w,), .s1 and .o1 (matrices of the shape,
    # w), the same with 2, and "step" (matrices,), the logarithms of the edits' steps.
    learnt: Mapping[str, Tensor]
    # "<module>.mean" and ".deviation" (w,), and "unit" (matrices,): of steps, see `measured`.
    known: Mapping[str, Tensor]

    def number(self, matrix: Matrix) -> int:
        """Return which of the matrices of its shape it is."""
        alike = [other.name for other in self.matrices if other.shape == matrix.shape]
        return alike.index(matrix.name)

    def step(self, matrix: Matrix) -> Tensor:
        """Return a, what the product of pseudo-factors is taken times."""
        place = self.matrices.index(matrix)
        return self.known["unit"][place] * self.learnt["step"][place].exp()

    def pseudo(self, matrix: Matrix, u: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pseudo-factors (..., i) and (..., o) of the factors of some tokens."""
        z = torch.cat([u, d], -1)
        deviation = self.known[f"{matrix.name}.deviation"]
        normal = (z - self.known[f"{matrix.name}.mean"]) / (deviation + SMALL)
        first = self._layer(matrix, "1", normal)
        # Not relu, whose slope at 0 is 0: it starts there.
        first = first.clamp(min=0)
        change = first + self._layer(matrix, "2", normal + first)
        made = z + deviation * change
        return made[..., : matrix.inputs], made[..., matrix.inputs :]

    def _layer(self, matrix: Matrix, layer: str, z: Tensor) -> Tensor:
        """Return s * (U V z + b) + o."""
        U, V, b, s, o = (self.learnt[f"{matrix.shape}.{part}{layer}"] for part in "UVbso")
        place = self.number(matrix)
        return s[place] * (z @ V.T @ U.T + b) + o[place]

    def change(self, matrix: Matrix, u: Tensor, d: Tensor) -> LowRank:
        """Return what an edit adds to the matrix, (o, i), from factors (r, i) and (r, o)."""
        inputs, slopes = self.pseudo(matrix, u, d)
        return LowRank(-self.step(matrix) * slopes.T, inputs)

    def with_learnt(self, learnt: Mapping[str, Tensor]) -> "Hypernetwork":
        """Return the same network with other parameters."""
        return Hypernetwork(matrices=self.matrices, learnt=learnt, known=self.known)

    def to(self, device: torch.device) -> "Hypernetwork":
        """Return the same network on a device."""
        return Hypernetwork(
            matrices=self.matrices,
            learnt={name: tensor.to(device) for name, tensor in self.learnt.items()},
            known={name: tensor.to(device) for name, tensor in self.known.items()},
        )


def matrices(
    model: nn.Module, layers: Sequence[int] | None, modules: Sequence[Part], last: int
) -> tuple[Matrix, ...]:
    """Return the matrices to edit: those of `modules` in `layers`, by default the `last` ones.

    Raises:
        UserError: a layer that the model has not.
    """
    s = sites(model)
    if layers is None:
        layers = range(max(0, s.n_layers - last), s.n_layers)
    found: list[Matrix] = []
    for layer in layers:
        parts = linear(model, s.layer(layer))
        for name in (name for part in modules for name in parts[part]):
            weight = model.get_parameter(f"{name}.weight")
            outputs, inputs = s.maths(weight).shape
            found.append(Matrix(name=name, inputs=inputs, outputs=outputs))
    if not found:
        raise UserError("there is no matrix to edit: name modules that the model has")
    return tuple(found)


def fresh(
    chosen: Sequence[Matrix],
    known: Mapping[str, Tensor],
    rank: int | None,
    step: float,
    generator: torch.Generator,
) -> Hypernetwork:
    """Return a network that is the identity.

    V is drawn so that V z is as large as z: what U learns from is of one size in any width.
    """
    like = known["unit"]
    learnt: dict[str, Tensor] = {"step": torch.full_like(like, step).log()}
    for matrix in chosen:
        if f"{matrix.shape}.U1" in learnt:
            continue
        w = matrix.inputs + matrix.outputs
        r = min(rank or min(max(1, w // SHARE), RANK), w)
        alike = sum(other.shape == matrix.shape for other in chosen)
        for layer in "12":
            drawn = torch.randn(r, w, generator=generator, dtype=torch.float32) * w**-0.5
            made = {
                "U": like.new_zeros(w, r),
                "V": drawn.to(like),
                "b": like.new_zeros(w),
                "s": like.new_ones(alike, w),
                "o": like.new_zeros(alike, w),
            }
            learnt |= {f"{matrix.shape}.{part}{layer}": tensor for part, tensor in made.items()}
    return Hypernetwork(matrices=tuple(chosen), learnt=learnt, known=known)


def lengths(network: Hypernetwork) -> dict[str, float]:
    """Return by parameter what a step of 1 is: of U and V the size of a full row's elements.

    The others are of the size of the network's normalised numbers, or logarithms.
    """
    found = dict.fromkeys(network.learnt, 1.0)
    for name, tensor in network.learnt.items():
        if name.rpartition(".")[2][0] in "UV":
            found[name] = tensor.shape[1] ** -0.5
    return found


# --- what is told of the model ----------------------------------------------------------------


@final
class Sums:
    """Sums over tokens of one matrix's factors, in float64."""

    def __init__(self) -> None:
        self.n = 0
        self.sum: Tensor = torch.zeros(())
        self.square: Tensor = torch.zeros(())

    def add(self, z: Tensor) -> None:
        """Take in the factors (r, w) of some tokens."""
        wide = z.double()
        self.n += len(z)
        self.sum = self.sum.to(wide) + wide.sum(0)
        self.square = self.square.to(wide) + wide.square().sum(0)

    def mean(self) -> Tensor:
        """Return the mean, (w,)."""
        return self.sum / max(1, self.n)

    def deviation(self) -> Tensor:
        """Return the standard deviation, (w,)."""
        return (self.square / max(1, self.n) - self.mean().square()).clamp(min=0).sqrt()

    def size(self, part: slice) -> Tensor:
        """Return the root mean square over tokens and the elements of a part."""
        return (self.square[part].mean() / max(1, self.n)).sqrt()


def measured(
    model: nn.Module, chosen: Sequence[Matrix], sums: Mapping[str, Sums], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return what `Hypernetwork.known` holds, from sums over the factors of a training set.

    A unit of step is such that an edit of a usual token's factors adds, at its own input, an
    output as long as the matrix's own would be on average: RMS(W) / (sqrt(i) RMS(u) RMS(d)).

    Raises:
        UserError: no token has a slope at some matrix.
    """
    known: dict[str, Tensor] = {}
    units: list[Tensor] = []
    for matrix in chosen:
        own = sums[matrix.name]
        weight = model.get_parameter(f"{matrix.name}.weight").detach()
        u, d = own.size(slice(matrix.inputs)), own.size(slice(matrix.inputs, None))
        if not bool(u * d > 0):
            raise UserError(f"no gradient reaches {matrix.name}: nothing can be learnt there")
        units.append(weight.double().square().mean().sqrt() / (matrix.inputs**0.5 * u * d))
        known[f"{matrix.name}.mean"] = own.mean().to(dtype)
        known[f"{matrix.name}.deviation"] = own.deviation().to(dtype)
    known["unit"] = torch.stack(units).to(dtype)
    return known
