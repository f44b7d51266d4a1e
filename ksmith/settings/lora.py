"""LoRA: adapters of low rank, fine-tuned on the new facts. Hu et al. 2022, arXiv:2106.09685."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ksmith.settings.fields import Count, Layer, NotNegative, Positive, setting
from ksmith.settings.search import check_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Hyperparameters, named as in the paper; the step is relative to each matrix."""

    version: ClassVar[int] = 1  # raise it when a published number can move
    family: ClassVar[str] = "edit"
    tasks: ClassVar[tuple[str, ...]] = ("edit", "unlearn")
    assets: ClassVar[tuple[str, ...]] = ()

    rank: Count = setting(8, "r: rank of each adapter")
    alpha: Positive = setting(8.0, "the adapter counts alpha / r times")
    layers: tuple[Layer, ...] | None = setting(
        None, "layers with adapters, lowest first; by default all"
    )
    modules: tuple[Literal["attention", "mlp_in", "mlp_out"], ...] = setting(
        ("mlp_out",),
        "matrices with adapters: attention, the first ones of the MLP, its second one",
    )
    lr: Positive = setting(0.05, "step of Adam, x RMS of the matrix / sqrt(its width)")
    steps: Count = setting(50, "steps")
    stop_loss: NotNegative = setting(0.01, "stop below this loss")

    def __post_init__(self) -> None:
        check_layers(self.layers)
        if not self.modules:
            raise ValueError("modules is empty; name attention, mlp_in or mlp_out")
