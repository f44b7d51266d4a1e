"""The section `[model]`: a recipe to train, or a model that exists, with gold models beside it."""

import re
from dataclasses import replace

from ksmith.records import Json
from ksmith.settings import Load, Recipe
from ksmith.settings.model import ASKED_IN
from ksmith.settings.recipes import resolve as recipe_numbers
from ksmith.settings.words import show
from ksmith.study.expand import Flat
from ksmith.study.files import is_folder
from ksmith.study.section import NOTHING, Desk, Resolved, resolved

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)


def model_section(own: Flat, desk: Desk) -> Resolved:
    """Return the section of a trial: the numbers of its recipe, or what the model is known by."""
    if "load" in own:
        return _loaded(own, desk)
    values = desk.filled(Recipe, own, "model")
    if values is None:
        return NOTHING
    name, mechanism = values["recipe"], values["mechanism"]
    fixed = {key: values[key] for key in ("recipe", "seed", "mechanism")}
    given = {k: v for k, v in values.items() if k not in fixed and v is not None}
    try:
        numbers = recipe_numbers(name, given, mechanism)
    except ValueError as error:
        leaf = str(error).split()[0]
        desk.mistakes.add(desk.where(own, leaf), f"model.{error}")
        return NOTHING
    return resolved({**fixed, "version": Recipe.version, **numbers})


def _loaded(own: Flat, desk: Desk) -> Resolved:
    values = desk.filled(Load, own, "model")
    if values is None:
        return NOTHING
    given = own["load"]
    folder = desk.files.path(given, "model.load")
    if folder is None:
        return NOTHING
    if is_folder(folder):
        if "revision" in own:
            note = f"{own['revision'].where.text}: model.revision means nothing for a folder"
            desk.notes.append(note)
        table = {
            "version": Load.version,
            "digest": desk.files.model(folder, given.where),
            "dtype": values["dtype"],
            **{name: values[name] for name in ASKED_IN if name in values},
        }
        return _with_golds(table, {"model.load": str(folder)}, own, desk)
    if not HUB_NAME.fullmatch(given.value):
        message = f"model.load = {show(given.value)}: no such folder, and no name on the hub"
        desk.mistakes.add(given.where, message)
    elif values["revision"] == "main":
        note = "model.revision is main, which can move: name a commit to pin the model"
        desk.notes.append(note)
    return _with_golds({"version": Load.version, **values}, {}, own, desk)


def _with_golds(
    table: dict[str, Json], files: dict[str, str], own: Flat, desk: Desk
) -> Resolved:
    """Return the model's table with the digests of the gold models that a user brings."""
    table.pop("gold", None)
    digests: list[str] = []
    for item in own["gold"].value if "gold" in own else ():
        given = replace(own["gold"], value=item)
        folder = desk.files.path(given, "model.gold")
        if folder is None:
            continue
        found = desk.files.model(folder, given.where, "model.gold")
        if found and found in (table.get("digest"), *digests):
            what = "the model under study" if found == table.get("digest") else "named twice"
            message = f"model.gold: {folder} is {what}, file for file"
            desk.mistakes.add(given.where, message)
        files[f"gold.{len(digests)}"] = str(folder)
        digests.append(found)
    return resolved({**table, "gold": digests} if digests else table, files)
