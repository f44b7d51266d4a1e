"""Editors: methods that write new facts."""

from collections.abc import Callable
from typing import Any

from ksmith.edit import alphaedit, emmet, ft, ft_l, lora, memit, mend, r_rome, rome

EDITORS: dict[str, Callable[..., Any]] = {
    "rome": rome.edit,
    "r_rome": r_rome.edit,
    "memit": memit.edit,
    "emmet": emmet.edit,
    "alphaedit": alphaedit.edit,
    "ft": ft.edit,
    "ft_l": ft_l.edit,
    "lora": lora.edit,
    "mend": mend.edit,
}
