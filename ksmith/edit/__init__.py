"""Editors: methods that write new facts."""

from collections.abc import Callable
from typing import Any

from ksmith.edit import ft_l, memit, rome

EDITORS: dict[str, Callable[..., Any]] = {
    "rome": rome.edit,
    "memit": memit.edit,
    "ft_l": ft_l.edit,
}
