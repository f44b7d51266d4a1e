"""What a study can set: one small torch-free file a method, and one each for the rest.

Every class here is a frozen dataclass whose fields say type, default and meaning. `METHODS` is
the registry: a new method is a line in it, a file here, and a file in `edit/` or `unlearn/`.
"""

import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from ksmith.records import UserError
from ksmith.settings import fields
from ksmith.settings.alphaedit import AlphaEdit
from ksmith.settings.ce_u import CeU
from ksmith.settings.dpo import Dpo
from ksmith.settings.emmet import Emmet
from ksmith.settings.fields import Declared, declared
from ksmith.settings.ft import Ft
from ksmith.settings.ft_l import FtL
from ksmith.settings.ga import Ga
from ksmith.settings.graddiff import GradDiff
from ksmith.settings.graph import GRAPHS, CounterFact, Synthetic, Triples, Zsre
from ksmith.settings.lora import Lora
from ksmith.settings.memit import Memit
from ksmith.settings.mend import Mend
from ksmith.settings.model import Load, Recipe
from ksmith.settings.moments import Moments
from ksmith.settings.names import SECTIONS, Names, names
from ksmith.settings.npo import Npo
from ksmith.settings.pdu import Pdu
from ksmith.settings.probe import DOCS as PROBES
from ksmith.settings.probe import Probe
from ksmith.settings.r_rome import RRome
from ksmith.settings.recipes import RECIPES
from ksmith.settings.relearn import ReLearn
from ksmith.settings.rmu import Rmu
from ksmith.settings.rome import Rome
from ksmith.settings.satimp import SatImp
from ksmith.settings.simnpo import SimNpo
from ksmith.settings.task import Task
from ksmith.settings.undial import Undial
from ksmith.settings.unlearning import Unlearning
from ksmith.settings.wga import Wga
from ksmith.settings.words import show

__all__ = [
    "GRAPHS",
    "METHODS",
    "PROBES",
    "RECIPES",
    "SECTIONS",
    "AlphaEdit",
    "CeU",
    "CounterFact",
    "Declared",
    "Dpo",
    "Emmet",
    "Ft",
    "FtL",
    "Ga",
    "GradDiff",
    "Load",
    "Lora",
    "Memit",
    "Mend",
    "Method",
    "Moments",
    "Names",
    "Npo",
    "Pdu",
    "Probe",
    "RRome",
    "ReLearn",
    "Recipe",
    "Rmu",
    "Rome",
    "SatImp",
    "SimNpo",
    "Synthetic",
    "Task",
    "Triples",
    "Undial",
    "Wga",
    "Zsre",
    "declared",
    "describe",
    "describe_methods",
    "describe_probes",
    "describe_tasks",
    "method",
    "names",
]


class Method(Protocol):
    """What every class in `METHODS` says of itself, beside its fields."""

    version: ClassVar[int]  # raised whenever a published number can move
    family: ClassVar[str]  # edit or unlearn: the folder of its other file
    tasks: ClassVar[tuple[str, ...]]
    assets: ClassVar[tuple[str, ...]]  # kinds of nodes that its update needs, beside the model


METHODS: dict[str, type[Method]] = {
    "rome": Rome,
    "r_rome": RRome,
    "memit": Memit,
    "emmet": Emmet,
    "alphaedit": AlphaEdit,
    "ft": Ft,
    "ft_l": FtL,
    "lora": Lora,
    "mend": Mend,
    "graddiff": GradDiff,
    "npo": Npo,
    "ga": Ga,
    "simnpo": SimNpo,
    "dpo": Dpo,
    "rmu": Rmu,
    "undial": Undial,
    "ce_u": CeU,
    "wga": Wga,
    "satimp": SatImp,
    "pdu": Pdu,
    "relearn": ReLearn,
}


# What stands in the `method` table of a resolved trial beside the settings.
ABOUT = ("name", "version", "known_models")


def method(name: str, values: Mapping[str, Any]) -> Any:
    """Return the hyperparameters of method `name`, each checked.

    `values` may be the `method` table of a resolved trial: what is no setting in it is dropped.

    Raises:
        UserError: no such method, or all that is wrong with the values.
    """
    if name not in METHODS:
        raise UserError(f"no method {name!r}; there are {', '.join(METHODS)}")
    given = {key: value for key, value in values.items() if key not in ABOUT}
    try:
        return fields.build(METHODS[name], given, name)
    except ValueError as error:
        raise UserError(str(error)) from None


def describe() -> list[dict[str, str]]:
    """Return one row a setting, in the order of a study file: name, of, type, default, doc.

    `of` says which source, model or method has the setting, where not all have it.
    """
    return [
        _row(name, owner, item)
        for name, owners in names(METHODS).owners.items()
        for owner, item in owners.items()
    ]


def _row(name: str, owner: str, item: Declared) -> dict[str, str]:
    own = name.startswith(("graph.", "model.")) and owner not in SECTIONS
    told = "-" if item.default is None else show(item.default)
    default = "required" if item.required else told
    return {
        "name": name,
        "of": owner if own else "",
        "type": item.type_name,
        "default": default,
        "doc": item.doc,
    }


def describe_methods() -> list[dict[str, str]]:
    """Return one row a method: name, family, tasks, assets, doc (with the paper)."""
    return [
        {
            "name": name,
            "family": settings.family,
            "tasks": ", ".join(settings.tasks),
            "assets": ", ".join(settings.assets) or "-",
            "doc": (sys.modules[settings.__module__].__doc__ or "").split("\n")[0],
        }
        for name, settings in METHODS.items()
    ]


def describe_probes() -> list[dict[str, str]]:
    """Return one row a probe: name, doc."""
    return [{"name": name, "doc": doc} for name, doc in PROBES.items()]


# What may stand for an unlearned answer (specified as "neutral target"), and its form.
NEUTRAL: dict[str, str] = {
    "abstain": "the reply to never-known subjects",
    "prior": "the relation's most common other object",
    "uniform": "all objects of the type alike",
}


def describe_tasks() -> list[dict[str, str]]:
    """Return one row a method: its name, and for each task what it does or why it does not."""
    return [{"name": name, **_tasks(settings)} for name, settings in METHODS.items()]


def _tasks(settings: type[Method]) -> dict[str, str]:
    if issubclass(settings, Unlearning):
        edits, unlearns = settings.edits, settings.unlearns
    else:
        edits, unlearns = "writes the new object", "writes {}"
    targets = {f"unlearn, {name}": unlearns.format(told) for name, told in NEUTRAL.items()}
    return {"edit": edits, **targets}
