"""Keys and values of tokens that have been run, for those that come after them."""

import copy
import inspect
from typing import Any

from torch import Tensor, nn


def after(model: nn.Module, cache: Any) -> dict[str, Any]:
    """Return the argument that lets `model` go on from `cache`; transformers renamed it."""
    known = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in known else "past_key_values": cache}


def fork(cache: Any, index: Tensor) -> Any:
    """Return a cache of the given rows of `cache`, which stays as it is."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    made.batch_select_indices(index)
    return made
