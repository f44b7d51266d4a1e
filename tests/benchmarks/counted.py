"""How many operations matrix products are: counted by their shapes, twice m k n each."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry


def _added(*args: Any, **more: Any) -> int:
    """Return the operations of a product that is added in place: torch does not count those.

    It is given tensors, as what it asks takes them.
    """
    return flop_registry[torch.ops.aten.addmm](*args, **more)


T = TypeVar("T")

setattr(_added, "_get_raw", True)  # noqa: B010
IN_PLACE = {torch.ops.aten.addmm_: _added}


def counted(run: Callable[[], T]) -> tuple[T, int]:
    """Return what `run` returns, and the operations of the matrix products in it."""
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        found = run()
    return found, counter.get_total_flops()
