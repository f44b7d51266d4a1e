"""What sizes are measured in: relative ones mean the same in every model, public code's do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ksmith.settings.fields import setting

# Settings whose size depends on the model, and what they are where units are absolute.
SIZED: Mapping[str, str] = MappingProxyType(
    {
        "lr": "step of Adam",
        "weight_decay": "x norm(delta) / norm(v_init)^2",
        "weight": "lambda, of the second moment",
        "nullspace": "eigenvalue below which a direction is free",
        "l2": "L2 of the change",
        "epsilon": "no weight moves further",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What the settings named in `SIZED` mean, and where those come from that are not given."""

    units: Literal["relative", "absolute"] = setting(
        "relative",
        "relative: x what stands with each setting; absolute: as in public code, all to be given",
        omit_at_default=True,
    )
    preset: Literal["relative", "paper"] = setting(
        "relative",
        "paper: what is not given is as published for the very model, in absolute units",
        omit_at_default=True,
    )

    @property
    def absolute(self) -> bool:
        """Whether steps and penalties are the plain numbers of public code."""
        return self.units == "absolute" or self.preset == "paper"
