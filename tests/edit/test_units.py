"""Absolute sizes are relative ones times their units: the same update, in public code's numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ksmith.edit import EDITORS
from ksmith.lm.delta import dense
from ksmith.lm.descend import units
from ksmith.settings import METHODS
from tests.lm.models import KEYS, tiny
from tests.methods import assets, request

KIND, LAYER = "llama", 1


def mean() -> float:
    """Return the mean eigenvalue of the second moment."""
    return float(assets(KIND).moment(LAYER).diagonal().mean())


def matrix() -> float:
    return next(iter(units(tiny(KIND), [LAYER]).values()))


# Method -> its sizes beside those of the search, and what one of each is in absolute units.
SIZES: dict[str, dict[str, Callable[[], float]]] = {
    "memit": {"weight": lambda: KEYS},
    "emmet": {"weight": lambda: KEYS},
    "alphaedit": {"nullspace": mean, "l2": mean},
    "ft_l": {"lr": matrix, "epsilon": matrix},
}


@pytest.mark.parametrize("method", SIZES)
def test_one_update_in_both_units(method: str) -> None:
    hp: dict[str, Any] = {"layers": (LAYER,), "weight_decay": 0.0, "contexts": 2}
    if method == "ft_l":
        hp = {"layer": LAYER}
    sizes = {name: 0.7 for name in SIZES[method]}
    absolute = {name: 0.7 * unit() for name, unit in SIZES[method].items()}
    if method != "ft_l":  # the search has steps of its own: none is made here but to the clamp
        hp |= {"steps": 3, "clamp": 1e-3}
        sizes["lr"] = absolute["lr"] = 100.0
    one = edited(method, {**hp, **sizes})
    two = edited(method, {**hp, **absolute, "units": "absolute"})
    assert (one - two).norm() < 1e-4 * one.norm()
    other = edited(method, {**hp, **sizes, "units": "absolute"})
    assert (one - other).norm() > 0.01 * one.norm()


def edited(method: str, values: dict[str, Any]) -> torch.Tensor:
    hp = METHODS[method](**{"steps": 4, **values})
    draw = [request(0, 0), request(1, 0)]
    (result,) = EDITORS[method](tiny(KIND), [draw], hp, assets(KIND))
    return dense(next(iter(result.delta.values())))
