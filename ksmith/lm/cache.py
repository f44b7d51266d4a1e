"""Keys and values of tokens that have been run, for those that come after them."""

import inspect
from typing import Any

from torch import nn


def after(model: nn.Module, cache: Any) -> dict[str, Any]:
    """Return the argument that lets `model` go on from `cache`; transformers renamed it."""
    known = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in known else "past_key_values": cache}
