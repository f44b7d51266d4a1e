"""Unlearners: methods that make old facts go."""

from collections.abc import Callable
from typing import Any

from ksmith.unlearn import graddiff, npo

UNLEARNERS: dict[str, Callable[..., Any]] = {
    "graddiff": graddiff.unlearn,
    "npo": npo.unlearn,
}
