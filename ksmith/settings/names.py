"""All names that a study file can set, dotted: `task.scale`, `method.npo.beta`."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from ksmith.settings.fields import Declared, Seed, declared, one_of
from ksmith.settings.graph import GRAPHS
from ksmith.settings.model import Load, Recipe
from ksmith.settings.moments import Moments
from ksmith.settings.probe import Probe
from ksmith.settings.task import Task

ALIKE = 0.62
NEARER = 0.05
LONGEST = 100  # characters of a name that are compared
SECTIONS = ("graph", "model", "task", "probe", "moments", "method")
MODELS: dict[str, type] = {"recipe": Recipe, "load": Load}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The dotted names and, for each, who has a setting of that name.

    An owner is a source for `graph.`, recipe or load for `model.`, a method for `method.`, and
    the section itself for the others.
    """

    owners: dict[str, dict[str, Declared]]

    def nearest(self, name: str) -> str | None:
        """Return the name that was probably meant, or None."""
        likeness = {known: _likeness(name, known) for known in self.owners}
        # Of two names as near, the one of the same section: a letter slips more easily.
        section = name.rpartition(".")[0]
        same = {known: known.rpartition(".")[0] == section for known in self.owners}
        best = max(likeness, key=lambda known: likeness[known] + NEARER * same[known])
        return best if likeness[best] >= ALIKE else None

    def of_section(self, section: str) -> list[str]:
        """Return what can stand in `[section]`, without the section's own name."""
        start = section + "."
        return [name.removeprefix(start) for name in self.owners if name.startswith(start)]


def _likeness(name: str, known: str) -> float:
    """Return how alike two names are, in 0..1: half by the whole, half by the last part."""
    pairs = [(name, known), (name.rpartition(".")[2], known.rpartition(".")[2])]
    ratios = [SequenceMatcher(None, a[:LONGEST], b, autojunk=False).ratio() for a, b in pairs]
    return sum(ratios) / 2


def names(methods: Mapping[str, type]) -> Names:
    """Return the names of a study that can choose among `methods`."""
    return _names(tuple(methods.items()))


@functools.cache
def _names(methods: tuple[tuple[str, type], ...]) -> Names:
    owners: dict[str, dict[str, Declared]] = {
        "seed": {"seed": Declared(name="seed", kind=Seed, default=0, doc="draws the requests")},
        "graph.source": {"graph": _source()},
    }
    tables: list[tuple[str, str, type]] = [
        *(("graph", source, cls) for source, cls in GRAPHS.items()),
        *(("model", way, cls) for way, cls in MODELS.items()),
        ("task", "task", Task),
        ("probe", "probe", Probe),
        ("moments", "moments", Moments),
        *((f"method.{name}", name, cls) for name, cls in methods),
    ]
    for table, owner, cls in tables:
        for field in declared(cls).values():
            owners.setdefault(f"{table}.{field.name}", {})[owner] = field
    chosen = owners["task.method"]["task"]
    kind = one_of(tuple(name for name, _ in methods))
    owners["task.method"] = {"task": dataclasses.replace(chosen, kind=kind)}
    return Names(owners=owners)


def _source() -> Declared:
    doc = "where the facts come from"
    return Declared(name="source", kind=one_of(tuple(GRAPHS)), default="synthetic", doc=doc)
