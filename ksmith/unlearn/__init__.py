"""Unlearners: methods that make old facts go."""

from collections.abc import Callable
from typing import Any

from ksmith.unlearn import (
    ce_u,
    dpo,
    ga,
    graddiff,
    npo,
    pdu,
    relearn,
    rmu,
    satimp,
    simnpo,
    undial,
    wga,
)

UNLEARNERS: dict[str, Callable[..., Any]] = {
    "graddiff": graddiff.unlearn,
    "npo": npo.unlearn,
    "ga": ga.unlearn,
    "simnpo": simnpo.unlearn,
    "dpo": dpo.unlearn,
    "rmu": rmu.unlearn,
    "undial": undial.unlearn,
    "ce_u": ce_u.unlearn,
    "wga": wga.unlearn,
    "satimp": satimp.unlearn,
    "pdu": pdu.unlearn,
    "relearn": relearn.unlearn,
}
