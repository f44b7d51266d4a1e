"""Which trials take something from the table of known models, as far as a study can tell."""

import json
from collections.abc import Mapping
from pathlib import Path

from ksmith.records import Json
from ksmith.settings import known_models
from ksmith.settings.known_models import Known, Row


def in_folder(folder: str) -> Known | None:
    """Return the known model that a folder holds, or None; a worker says what is wrong with it."""
    try:
        read = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return known_models.known(read) if isinstance(read, dict) else None


def decides(method: Mapping[str, Json]) -> bool:
    """Return whether the model decides about settings: layers are open, or published numbers.

    Where no row is of the method, nothing is taken from the table, whatever the model is.
    """
    if method.get("preset") != "paper" and not known_models.listed(method["name"]):
        return False
    open_ = any(method.get(leaf, ()) is None for leaf in ("layer", "layers"))
    return open_ or method.get("preset") == "paper"


def layers(method: Mapping[str, Json], found: Known | None) -> list[int]:
    """Return the layers that a method edits, none where a study can't tell.

    Args:
        method: its settings; layers that are open are those of its row.
        found: the known model in the folder that is loaded, if one is.
    """
    leaf = next((leaf for leaf in ("layer", "layers") if leaf in method), None)
    if leaf is None:
        return []
    row = found.rows.get(method["name"]) if found else None
    given = method[leaf]
    if given is None:
        theirs = list(row.layers) if row else []
        return theirs[:1] if leaf == "layer" else theirs
    return [given] if leaf == "layer" else list(given)


def taken(
    method: Mapping[str, Json], model: Mapping[str, Json], found: Known | None
) -> tuple[dict[str, Json], str]:
    """Return what to add to a method's table, and what is wrong, "" where nothing is.

    The version of the table is added where a row of it may be used: not for a model that is
    trained, nor for a folder with another model; what a name on the hub stands for is not known
    yet. Of a folder's model the row also says whether second moments are needed at all.

    Args:
        method: its settings, of which some are open.
        model: its settings.
        found: the known model in the folder that is loaded, if one is.
    """
    trained, hub = "recipe" in model, "load" in model
    row = found.rows.get(method["name"]) if found else None
    if method.get("preset") == "paper" and not hub and not (row and row.values):
        of = found.name if found else "a model that is trained" if trained else "this model"
        return {}, f'preset = "paper": no numbers are published for {method["name"]} on {of}'
    version: dict[str, Json] = {"known_models": known_models.VERSION} if row or hub else {}
    return version | _adjusted(method, row), ""


def _adjusted(method: Mapping[str, Json], row: Row | None) -> dict[str, Json]:
    """Return `adjust` as a published row has it, where the study leaves that open."""
    open_ = method.get("preset") == "paper" and "adjust" not in method
    values = row.values or {} if row and open_ else {}
    return {name: value for name, value in values.items() if name == "adjust"}
