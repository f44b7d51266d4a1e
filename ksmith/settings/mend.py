"""MEND: a trained network turns gradients into updates. Mitchell et al. 2022, arXiv:2110.11309."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import Count, Layer, NotNegative, Positive, Seed, setting
from ksmith.settings.search import check_layers

LAST = 3  # layers from the end that are edited where none are named, as in the paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """Hyperparameters, named as in the paper; all of them are of the training.

    The paper's own of the training are absolute (lr 1e-6, edit_lr 1e-4, rank 1920, c_edit 0.1);
    what is relative here means the same in narrow and wide models.
    """

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ("hypernetwork",)
    where: ClassVar[str] = f"the last {LAST} layers"  # where the study names none

    layers: tuple[Layer, ...] | None = setting(
        None, f"edited layers, lowest first; by default the last {LAST}, as in the paper"
    )
    modules: tuple[Literal["mlp_in", "mlp_out"], ...] = setting(
        ("mlp_in", "mlp_out"), "edited matrices: the first ones of the MLP, its second one"
    )
    rank: Count | None = setting(
        None, "of the network's matrices; by default a quarter of their width, at most 1,920"
    )
    edit_lr: Positive = setting(
        0.1, "step of an edit as training starts, x RMS of the matrix / sqrt(its width)"
    )
    edits: tuple[Count, ...] = setting((1, 8), "facts edited at once in training, in turns")
    batch: Count = setting(16, "facts of a training step, in as many updates as that makes")
    locality: Count = setting(1, "unrelated facts to keep in training, for each that is edited")
    c_edit: Positive = setting(0.1, "weight of -log p(new object), asked in other words")
    c_loc: NotNegative = setting(1.0, "weight of KL(before || after) on unrelated facts")
    lr: Positive = setting(0.03, "step of Adam, x the size of each matrix's elements")
    lr_lr: Positive = setting(0.03, "step of Adam for the logarithms of the edits' steps")
    steps: Count = setting(500, "training steps at most, with 20 looks at other subjects")
    patience: Count = setting(5, "looks without a better one, after which training ends")
    seed: Seed = setting(0, "of the training: first weights, facts, new objects")

    def __post_init__(self) -> None:
        check_layers(self.layers)
        if not self.modules:
            raise ValueError("modules is empty; name mlp_in or mlp_out")
        if not self.edits:
            raise ValueError("edits is empty; name how many facts are edited at once")
