"""The section of a method, `[method.npo]`: its hyperparameters and the file of answers it reads."""

from collections.abc import Callable
from pathlib import Path

from ksmith import corpus
from ksmith.records import Json, UserError
from ksmith.settings import Method, declared, fields
from ksmith.settings.known_models import published
from ksmith.settings.units import SIZED
from ksmith.settings.unlearning import STOPS
from ksmith.settings.words import show
from ksmith.study.check import Value
from ksmith.study.expand import Flat
from ksmith.study.section import NOTHING, Desk, Resolved, resolved

# What reads a method's file of answers, and refuses what is none.
ANSWERS: dict[str, Callable[[Path], object]] = {
    "method.dpo.answers": corpus.texts,
    "method.relearn.answers": corpus.answers,
}


def method_section(settings: type[Method], own: Flat, name: str, desk: Desk) -> Resolved:
    """Return the section of the method `name`, whose hyperparameters are `settings`."""
    values = desk.filled(settings, own, f"method.{name}")
    if values is None:
        return NOTHING
    if values.get("preset") == "paper":
        values = _with_published_open(settings, values, own, name)
    elif values.get("units") == "absolute":
        _check_units(settings, own, name, desk)
    if values.get("retain_weight") == 0 and "retain" in values:  # nobody looks at the set
        values["retain"] = declared(settings)["retain"].default
    files: dict[str, str] = {}
    if "answers" in values:
        path = _answers(own["answers"], f"method.{name}.answers", desk)
        if path is None:
            return NOTHING
        values["answers"] = desk.files.digest(path)
        files[f"method.{name}.answers"] = str(path)
    version = settings.version + (STOPS if values.get("stop_forget") else 0)
    table = {"name": name, "version": version, **values}
    return resolved(table, files)


def _answers(given: Value, name: str, desk: Desk) -> Path | None:
    """Return the file of answers, or None after a mistake."""
    path = desk.files.data(given, name)
    try:
        if path is not None:
            desk.files.check(name, path, ANSWERS[name])
    except UserError as error:
        desk.mistakes.add(given.where, f"{name} = {show(given.value)}: {error}")
        return None
    return path


def _with_published_open(
    settings: type[Method], values: dict[str, Json], own: Flat, method: str
) -> dict[str, Json]:
    """Return what the study says: the worker knows the model, and fills in the rest.

    A default that the study says is the study's, also where it is left out elsewhere.
    """
    items, public = declared(settings), published(method)
    said = {
        name: fields.plain(items[name], fields.check(items[name], own[name].value))
        for name in own
        if name in public
    }
    return {k: v for k, v in values.items() if k not in public} | said


def _check_units(settings: type[Method], own: Flat, method: str, desk: Desk) -> None:
    """Note sizes that are not given: their defaults are relative ones."""
    sized = [name for name in declared(settings) if name in SIZED]
    for name in sized:
        if name not in own:
            message = (
                f"method.{method}.{name} is missing: its default is relative, and units are "
                f"absolute ({SIZED[name]})"
            )
            desk.mistakes.add(desk.where(own, "units"), message)
