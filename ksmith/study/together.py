"""What the sections of one trial must agree on; where they don't, the mistake is noted."""

from collections.abc import Mapping, Sequence

from ksmith.settings.known_models import Known
from ksmith.settings.model import AUTO
from ksmith.settings.words import show
from ksmith.study import known
from ksmith.study.expand import Flat
from ksmith.study.section import Desk, Resolved, value


def gold(flat: Flat, desk: Desk) -> None:
    """Note a gold model that nobody could train: by what recipe was a loaded model made?"""
    if "model.load" in flat and value(flat, "task.gold", 0):
        message = (
            f"task.gold = {show(flat['task.gold'].value)}: gold models are trained by the "
            "recipe of the model, and model.load names one that exists; leave task.gold out, "
            "or name a model.recipe; models that you retrained go into model.gold"
        )
        desk.mistakes.add(desk.where(flat, "task.gold"), message)
    if not value(flat, "model.gold", ()):
        return
    for name, usual, allowed in (("draws", 20, 1), ("sequence", 0, 0)):
        given = value(flat, f"task.{name}", usual)
        if given != allowed:
            message = (
                f"model.gold: each folder was trained without one forget set; task.{name} "
                f"must be {allowed}, and is {show(given)}"
            )
            desk.mistakes.add(flat["model.gold"].where, message)


def end(flat: Flat, source: str, desk: Desk) -> None:
    """Note what would end answers that are no more than a statement's object."""
    if value(flat, "model.end", AUTO) != AUTO and source != "qa":
        message = (
            f"model.end = {show(flat['model.end'].value)}: ends the answers of a file of "
            f'questions (graph.source "qa"), and graph.source is {show(source)}; leave it out'
        )
        desk.mistakes.add(flat["model.end"].where, message)


def abstaining(flat: Flat, tables: Mapping[str, Resolved], desk: Desk) -> None:
    """Note a file of abstaining answers in a task whose target is another."""
    method, task = tables["method"].value, tables["task"].value
    if method.get("name") != "dpo" or "answers" not in method or not task:
        return
    aim = task.get("neutral", task["kind"])
    if aim != "abstain":
        said = 'task.kind "edit"' if aim == "edit" else f"task.neutral {show(aim)}"
        message = (
            "method.dpo.answers: abstaining answers go with unlearning towards such "
            f'(task.kind "unlearn", task.neutral "abstain"), not with {said}'
        )
        desk.mistakes.add(flat["method.dpo.answers"].where, message)


def layers(flat: Flat, tables: Mapping[str, Resolved], found: Known | None, desk: Desk) -> None:
    """Note layers that a model which is trained won't have; a loaded one is not known yet.

    `found` is the known model in the folder that is loaded, if one is and the method asks for it.
    """
    method, measured = tables["method"].value, tables["moments"].value.get("layers")
    there = tables["model"].value.get("layers")
    own = known.layers(method, found)
    for leaf in ("layer", "layers"):
        if method.get(leaf) is not None:
            _there(flat, f"method.{method['name']}.{leaf}", own, there, desk)
    if measured is None:
        return
    _there(flat, "moments.layers", measured, there, desk)
    without = [layer for layer in own if layer not in measured]
    if without and method.get("adjust", True):
        message = (
            f"moments.layers = {show(measured)}: {method['name']} edits layer {without[0]}, "
            "of which it needs the second moment; name it, too"
        )
        desk.mistakes.add(flat["moments.layers"].where, message)


def _there(flat: Flat, name: str, layers: Sequence[int], there: int | None, desk: Desk) -> None:
    if there and max(layers) >= there:
        given = show(flat[name].value)
        message = f"{name} = {given}: the model has layers 0 to {there - 1}"
        desk.mistakes.add(flat[name].where, message)
