"""Transformer blocks as the operations that they consist of, forward and backward.

transformers' modules take several times as long as the numbers in them where rows are few or
models small: masks that are built anew, caches that grow, layers of wrappers; and autograd
keeps more than the gradient of a block's input needs. One `Block` describes the blocks of all
families: what differs is which parts there are (`families.py`).

Shapes: N tokens of all rows one after another, d = d_model, f = d_ff, H heads, G groups of them
that share keys and values, e = width of a head.
"""

from dataclasses import dataclass

from torch import Tensor

from ksmith.lm.ops import Affine, Curve, Looking, Norm, Saved, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Attention and MLP around a residual stream."""

    norm: Norm  # of what attention is given
    q: Affine
    k: Affine
    v: Affine
    o: Affine
    width: int  # of a head
    looking: Looking
    q_norm: Norm | None = None  # of each head
    k_norm: Norm | None = None
    rotary: str = ""  # which of the model's rotary positions, where it has several
    window: int | None = None  # how far attention looks back, the token itself included
    after_attention: Norm | None = None  # of what attention adds (Gemma)
    mlp_norm: Norm | None = None  # None: the MLP is given what attention is given (GPT-J, Phi)
    parallel: bool = False  # the MLP does not see what attention adds
    gate: Affine | None = None
    up: Affine
    curve: Curve
    down: Affine  # the MLP's second matrix: keys go in, values come out
    after_mlp: Norm | None = None  # of what the MLP adds (Gemma)

    @property
    def matrices(self) -> list[Affine]:
        """All that a block is made of, but norms."""
        found = [self.q, self.k, self.v, self.o, self.up, self.down]
        return found if self.gate is None else [*found, self.gate]

    @property
    def groups(self) -> int:
        """G."""
        return self.k.weight.shape[1] // self.width

    @property
    def heads(self) -> int:
        """H."""
        return self.q.weight.shape[1] // self.width

    # --- attention ----------------------------------------------------------------------------

    def queries(self, x: Tensor, turn: Turn | None) -> tuple[Tensor, Saved]:
        """Return (N, H, e) for what attention is given, (N, d)."""
        return _placed(self.q, self.q_norm, self.width, x, turn)

    def queries_back(
        self, saved: Saved, gradient: Tensor, turn: Turn | None, onto: Tensor | None
    ) -> Tensor:
        """Return the gradient of what attention is given; `onto` is added to."""
        return _placed_back(self.q, self.q_norm, saved, gradient, turn, onto)

    def keys_values(self, x: Tensor, turn: Turn | None) -> tuple[Tensor, Tensor, Saved]:
        """Return keys and values, (N, G, e), for what attention is given, (N, d)."""
        k, saved = _placed(self.k, self.k_norm, self.width, x, turn)
        return k, self.v(x).view(len(x), -1, self.width), saved

    def keys_values_back(
        self, saved: Saved, of_k: Tensor, of_v: Tensor, turn: Turn | None
    ) -> Tensor:
        """Return the gradient of what attention is given, (N, d)."""
        onto = self.v.back(of_v.reshape(len(of_v), -1))
        return _placed_back(self.k, self.k_norm, saved, of_k, turn, onto)

    # --- MLP ----------------------------------------------------------------------------------

    def met(self, h: Tensor, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, list[Saved]]:
        """Return the stream with what attention adds, and what the MLP is given, (N, d).

        Args:
            h: (N, d) the stream before the block.
            x: (N, d) what attention was given.
            seen: (N, H e) what attention found.
        """
        added, saved = _normed(self.after_attention, self.o(seen))
        middle = added.add_(h)
        if self.mlp_norm is None:
            return middle, x, [saved]
        given, more = self.mlp_norm(h if self.parallel else middle)
        return middle, given, [saved, more]

    def key(self, given: Tensor) -> tuple[Tensor, list[Saved]]:
        """Return what the MLP's second matrix is given, (N, f)."""
        if self.gate is None:
            y, saved = self.curve(self.up(given))
            return y, [saved]
        y, saved = self.curve(self.gate(given))
        wide = self.up(given)
        return y * wide, [saved, (y, wide)]

    def added(self, value: Tensor) -> tuple[Tensor, Saved]:
        """Return what the values (N, d) of the second matrix add to the stream."""
        return _normed(self.after_mlp, value)

    def leave(self, h: Tensor, x: Tensor, seen: Tensor) -> tuple[Tensor, list[Saved]]:
        """Return the stream after the block, (N, d), with all that `leave_back` needs."""
        middle, given, met = self.met(h, x, seen)
        key, of_key = self.key(given)
        added, after = self.added(self.down(key))
        return added.add_(middle), [*met, *of_key, after]

    def leave_back(
        self, saved: list[Saved], gradient: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return the gradients of h, of x (None where only attention is given it) and of seen."""
        after, *rest = reversed(saved)
        given = self._key_back(
            rest, self.down.back(_normed_back(self.after_mlp, after, gradient))
        )
        of_h, of_added, of_x = gradient, gradient, None
        if self.mlp_norm is None:
            of_x = given
        else:
            of_h = self.mlp_norm.back(saved[1], given).add_(gradient)
            of_added = gradient if self.parallel else of_h
        of_seen = self.o.back(_normed_back(self.after_attention, saved[0], of_added))
        return of_h, of_x, of_seen

    def _key_back(self, saved: list[Saved], gradient: Tensor) -> Tensor:
        """Return the gradient of what the MLP is given; `saved` from the last to the first."""
        if self.gate is None:
            return self.up.back(self.curve.back(saved[0], gradient))
        (y, wide), of_curve, *_ = saved
        onto = self.up.back(gradient * y)
        return self.gate.back(self.curve.back(of_curve, gradient.mul_(wide)), onto)


def _placed(
    affine: Affine, norm: Norm | None, width: int, x: Tensor, turn: Turn | None
) -> tuple[Tensor, Saved]:
    made, saved = _normed(norm, affine(x).view(len(x), -1, width))
    return (made if turn is None else turn(made)), saved


def _placed_back(
    affine: Affine,
    norm: Norm | None,
    saved: Saved,
    gradient: Tensor,
    turn: Turn | None,
    onto: Tensor | None,
) -> Tensor:
    if turn is not None:
        gradient = turn.back(gradient)
    return affine.back(_normed_back(norm, saved, gradient).reshape(len(gradient), -1), onto)


def _normed(norm: Norm | None, x: Tensor) -> tuple[Tensor, Saved]:
    return (x, ()) if norm is None else norm(x)


def _normed_back(norm: Norm | None, saved: Saved, gradient: Tensor) -> Tensor:
    return gradient if norm is None else norm.back(saved, gradient)
